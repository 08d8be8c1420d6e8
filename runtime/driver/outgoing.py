"""A batch of commands on its way from a driver, and the replies that wait for it."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from actors.actor import Actor
from runtime.wire.commands import MAX_BYTES, MAX_COMMANDS, Answer, source_of_command

T = TypeVar("T")


class Outgoing:
    """Commands for one host that travel together. Thread-safe once it is closed."""

    __slots__ = (
        "__weakref__", "actors", "answer", "bulk", "commands", "created_s", "deadline_s", "error",
        "finished", "futures", "joined_until_s", "lock", "on_finish", "patience_s", "registered",
        "size", "waiting", "want_events",
    )  # fmt: skip

    def __init__(self, patience_s: float, *, bulk: bool, want_events: bool) -> None:
        self.commands: list[bytes] = []
        self.actors: set[type[Actor[Any]]] = set()
        self.size = 0
        self.patience_s = patience_s  #: from when it is sent until it has failed for good
        self.bulk = bulk
        self.want_events = want_events
        self.created_s = 0.0
        self.deadline_s = 0.0
        self.joined_until_s = 0.0
        self.registered = False
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.finished = False
        self.lock = threading.Lock()
        self.waiting: threading.Event | None = None
        self.futures: list[asyncio.Future[None]] = []
        self.on_finish: Callable[[Outgoing], None] | None = None

    @property
    def full(self) -> bool:
        """Is it time to send it?"""
        return len(self.commands) >= MAX_COMMANDS or self.size >= MAX_BYTES

    def add(self, packed: bytes) -> int:
        """Add a command; its index."""
        self.commands.append(packed)
        self.size += len(packed)
        return len(self.commands) - 1

    def source(self, index: int) -> str:
        """Whom a command is for."""
        return source_of_command(self.commands[index])

    def finish(self, answer: Answer | None, error: Exception | None) -> None:
        """Answered, or failed for good. The first outcome stands."""
        with self.lock:
            if self.finished:
                return
            self.answer, self.error, self.finished = answer, error, True
            waiting, futures = self.waiting, self.futures
            self.futures = []
        if waiting is not None:
            waiting.set()
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for future in futures:
            by_loop.setdefault(future.get_loop(), []).append(future)
        for loop, theirs in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, theirs)
        if self.on_finish is not None:
            self.on_finish(self)

    def wait(self, timeout_s: float | None) -> bool:
        """Block until it is finished; False if that took too long."""
        with self.lock:
            if self.finished:
                return True
            if self.waiting is None:
                self.waiting = threading.Event()
        return self.waiting.wait(timeout_s)

    def future(self) -> "asyncio.Future[None] | None":
        """A new future of the running loop that ends with it; None if it is finished."""
        with self.lock:
            if self.finished:
                return None
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.futures.append(future)
            return future


def _resolve(futures: "list[asyncio.Future[None]]") -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
