"""Ends what keeps a host from everything else: a handler that does not come back.

A handler that waits, or computes for long, stops all actors of its host. The loop that it stops
cannot do anything about it, and a look at the clock before each command would cost each command; so
a thread looks four times a second at what is at hand.

| what was found                                  | what is done                                   |
|-------------------------------------------------|------------------------------------------------|
| the same as a second ago                        | it is logged, and again at twice that time     |
| it goes on beyond its actor's time limit        | it is noted, and interrupted (interruptible.py)|
| a second later it still does: it blocks in C    | the process ends, for Ray to start it anew     |
| nothing: this thread does not come to run, since| the dead man's switch ends the process         |
| C code has the interpreter                      |                                                |

What was noted is not run again, by the next incarnation neither (blocked.py): whoever waits for it
is told, and its actor has failed.
"""

import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any, Protocol

from actors.naming import actor_type_of
from actors.supervision import SHORTEST_S
from runtime.errors import HandlerBlocked
from runtime.host.actor_types import ActorTypes
from runtime.host.failing_code import running_frames
from runtime.host.interruptible import Interruptible
from runtime.process.notes import Notes
from runtime.telemetry.metrics import ActorMetrics
from runtime.wire.commands import MESSAGE_TYPE, SOURCE, told

logger = logging.getLogger("thornback.host")

_RUNS = Interruptible.run.__code__
#: Modules of debuggers: whom somebody looks at with one is left alone.
_DEBUGGERS = frozenset({"pdb", "bdb", "pydevd", "debugpy", "ray.util.rpdb"})


class Ends(Protocol):
    """A process's world, as far as its end is concerned."""

    def end(self) -> None:
        """End this process at once."""

    def end_unless_called(self, within_s: float, telling: int) -> None:
        """End it, unless this is called again in time."""


class TimeLimits:
    """How long code of actors may take at a time: what its class says, or else a part of the time
    that callers wait."""

    #: The setting is meant for replies, and may be short. A machine with much to do may well do
    #: something else for so long.
    LEAST_S = 1.0
    #: Of the time that callers wait. What is left is for two looks and the answer, so that callers
    #: are told why, and those of neighbours are answered, before they give up.
    SHARE = 0.8

    def __init__(self, types: ActorTypes, patience_s: float) -> None:
        """`patience_s` is for how long callers wait for an answer."""
        self._types, self._default_s = types, max(patience_s * self.SHARE, self.LEAST_S)

    def of(self, source: str) -> float:
        """That of one actor."""
        known = self._types.get(actor_type_of(source))
        said = None if known is None else known.type.actor.time_limit_s
        return self._default_s if said is None else float(said)

    def longest_s(self) -> float:
        """That of whoever has most time."""
        return max([self._default_s, *(self.of(f"{name}/") for name in self._types.names())])


class HandlerWatch:
    """Watches what is run in the thread of a host's loop. But for its limits and what it acts by,
    its fields are those of the thread that looks."""

    #: Between two looks; what takes less is not seen, and what takes twice as long is.
    LOOK_S = SHORTEST_S
    #: From then on it is logged.
    SAY_S = 1.0
    #: After it was interrupted it may take so long to end.
    GRACE_S = 1.0
    #: The dead man's switch waits so much longer than the longest limit.
    MORE_S = 3.0

    def __init__(
        self,
        work: Interruptible,
        limits: TimeLimits,
        metrics: ActorMetrics,
        world: Ends,
        notes: Notes | None,
    ) -> None:
        self._work, self._limits, self._metrics, self._world = work, limits, metrics, world
        #: Where a dead man's switch tells what it has seen; None: there is none.
        self._telling = None if notes is None else notes.telling()
        self._began_s: float | None = None  # the first look
        self._at: Sequence[Any] | None = None  # what was found last
        self._since_s = 0.0  # when that was found first
        self._took_s = 0.0  # how long it had taken at the last look
        self._say_s = self.SAY_S  # after so long it is said
        self._because: HandlerBlocked | None = None  # why it was interrupted
        self._interrupted_s = 0.0  # when it was
        self._given_up = False  # its process is to end

    def watching(self) -> Callable[[], None]:
        """To be run in a thread: looks as long as somebody keeps this object. What comes before the
        first look is watched by the dead man's switch: a command that is sent again comes early."""
        self._set_switch()
        return partial(_looking, weakref.WeakMethod(self.look), self.LOOK_S)

    def look(self, now_s: float) -> None:
        """Is the same at hand as at the look before?"""
        self._live_on(now_s)
        at = self._work.at
        if at is None or at is not self._at:
            self._has_ended()
            self._at, self._since_s, self._say_s = at, now_s, self.SAY_S
            self._because, self._given_up = None, False
            return
        self._took_s = now_s - self._since_s
        if self._took_s >= self._say_s:
            self._say_s = 2 * self._took_s
            self._say(at)
        limit_s = self._limits.of(at[SOURCE])
        if self._took_s >= limit_s and not self._given_up and not self._is_debugged():
            self._end(at, limit_s, now_s)

    def _live_on(self, now_s: float) -> None:
        if self._began_s is None:
            self._began_s = now_s
        blocked = self._work.blocked
        if blocked.at_hand.note is not None and now_s - self._began_s > blocked.at_hand.WARY_S:
            blocked.trust()
        self._set_switch()

    def _set_switch(self) -> None:
        if self._telling is not None:
            self._world.end_unless_called(self._limits.longest_s() + self.MORE_S, self._telling)

    def _has_ended(self) -> None:
        """What was found last is no more at hand, or will not be."""
        if self._at is not None and self._took_s:
            self._metrics.took(actor_type_of(self._at[SOURCE]), self._took_s)
        self._took_s = 0.0

    def _end(self, at: Sequence[Any], limit_s: float, now_s: float) -> None:
        if self._because is None:
            self._interrupted_s = now_s
            failure = f"it took longer than {limit_s:g} s"
            self._because = self._work.blocked.add(at, failure, self._frames()).error()
            logger.error("%s is interrupted at %s: %s", at[SOURCE], told(at[MESSAGE_TYPE]), failure)
        if now_s - self._interrupted_s < self.GRACE_S:
            self._work.interrupt(at, self._because)  # again, where it has caught that
            return
        self._given_up = True
        self._has_ended()
        logger.critical(
            "%s cannot be interrupted at %s: this process ends, for Ray to start it anew",
            at[SOURCE], told(at[MESSAGE_TYPE]),
        )  # fmt: skip
        self._world.end()

    def _say(self, at: Sequence[Any]) -> None:
        logger.warning(
            "%s has been at %s for %.0f s, and nobody else of its host has his turn: its handler "
            "still runs (%s). A handler decides from its state and its message, and does not wait.",
            at[SOURCE], told(at[MESSAGE_TYPE]), self._took_s,
            "; ".join(self._frames()) or "in the host",
        )  # fmt: skip

    def _frames(self) -> list[str]:
        """Where in its own code it is."""
        return running_frames(self._stack())

    def _is_debugged(self) -> bool:
        """Somebody looks at it: it is left alone."""
        names = (str(frame.f_globals.get("__name__")) for frame in self._stack())
        return any(not _DEBUGGERS.isdisjoint((name, name.partition(".")[0])) for name in names)

    def _stack(self) -> Iterator[FrameType]:
        """What runs in the thread that is watched, the innermost first."""
        frame = sys._current_frames().get(self._work.thread)
        while frame is not None and frame.f_code is not _RUNS:
            yield frame
            frame = frame.f_back


def _looking(look: "weakref.WeakMethod[Any]", every_s: float) -> None:
    pause = threading.Event()
    while not pause.wait(every_s) and (bound := look()) is not None:
        try:
            bound(time.monotonic())
        except Exception:  # a frame that is gone by now, say: the next look is another one
            logger.exception("a look at which handler keeps its host failed")
        del bound  # or this thread would be the one that keeps it
