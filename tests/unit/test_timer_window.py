"""Timers that are due soon, in memory: what was taken and is looked at once more."""

from collections.abc import Iterable

from runtime.processing.timer_window import Window
from store.memory_timers import TimersInMemory
from store.timers import Timer, TimerChanges


class Small(Window):
    AHEAD_US, MOST, AT_WORK = 1_000, 2, 2


class Keeper:
    """A window, and the table that it looks at."""

    PAGE = 5

    def __init__(self) -> None:
        self.table, self.window = TimersInMemory(), Small()

    def file(self, kept: Iterable[Timer] = (), gone: Iterable[Timer] = ()) -> None:
        changes = TimerChanges(list(kept), [], [(each.source, each.key) for each in gone])
        self.table.change(changes)
        self.window.filed(changes)

    def take(self, now_us: int) -> list[Timer]:
        while self.window.wants_more(now_us):
            until_us = self.window.until_us(now_us)
            found = self.table.due(self.window.reach, until_us, self.PAGE)
            self.window.read(found, until_us, self.PAGE)
        return self.window.take(now_us, 10)


def bell(name: str, due_us: int) -> Timer:
    timer = name.encode().ljust(16)
    return Timer(f"bell/{name}", "k", timer, b"", None, 0, due_us, due_us, "ring", b"{}")


def test_a_timer_that_was_early_is_taken_again_where_many_are_set_meanwhile() -> None:
    keeper, early = Keeper(), bell("early", 100)
    keeper.file([early])
    assert keeper.take(100) == [early]
    assert keeper.window.put_back(early, 105)
    keeper.file(bell(f"other-{number}", 101 + number % 3) for number in range(5))
    taken: list[Timer] = []
    for now_us in range(101, 120):
        now = keeper.take(now_us)
        keeper.file(gone=now)
        taken += now
    assert len(taken) == 6
    assert taken[-1] == early._replace(look_us=105)


def test_what_its_host_is_done_with_and_the_log_does_not_say_is_told_once() -> None:
    keeper, heard, unheard = Keeper(), bell("heard", 1), bell("unheard", 1)
    keeper.file([heard, unheard])
    for each in keeper.take(1):
        keeper.window.done(each, 5.0)
    keeper.file(gone=[heard])
    assert keeper.window.unheard(5.0) == []
    assert keeper.window.unheard(5.1) == [unheard]
    assert keeper.window.unheard(9.0) == []
    assert keeper.window.holds(unheard)


def test_what_was_early_is_bounded_and_the_rest_of_it_stays_at_work() -> None:
    keeper = Keeper()
    keeper.file([bell("a", 1), bell("b", 1), bell("c", 1)])
    first = keeper.take(1)
    assert [keeper.window.put_back(each, 9) for each in first] == [True, True]
    [third] = keeper.take(1)
    assert not keeper.window.put_back(third, 9)
    assert keeper.window.holds(third)
