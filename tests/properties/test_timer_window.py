"""Whatever is filed and read in whatever order, each timer is taken once it is due, and once at a
time; and no more of them are in memory than may be."""

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.processing.timer_window import Window
from store.memory_timers import TimersInMemory
from store.timers import Timer, TimerChanges, TimerMove

NAMES = [(f"bell/{number % 3}", f"k{number}") for number in range(20)]
#: Moments, in units of a half of how far ahead is read.
MOMENTS = strategies.integers(0, 40)
PAGE = 2


class Small(Window):
    AHEAD_US, MOST, AT_WORK = 4, 3, 2


class WindowOverATable(RuleBasedStateMachine):
    """The table, and the window that looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.window = TimersInMemory(), Small()
        self.now_us, self.number = 0, 0
        self.taken: dict[tuple[str, str], Timer] = {}  # under way

    def change(self, changes: TimerChanges) -> None:
        self.table.change(changes)
        self.window.filed(changes)
        changed = [(each.source, each.key) for each in changes.moved]
        changed += [(each.source, each.key) for each in changes.kept]
        for name in (*changes.gone, *changed):
            self.taken.pop(name, None)

    @rule(name=strategies.sampled_from(NAMES), at=MOMENTS)
    def set_one(self, name: tuple[str, str], at: int) -> None:
        self.number += 1
        made = Timer(*name, self.number.to_bytes(16), b"", None, 0, at, at, "ring", b"{}")
        self.change(TimerChanges([made], [], []))

    @rule(name=strategies.sampled_from(NAMES))
    def cancel(self, name: tuple[str, str]) -> None:
        self.change(TimerChanges([], [], [name]))

    @rule(name=strategies.sampled_from(NAMES), later=strategies.integers(0, 9))
    def move(self, name: tuple[str, str], later: int) -> None:
        there = self.table._timers.get(name)
        if there is not None:
            at = there.due_us + later
            move = TimerMove(*name, there.timer, there.occurrence + 1, at, at)
            self.change(TimerChanges([], [move], []))

    @rule(by=strategies.integers(0, 6))
    def pass_time(self, by: int) -> None:
        self.now_us += by

    @rule()
    def fire(self) -> None:
        self.fire_what_is_due()

    def fire_what_is_due(self) -> int:
        if self.window.wants_more(self.now_us):
            until_us = self.window.until_us(self.now_us)
            found = self.table.due(self.window.reach, until_us, PAGE)
            self.window.read(found, until_us, PAGE)
        taken = self.window.take(self.now_us, 2)
        for timer in taken:
            name = timer.source, timer.key
            assert timer.look_us <= self.now_us
            assert name not in self.taken or self.taken[name] != timer
            assert self.table._timers[name][:7] == timer[:7]
            self.taken[name] = timer
        return len(taken)

    @rule(early=strategies.integers(1, 3))
    def answer_that_it_is_early(self, early: int) -> None:
        for name, timer in list(self.taken.items())[:1]:
            assert self.window.holds(timer)
            if self.window.put_back(timer, self.now_us + early):
                del self.taken[name]
            else:
                late = TimerMove(
                    *name, timer.timer, timer.occurrence, timer.due_us, self.now_us + 1
                )
                self.change(TimerChanges([], [late], []))

    @rule()
    def answer(self) -> None:
        """It has fired, and the log says so."""
        for name in list(self.taken)[:1]:
            self.change(TimerChanges([], [], [name]))

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.window) <= 2 * Small.MOST + PAGE
        assert len(self.window._at_work) <= Small.AT_WORK
        assert len(self.window._early) <= Small.AT_WORK

    def teardown(self) -> None:
        """In the end all that is due comes."""
        self.now_us = max(self.now_us, 100)
        for _ in range(200):
            for name in list(self.taken):
                self.change(TimerChanges([], [], [name]))
            self.fire_what_is_due()
        assert len(self.table) == 0


TestWindow = WindowOverATable.TestCase
TestWindow.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
