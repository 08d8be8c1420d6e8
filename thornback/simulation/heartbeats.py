"""What a system at rest does again and again for nothing, passed over: a night takes milliseconds.

A directory renews its claim, a bus asks whether the writer has committed something that it was not
told of. Where nothing has happened for a while, and nothing is to happen for longer, each of these
looks finds what the one before it found. They are left out, up to the last ones before something
is to happen.
"""

import asyncio
import heapq
import math
from asyncio import events, futures
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thornback.simulation.scheduler import SimulatedLoop

#: The timers of a loop: when, in which order, and what.
Timers = list[tuple[float, int, events.TimerHandle]]

#: The tasks that do nothing else, by the coroutines that they run.
HEARTBEATS = frozenset({"MachineKeeper.keep", "DatabaseClaim.keep", "Bus._look"})
#: Seconds without any news after which a system is at rest: each heartbeat has found nothing
#: by then.
REST_S = 10.0
#: What sleeps for less does not do so for a heartbeat.
SHORTEST_S = 0.1
#: What ends a sleep (asyncio.sleep).
SLEEPS = futures._set_result_unless_cancelled  # type: ignore[attr-defined]


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
        period_s = when_s - self._loop.time()
        if period_s < SHORTEST_S or timer._callback is not SLEEPS:  # type: ignore[attr-defined]
            return False
        try:
            task = asyncio.current_task(self._loop)
        except RuntimeError:
            return False
        if task is None or getattr(task.get_coro(), "__qualname__", "") not in HEARTBEATS:
            return False
        self._kept.append((when_s, period_s, timer))
        return True

    def give_back(self, timers: Timers, until_s: float) -> bool:
        """Put those among the timers of the loop that come before any of these, each as late as it
        may come. False where there is nothing else that could ever happen, and all is at rest."""
        self._kept = [each for each in self._kept if not each[2]._cancelled]
        if not self._kept:
            return True
        next_s = min(timers[0][0] if timers else math.inf, until_s)
        if self._loop.time() - self._news_s > REST_S:
            if next_s == math.inf:
                return False
            self._kept = [
                (when_s + period_s * max((next_s - when_s) // period_s, 0), period_s, timer)
                for when_s, period_s, timer in self._kept
            ]
        first_s = min(when_s for when_s, _, _ in self._kept)
        if first_s <= next_s:
            for when_s, _, timer in self._kept:
                if when_s == first_s:
                    heapq.heappush(timers, (when_s, next(self._loop.numbers), timer))
            self._kept = [each for each in self._kept if each[0] != first_s]
        return True
