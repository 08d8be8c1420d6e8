"""What a system at rest does again and again for nothing, passed over: a night takes milliseconds.

A directory renews its claim, a bus asks whether the writer has committed something that it was not
told of. Where nothing has happened for a while, and nothing is to happen for longer, each of these
looks finds what the one before it found. They are left out, up to the last ones before something
is to happen.
"""

import asyncio
import heapq
import math
from asyncio import events
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thornback.simulation.scheduler import SimulatedLoop

#: The timers of a loop: when, in which order, and what.
Timers = list[tuple[float, int, events.TimerHandle]]

#: The tasks that do nothing else, by the coroutines that they run.
HEARTBEATS = frozenset({"MachineKeeper.keep", "DatabaseClaim.keep", "Bus._look"})
#: Seconds without any news after which a system is at rest: each heartbeat has found nothing
#: several times by then.
REST_S = 30.0


class Heartbeats:
    """Those of one loop. What is on its way there is in the loop's own heap, or kept here."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        self._loop = loop
        self._kept: list[tuple[float, float, events.TimerHandle]] = []  #: when, period, and what
        self._news_s = 0.0

    def news(self) -> None:
        """Something has happened: somebody has sent something, or committed, or was struck."""
        self._news_s = self._loop.time()

    def takes(self, when_s: float, timer: events.TimerHandle) -> bool:
        """Is it kept here, because a heartbeat sleeps until then?"""
        try:
            task = asyncio.current_task(self._loop)
        except RuntimeError:
            return False
        if task is None or getattr(task.get_coro(), "__qualname__", "") not in HEARTBEATS:
            return False
        period_s = when_s - self._loop.time()
        if period_s < 0.1:
            return False  # no sleep of its own, but a message on its way
        self._kept.append((when_s, period_s, timer))
        return True

    def give_back(
        self, timers: list[tuple[float, int, events.TimerHandle]], until_s: float
    ) -> bool:
        """Put them among the timers of the loop, as late as they may come. False where there is
        nothing else that could ever happen, and all is at rest."""
        kept = [each for each in self._kept if not each[2]._cancelled]
        self._kept.clear()
        next_s = min(timers[0][0] if timers else math.inf, until_s)
        at_rest = self._loop.time() - self._news_s > REST_S
        if at_rest and next_s == math.inf:
            self._kept = kept
            return False
        for when_s, period_s, timer in kept:
            passed_over = max(math.floor((next_s - when_s) / period_s), 0) if at_rest else 0
            late_s = when_s + passed_over * period_s
            heapq.heappush(timers, (late_s, next(self._loop.numbers), timer))
        return True
