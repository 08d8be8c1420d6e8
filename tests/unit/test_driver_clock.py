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
