"""What a system at rest does again and again for nothing, passed over: a night takes milliseconds.

A directory renews its claim, a bus asks whether the writer has committed something that it was not
told of, a feed asks the bus whether there is something, and is told after ten seconds that there is
not. Where nothing has happened for a while, and nothing is to happen for longer, each of these
finds what it found the time before. They are left out, up to the last ones before something is to
happen.
"""

import asyncio
import heapq
import math
from asyncio import events, futures
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from runtime.partition.bus import Bus
from runtime.partition.feed import Feed
from runtime.processing.timekeeping import Timekeeping

#: The timers of a loop: when, in which order, and what.
Timers = list[tuple[float, int, events.TimerHandle]]

#: The tasks that do nothing else, by the coroutines that they run.
HEARTBEATS = frozenset({"MachineKeeper.keep", "DatabaseClaim.keep", "Bus._look"})
#: The tasks that wait for the answers to polls.
READERS = frozenset({"Feed._fetch"})
#: The tasks that wait for something, and look every second all the same (Timekeeping.LOOK_S): what
#: they look for is in the table of timers (`Heartbeats.due_s`).
LOOKERS = frozenset({"Posting.run"})
#: So long before a timer of that table is due nothing is passed over any more: it is read then.
NEARLY_S = 30.0
#: Seconds without any news after which a system is at rest: each heartbeat has found nothing by
#: then, and a poll still waits (Feed.WAIT_S).
REST_S = 6.0
#: What sleeps for less does not do so for a heartbeat.
SHORTEST_S = 0.1
#: And what is due within less than that is none of theirs.
LOOKS_S = Timekeeping.LOOK_S - 0.001
#: What ends a sleep (asyncio.sleep).
SLEEPS = futures._set_result_unless_cancelled  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class _Kept:
    when_s: float
    #: After so long it would be as now; 0: of a poll, of which both ends wait for one answer.
    period_s: float
    timer: events.TimerHandle


class Heartbeats:
    """Those of one loop: their timers are kept here until they are to come to pass."""

    def __init__(self, loop: asyncio.AbstractEventLoop, numbers: Iterator[int]) -> None:
        """`numbers` are those of the loop's timers."""
        self._loop, self._numbers = loop, numbers
        self._kept: list[_Kept] = []
        self._news_s = 0.0
        #: When the first timer of the table of timers is to be looked at.
        self.due_s: Callable[[], float] = lambda: math.inf

    def news(self) -> None:
        """Something has happened that a heartbeat may find: somebody was called by Ray or connected
        to, something was committed, or struck. (A message on its way is a timer of its own.)"""
        self._news_s = self._loop.time()

    def takes(self, when_s: float, timer: events.TimerHandle) -> bool:
        """Is it kept here, because a heartbeat or a poll waits until then?"""
        period_s = when_s - self._loop.time()
        if period_s < SHORTEST_S:
            return False
        callback = timer._callback  # type: ignore[attr-defined]
        if getattr(callback, "__func__", None) is Bus._expire:
            kept = _Kept(when_s, 0.0, timer)
        else:
            doing = self._doing()
            if (doing in HEARTBEATS and callback is SLEEPS) or (
                doing in LOOKERS and period_s > LOOKS_S
            ):
                kept = _Kept(when_s, period_s, timer)
            elif doing in READERS and period_s >= Feed.WAIT_S:
                kept = _Kept(when_s, 0.0, timer)
            else:
                return False
        self._kept.append(kept)
        return True

    def _doing(self) -> str:
        """The coroutine of the task that is running."""
        try:
            task = asyncio.current_task(self._loop)
        except RuntimeError:
            return ""
        return "" if task is None else getattr(task.get_coro(), "__qualname__", "")

    def give_back(self, timers: Timers, until_s: float) -> bool:
        """Put those among the timers of the loop that come before any of these, each as late as it
        may come. False where there is nothing else that could ever happen, and all is at rest."""
        self._kept = [each for each in self._kept if not each.timer._cancelled]
        if not self._kept:
            return True
        next_s = min(timers[0][0] if timers else math.inf, until_s)
        if self._loop.time() - self._news_s > REST_S:
            due_s = self.due_s()
            if min(next_s, due_s) >= until_s:
                return False
            self._pass_over(min(next_s, due_s - NEARLY_S))
        first_s = min(each.when_s for each in self._kept)
        if first_s <= next_s:
            due = [each for each in self._kept if each.when_s == first_s]
            self._kept = [each for each in self._kept if each.when_s != first_s]
            for each in due:
                heapq.heappush(timers, (first_s, next(self._numbers), each.timer))
        return True

    def _pass_over(self, next_s: float) -> None:
        last_poll_s = max((each.when_s for each in self._kept if not each.period_s), default=0.0)
        # Of all polls at once, so that none of their ends waits for another time than the other.
        polls_s = _whole(next_s - last_poll_s, Feed.WAIT_S)
        self._kept = [
            replace(
                each,
                when_s=each.when_s
                + (_whole(next_s - each.when_s, each.period_s) if each.period_s else polls_s),
            )
            for each in self._kept
        ]


def _whole(span_s: float, period_s: float) -> float:
    """So much of a span as is whole periods."""
    return period_s * max(span_s // period_s, 0.0)
