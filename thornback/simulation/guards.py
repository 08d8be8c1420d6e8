"""What no seed can repeat, kept out while a simulation runs: this machine's time, threads, waits
that block; and what is random, made of the seed.

Who asks is seen by the file that the code is of: Python's own modules, installed packages and
Thornback itself may do what they do, since what they do is simulated or comes to nothing.
"""

import os
import random
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import actors
import gateways
import runtime
import store
import streams
import thornback
from runtime.driver.pending import Pending
from runtime.driver.subscription import Subscription
from thornback.simulation.errors import NotSimulated

AWAIT = "await it, or what it is made of"
CLOCK = "self.now is a handler's time, an event's timestamp a program's, and night.now a test's"

_PACKAGES = (actors, gateways, runtime, store, streams, thornback)


def _places() -> tuple[str, ...]:
    ours = [str(Path(package.__file__ or "").parent) for package in _PACKAGES]
    python = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(sorted({place + os.sep for place in (*ours, *python)}))


#: Whose code may do what it does.
_TRUSTED = _places()
#: Of those, what is a user's as an example.
_EXAMPLES = tuple(
    str(Path(package.__file__ or "").parent / "examples") + os.sep for package in (actors, streams)
)


def is_users(frame: FrameType) -> bool:
    """Is it of a user's code?"""
    name = frame.f_code.co_filename
    if name.startswith("<"):
        return False
    return name.startswith(_EXAMPLES) or not name.startswith(_TRUSTED)


class Guards:
    """Those of one run; in its thread alone."""

    def __init__(self, seed: int) -> None:
        self._thread = threading.get_ident()
        self._draw = Random(f"{seed}/what is random")
        self.seen: list[NotSimulated] = []  #: whatever became of them

    @contextmanager
    def on(self) -> Iterator[None]:
        """Keep it out meanwhile."""
        state = random.getstate()
        random.seed(self._draw.random())
        try:
            with ExitStack() as after:
                for holder, name, guarded in self._guarded():
                    after.callback(setattr, holder, name, getattr(holder, name))
                    setattr(holder, name, guarded)
                yield
        finally:
            random.setstate(state)

    def _guarded(self) -> Iterator[tuple[Any, str, Callable[..., Any]]]:
        sleep = "await asyncio.sleep(), or night.sleep() in a test, lets virtual time pass"
        yield time, "sleep", self._refused(time.sleep, "time.sleep()", sleep)
        for name in ("time", "time_ns"):
            yield time, name, self._refused(getattr(time, name), f"time.{name}()", CLOCK)
        thread = "asyncio.create_task() begins something beside"
        yield threading.Thread, "start", self._refused(threading.Thread.start, "threads", thread)
        yield (
            threading.Event,
            "wait",
            self._unless(
                threading.Event.wait,
                lambda event: event.is_set(),
                "wait that blocks its only thread",
            ),
        )
        yield (
            Pending,
            "wait",
            self._unless(
                Pending.wait, lambda pending: pending.finished, "reply.result(), which blocks"
            ),
        )
        yield Subscription, "wait_begun", self._unless(
            Subscription.wait_begun, lambda one: one._inlet.begun.done(),
            "system.subscribe() that waits", "await night.subscribe(...)",
        )  # fmt: skip
        yield os, "urandom", self._random
        yield random, "_urandom", self._random

    def _refused(self, real: Callable[..., Any], what: str, instead: str) -> Callable[..., Any]:
        def refused(*arguments: Any, **named: Any) -> Any:
            if self._here() and is_users(sys._getframe(1)):
                self._refuse(what, instead)
            return real(*arguments, **named)

        return refused

    def _unless(
        self, real: Callable[..., Any], over: Callable[[Any], bool], what: str, instead: str = AWAIT
    ) -> Callable[..., Any]:
        def waits(waited: Any, *arguments: Any, **named: Any) -> Any:
            if self._here() and not over(waited):
                self._refuse(what, instead)
            return real(waited, *arguments, **named)

        return waits

    def _random(self, size: int) -> bytes:
        return self._draw.randbytes(size) if self._here() else _urandom(size)

    def _here(self) -> bool:
        return threading.get_ident() == self._thread

    def _refuse(self, what: str, instead: str) -> None:
        error = NotSimulated(what, instead)
        self.seen.append(error)
        raise error


_urandom = os.urandom
