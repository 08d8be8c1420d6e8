"""Timers that are due soon, in memory: what was taken and is looked at once more."""

from collections.abc import Iterable

from runtime.processing.timer_window import Window
from store.memory_timers import TimersInMemory
from store.timers import Timer, TimerChanges


class Small(Window):
    AHEAD_US, MOST, AT_WORK = 1_000, 2, 2


class SmallInBytes(Window):
    AHEAD_US, BYTES = 1_000, 10


class Keeper:
    """A window, and the table that it looks at."""

    PAGE = 5

    def __init__(self, window: type[Window] = Small) -> None:
        self.table, self.window = TimersInMemory(), window()

    def file(self, kept: Iterable[Timer] = (), gone: Iterable[Timer] = ()) -> None:
        changes = TimerChanges(list(kept), [], [(each.source, each.key) for each in gone])
        self.table.change(changes)
        self.window.filed(changes)

    def take(self, now_us: int) -> list[Timer]:
        while self.window.wants_more(now_us):
            until_us = self.window.until_us(now_us)
            found = self.table.due(self.window.reach, until_us, self.PAGE, 2**40)
            self.window.read(found, until_us, more=len(found) >= self.PAGE)
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


def test_what_is_pending_is_pending_once_however_often_it_is_read() -> None:
    window = Window()
    timers = [bell(f"{number}", 1_000 + number) for number in range(100)]
    window.read(timers, 5_000_000, more=False)
    early = timers[7]._replace(look_us=500)
    for _ in range(10):
        window.woken(0, 0)
        window.read([early, *timers[:7], *timers[8:]], 5_000_000, more=False)
    assert (len(window), len(window._order)) == (100, 101)
    assert window.take(1_000, 5) == [early, timers[0]]


def test_what_was_woken_comes_before_what_fills_the_window_and_is_not_due() -> None:
    keeper, woken = Keeper(), bell("woken", 10)
    later = [bell(f"later-{number}", 600 + number) for number in range(2)]
    keeper.file([woken._replace(look_us=5_000), *later])
    assert keeper.take(100) == []
    keeper.table.wake(["bell/woken"], [], 0, 9)
    keeper.window.woken(10, 100)
    assert keeper.take(100) == [woken]
    keeper.file(gone=[woken])
    assert keeper.take(700) == later


def test_messages_take_no_more_memory_than_may_be_and_all_timers_come() -> None:
    keeper = Keeper(SmallInBytes)
    large = [bell(f"b-{number:02}", 100 + number)._replace(message=b"1234") for number in range(30)]
    assert keeper.take(99) == []  # it has read the table up to behind all of them
    for timer in large:
        keeper.file([timer])
        assert sum(len(each.message) for each in keeper.window._pending.values()) <= 24
    taken: list[Timer] = []
    for now_us in range(100, 200):
        now = keeper.take(now_us)
        assert sum(len(each.message) for each in now) <= 12
        assert sum(len(each.message) for each in keeper.window._pending.values()) <= 30
        early = [timer for timer in now[::2] if timer.look_us == timer.due_us]
        for timer in early:
            assert keeper.window.put_back(timer, now_us + 1)
        fired = [timer for timer in now if timer not in early]
        keeper.file(gone=fired)
        taken += fired
    assert sorted(timer.source for timer in taken) == [timer.source for timer in large]
    assert keeper.window._bytes == keeper.window._early_bytes == keeper.window._work_bytes == 0
