"""Something that a driver waits for: any number of threads and event loops at once."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from runtime.errors import fresh

A = TypeVar("A")

logger = logging.getLogger("thornback.driver")


class Pending(Generic[A]):
    """An outcome to come: an answer, or an error. The first one stands.

    May be used from any thread. `finished`, `answer` and `error` are written once, under
    the lock, and may be read without it when `finished` was seen.
    """

    __slots__ = (
        "__weakref__", "_futures", "_gates", "_lock", "answer", "error", "finished", "held_up",
        "limit_s", "name", "on_finish",
    )  # fmt: skip

    def __init__(self, name: str, limit_s: float | None = None) -> None:
        self.name = name  #: what errors call it
        #: How long it can take at most; a caller that waits longer has been forgotten.
        self.limit_s = limit_s
        #: Why it is still to come, by whoever knows; a reference, for any thread to read.
        self.held_up: Exception | None = None
        self.answer: A | None = None
        self.error: Exception | None = None
        self.finished = False
        #: Called once, by whoever finishes it. To be set before it can be finished, or to be
        #: followed by a look at `finished`.
        self.on_finish: Callable[[Any], None] | None = None
        self._lock = threading.Lock()  # guards what follows, and the step to `finished`
        #: One a thread that waits, held until it is to go on: what threading.Event does, without
        #: the condition around it.
        self._gates: list[threading.Lock] = []
        self._futures: list[asyncio.Future[None]] = []

    def what(self, index: int) -> str:
        """What an error calls its part `index`."""
        return self.name

    def asked(self, index: int) -> str:
        """Its part `index`, in full, for whoever has to wait for it."""
        return self.name

    def held_up_by(self) -> str:
        """What is known of why it is still to come."""
        held_up = self.held_up
        return "" if held_up is None else str(held_up)

    def failure(self, index: int) -> Exception:
        """Why its part `index` has failed, for whoever asked; only where all of it has."""
        assert self.error is not None
        return fresh(self.error)

    def heard(self, index: int) -> None:
        """Somebody was told that its part `index` has failed."""

    def finish(self, answer: A | None, error: Exception | None) -> None:
        """Answered, or failed for good. Hurts nobody: what goes wrong with those who are
        told is theirs, and is logged."""
        with self._lock:
            if self.finished:
                return
            self.answer, self.error, self.finished = answer, error, True
            gates, futures = self._gates, self._futures
            self._gates, self._futures = [], []
        for gate in gates:
            gate.release()
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for future in futures:
            by_loop.setdefault(future.get_loop(), []).append(future)
        for loop, theirs in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, theirs)
            except RuntimeError:  # it is closed: nobody is left in it who could wait
                logger.debug("%s: the event loop that waited is closed", self.name)
        if self.on_finish is not None:
            try:
                self.on_finish(self)
            except Exception:
                logger.exception("%s: whoever was told of its end failed", self.name)

    def left_behind(self, error: Exception) -> None:
        """This process was forked. What is to come comes to its parent, and so do those who wait
        there; here it has failed, and who had asked for it is told so when he looks."""
        self._lock = threading.Lock()
        self._gates, self._futures = [], []
        if not self.finished:
            self.answer, self.error, self.finished = None, error, True

    def wait(self, timeout_s: float | None) -> bool:
        """Block until it is finished; False if that took too long."""
        with self._lock:
            if self.finished:
                return True
            gate = threading.Lock()
            gate.acquire()
            self._gates.append(gate)
        if gate.acquire(timeout=-1 if timeout_s is None else lock_seconds(timeout_s)):
            return True
        with self._lock:
            if not self.finished:
                self._gates.remove(gate)
            return self.finished

    def future(self) -> "asyncio.Future[None] | None":
        """A new future of the running loop that ends with it; None if it is finished."""
        with self._lock:
            if self.finished:
                return None
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._futures.append(future)
            return future


def lock_seconds(timeout_s: float) -> float:
    """A time limit as locks take it: theirs has an end, and begins now."""
    return min(max(0.0, timeout_s), threading.TIMEOUT_MAX)


def _resolve(futures: "list[asyncio.Future[None]]") -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
