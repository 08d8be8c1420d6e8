"""A driver's clock is used by the courier's loop and by every thread that reads a subscription."""

import threading

from runtime.clocks import DriverClock


class Interrupted(int):
    """A count at whose comparison another thread has its turn, as far as it gets."""

    def __new__(cls, value: int, clock: DriverClock) -> "Interrupted":
        count = super().__new__(cls, value)
        count.clock = clock
        return count

    clock: DriverClock

    def __gt__(self, other: int) -> bool:
        greater = int(self) > other
        other_thread = threading.Thread(target=self.clock.observe, args=({"host": 7},))
        other_thread.start()
        other_thread.join(0.2)  # where it has to wait for us, it comes after us
        return greater


def test_what_one_thread_has_seen_is_not_forgotten_for_another_s_older_news() -> None:
    clock = DriverClock()
    clock.observe({"host": Interrupted(5, clock)})
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(5)
    assert clock.counts() == {"host": 7}


def test_names_that_events_bring_along_are_bounded_and_crowd_out_no_node_of_the_system() -> None:
    clock = DriverClock({"node-001.host-0"})
    clock.observe_events(({"node-001.host-0": 3},))
    clock.observe_events(({"node-000.host-0": 4},))  # of a launch before
    clock.observe({"node-000.host-0": 2})  # a host tells of it
    for number in range(20_000):
        clock.observe_events(({f"elsewhere-{number}": 1},))
    counts = clock.counts()
    assert len(counts) == DriverClock.MAX_STRANGERS + 2
    assert (counts["node-001.host-0"], counts["node-000.host-0"]) == (3, 4)
    assert "elsewhere-19999" in counts


def test_a_clock_is_told_in_the_order_of_its_nodes_whatever_set_they_came_in() -> None:
    clock = DriverClock({"n.host-2", "n.vault", "n.host-0", "n.host-1"})
    clock.observe({"n.vault": 1, "n.host-1": 1, "n.host-2": 1, "n.host-0": 1})
    assert list(clock.counts()) == ["n.host-0", "n.host-1", "n.host-2", "n.vault"]
