"""The seeded scheduler: one event loop in virtual time for all the processes of a system.

Every callback belongs to an owner: the process incarnation (or driver, or server) in whose
context it was scheduled. Callbacks of one owner run in the order that asyncio gives them;
whose turn it is, where several owners have something to do at the same instant, is drawn
from the seed. An owner can be killed, and then nothing of it ever runs again, no `finally`
either; or be stopped for a while, as by SIGSTOP. Time passes when nobody has anything to do.
"""

import asyncio
import heapq
import inspect
import math
from asyncio import events
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any
from weakref import WeakSet
from zlib import crc32

from thornback.simulation.heartbeats import Heartbeats

_OWNER: ContextVar["Owner"] = ContextVar("owner")
_MIX = 0x9E37_79B9_7F4A_7C15
_MASK = 0xFFFF_FFFF_FFFF_FFFF


#: Turns that all owners together may take at one instant: beyond it somebody turns in circles.
MOST_AT_ONCE = 100_000


class TurnsInCircles(Exception):
    """Somebody has something to do without an end, and no time passes."""


class Owner:
    """Whoever callbacks belong to: one incarnation of a process, a driver, a server."""

    def __init__(self, loop: "SimulatedLoop", name: str) -> None:
        self.name = name
        self.loop = loop
        self.salt = crc32(f"{loop.seed}/{name}".encode()) * _MIX & _MASK
        self.ready: deque[events.Handle] = deque()
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.dead = False
        self.stopped = False  #: by a signal: its callbacks wait
        self.blocked = False  #: by a callback that does not come back: the others wait
        self.active = False  #: in the loop's list of those with something to do
        self.context = copy_context()
        self.context.run(_OWNER.set, self)

    def __repr__(self) -> str:
        return self.name

    def create_task(self, work: Any) -> "asyncio.Task[Any]":
        """A task of this owner."""
        # A copy: this may be called by a callback of the owner, which has entered the context.
        return self.context.copy().run(self.loop.create_task, work)

    def later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """Have this owner run a callback after a while."""
        self.loop.call_at(self.loop.time() + delay_s, callback, *args, context=self.context)

    def kill(self) -> None:
        """Nothing of it runs any more. What it had is kept unfinished until the run is over."""
        self.dead = True
        for task in self.tasks:
            task._log_traceback = False  # who would have looked is dead, too
        for handle in self.ready:
            for done in handle._args or ():  # none of what is cancelled
                if isinstance(done, asyncio.Future):
                    done._log_traceback = False  # was about to
        self.loop.graveyard.append((list(self.tasks), list(self.ready)))
        self.ready.clear()

    def stop(self) -> None:
        """As by SIGSTOP."""
        self.stopped = True

    def go_on(self) -> None:
        """As by SIGCONT."""
        self.stopped = False
        if self.ready:
            self.loop.activate(self)

    @property
    def waits(self) -> bool:
        """Whatever it has to do has to wait."""
        return self.stopped or self.blocked


def owner() -> Owner:
    """Whose callback is running."""
    return _OWNER.get(None) or _world()


def _world() -> Owner:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop.world


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop. `run_until(seconds)` lets so much virtual time pass.

    More than fifteen fields: it is one state, time and what happens in it, that every turn changes
    together.
    """

    def __init__(self, seed: int, *, rests: bool = False) -> None:
        self.seed = seed
        # The time, and what is to happen then:
        self._now_s = 0.0
        self._timers: list[tuple[float, int, events.TimerHandle]] = []
        self.numbers = count()  #: of timers: of two at one instant the earlier made comes first
        #: Where a system at rest may be passed over.
        self.heartbeats = Heartbeats(self, self.numbers) if rests else None
        self._active: list[Owner] = []
        self._over = False
        self.steps = 0
        self._at_once = 0  #: turns since time last passed
        self.graveyard: list[Any] = []
        self.unseen: list[str] = []  #: exceptions that nobody looked at
        super().__init__()
        self.world = Owner(self, "world")
        self.set_task_factory(self._new_task)
        self.set_exception_handler(self._noted)

    def time(self) -> float:
        return self._now_s

    def activate(self, owner: Owner) -> None:
        """It has something to do."""
        if not owner.active and not owner.waits and not owner.dead:
            owner.active = True
            self._active.append(owner)

    def _run_once(self) -> None:
        """For run_until_complete, of tests that need no more than the loop."""
        if not self._step(math.inf):
            raise AssertionError("everything waits, and nothing is left that could happen")

    def run_until(self, until_s: float) -> None:
        """Run everything that happens up to then."""
        events._set_running_loop(self)
        try:
            while self._step(until_s):
                pass
        finally:
            events._set_running_loop(None)
        self._now_s = max(self._now_s, until_s)

    def run_until_done(self, task: "asyncio.Task[Any]", until_s: float = math.inf) -> bool:
        """Run everything that happens until a task is done; False if nothing is left that could
        happen before that, up to then."""
        events._set_running_loop(self)
        try:
            while not task.done():
                if not self._step(until_s):
                    return False
        finally:
            events._set_running_loop(None)
        return True

    def block(self, holder: Owner, until_s: float) -> None:
        """Let time pass for all others while the callback that is running goes on: its owner does
        nothing else until then, nor until it is no longer stopped, unless it is killed."""
        task = asyncio.current_task(self)
        if task is not None:  # of those that run meanwhile each is the present one in its turn
            asyncio.tasks._leave_task(self, task)
        holder.blocked = True
        try:
            while self._now_s < until_s and not holder.dead:
                if not self._step(until_s):
                    self._now_s = until_s
            while holder.stopped and not holder.dead and self._step(math.inf):
                pass
        finally:
            holder.blocked = False
            if task is not None:
                asyncio.tasks._enter_task(self, task)
            if holder.ready:
                self.activate(holder)

    def news(self) -> None:
        """Something has happened that is no mere heartbeat."""
        if self.heartbeats is not None:
            self.heartbeats.news()

    def end(self) -> None:
        """The run is over: what is unfinished is thrown away, and does nothing any more."""
        self._over = True
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            work: Any = task.get_coro()
            if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                work.close()  # its owner was killed before it began: nobody forgot to await it
        self._timers.clear()
        self._active.clear()
        self.graveyard.clear()
        self.close()

    def call_at(  # type: ignore[override]  # its arguments are whatever its callback takes
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = events.TimerHandle(when, callback, args, self, context)
        if not self._over:
            timer._scheduled = True  # type: ignore[attr-defined]
            if self.heartbeats is None or not self.heartbeats.takes(when, timer):
                heapq.heappush(self._timers, (when, next(self.numbers), timer))
        return timer

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self._call_soon(callback, args, context)

    def _call_soon(self, callback: Any, args: Any, context: Context | None) -> events.Handle:
        handle = events.Handle(callback, args, self, context)
        self._put(handle)
        return handle

    def _put(self, handle: events.Handle) -> None:
        owner = handle._context.get(_OWNER, self.world)  # type: ignore[attr-defined]
        if owner.dead:
            self.graveyard.append(handle)
        elif not self._over:
            owner.ready.append(handle)
            if not owner.active:
                self.activate(owner)

    def _check_closed(self) -> None:
        """It has nothing that could be closed."""

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """It is skipped when its time comes."""

    def _step(self, until_s: float) -> bool:
        if not self._active:
            return self._let_time_pass(until_s)
        chosen = self._active[0] if len(self._active) == 1 else self._drawn()
        self.steps += 1
        self._at_once += 1
        if self._at_once > MOST_AT_ONCE:
            raise TurnsInCircles(chosen.name)
        ready = chosen.ready
        for _ in range(len(ready)):
            if not ready or chosen.waits:
                break  # it was killed or stopped by what it did
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
        if chosen.active and (not ready or chosen.waits):
            chosen.active = False
            self._active.remove(chosen)
        return True

    def _drawn(self) -> Owner:
        # By instant and owner, not from one stream of draws: where one fault is taken away,
        # the draws of all other instants stay.
        now = int(self._now_s * 1e7)
        return min(self._active, key=lambda one: (one.salt ^ now) * _MIX & _MASK)

    def _let_time_pass(self, until_s: float) -> bool:
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if self.heartbeats is not None and not self.heartbeats.give_back(timers, until_s):
            return False
        if not timers or timers[0][0] > until_s:
            return False
        self._now_s = max(self._now_s, timers[0][0])
        self._at_once = 0
        while timers and timers[0][0] <= self._now_s:
            handle = heapq.heappop(timers)[2]
            if not handle._cancelled:
                self._put(handle)
        return True

    def _new_task(self, _: Any, work: Any, context: Context | None = None) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(work, loop=self, context=context)
        holder = context.get(_OWNER) if context is not None else _OWNER.get(None)
        (holder or self.world).tasks.add(task)
        return task

    def _noted(self, _: Any, context: dict[str, Any]) -> None:
        if "was destroyed but it is pending" in context["message"]:
            return
        error = context.get("exception")
        self.unseen.append(f"{context['message']}: {error!r}")
