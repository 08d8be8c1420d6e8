"""What a driver has for one host: waiting to leave, or under way and not answered yet."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from actors.actor import Actor
from runtime.driver.deadlines import Deadlines
from runtime.driver.dividing import by_host, divided
from runtime.driver.outgoing import Outgoing
from runtime.errors import ConnectionClosed, fresh
from runtime.wire.commands import Answer, CommandPacker


class Rerouted(Exception):
    """Actors of this host may live elsewhere since it was found: it is to be found anew."""


class Outbox:
    """The side of a channel that every thread may use. Whoever puts something in rings for
    the loop; everything in it is finished once, at its deadline at the latest."""

    #: What a caller waits beyond a deadline before it takes itself for forgotten.
    GRACE_S = 5.0

    def __init__(
        self,
        host: str,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        called: Callable[[], None],
        *,
        timeout_s: float,
    ) -> None:
        self._host = host  # immutable
        self._loop = loop  # immutable
        self._deadlines = deadlines  # has a lock of its own
        self._called = called  # immutable: what the bell starts, in the loop
        self._timeout_s = timeout_s  # immutable
        self._lock = threading.Lock()  # guards all that follows
        self._packer = CommandPacker()
        self._open: Outgoing | None = None  # the last in the queue, while commands may join it
        self._queue: deque[Outgoing] = deque()
        self._unfinished: dict[Outgoing, None] = {}  # in their order, which they end in
        self._rung = False  # the loop will come
        #: The version of the table of shards by which all that is in here belongs to this host.
        self.routed = 0
        self._ended: Exception | None = None  # nothing gets in any more, because of this

    def add(
        self,
        fields: tuple[Any, ...],
        actor: type[Actor[Any]] | None,
        *,
        want_events: bool,
        routed: int,
    ) -> tuple[Outgoing, int]:
        """Put one command into the batch that leaves next. Raises InvalidMessage for data
        that has no form on the wire, what the outbox was ended with, and Rerouted where the host
        was found by another version of the table than `routed`."""
        with self._lock:
            self._ring()
            if routed != self.routed:
                raise Rerouted
            packed = self._packer.pack(fields)
            outgoing = self._open
            if outgoing is None or self._loop.time() > outgoing.joined_until_s:
                outgoing = self._open = self._begin()
            index = outgoing.add(packed)
            outgoing.want_events |= want_events
            if actor is not None:
                outgoing.actors.add(actor)
            if outgoing.full:
                self._open = None
        return outgoing, index

    def submit(self, outgoing: Outgoing) -> None:
        """Send a whole batch after those that are waiting. Raises what the outbox was ended
        with, and Rerouted."""
        self.begin(outgoing)
        with self._lock:
            self._ring()
            if outgoing.routed is not None and outgoing.routed != self.routed:
                raise Rerouted
            self._open = None
            self._enqueue(outgoing, outgoing.ends_s)

    def begin(self, outgoing: Outgoing) -> None:
        """The time of a batch begins."""
        outgoing.deadline_s = self._loop.time() + outgoing.patience_s
        # An answer may take its time, even where nothing is to be sent twice.
        outgoing.may_take_s = max(outgoing.patience_s, self._timeout_s)
        outgoing.limit_s = outgoing.may_take_s + self.GRACE_S

    def take_over(self, outgoing: Outgoing) -> None:
        """Send a batch, whose time has begun elsewhere, after those that are waiting. Raises what
        the outbox was ended with."""
        with self._lock:
            self._ring()
            self._open = None
            self._enqueue(outgoing, outgoing.ends_s)

    def reroute(self, routed: int) -> None:
        """By another version of the table from now on, in which all that is here belongs here."""
        with self._lock:
            self.routed = routed

    def divide(
        self, first: Iterable[Outgoing], host_of: Callable[[str], str], routed: int
    ) -> list[tuple[str, Outgoing]]:
        """By another version of the table from now on: what is unsent, behind those that come
        `first` and were sent in vain, belongs to these hosts. Returns what belongs to others, in
        order; the rest stays."""
        leaving: list[tuple[str, Outgoing]] = []
        with self._lock:
            self.routed, self._open = routed, None
            unsent, self._queue = [*first, *self._queue], deque()
            for outgoing in unsent:
                if outgoing.finished:
                    continue
                theirs = by_host(outgoing, host_of)
                if theirs.keys() == {self._host}:
                    self._queue.append(outgoing)
                    continue
                self._unfinished.pop(outgoing, None)
                for host, part in divided(outgoing, theirs).items():
                    if host == self._host:
                        self._enqueue(part, part.ends_s)
                    else:
                        leaving.append((host, part))
        return leaving

    def take(self) -> Outgoing | None:
        """The next batch to leave; nothing joins it any more."""
        with self._lock:
            while self._queue:
                outgoing = self._queue.popleft()
                if outgoing is self._open:
                    self._open = None
                if not outgoing.finished:
                    return outgoing
        return None

    def put_back(self, batches: Iterable[Outgoing]) -> None:
        """These leave first, in this order."""
        with self._lock:
            self._queue.extendleft(reversed([one for one in batches if not one.finished]))

    def finish(self, outgoing: Outgoing, answer: Answer | None, error: Exception | None) -> None:
        """Answered, or failed for good. Nothing joins it any more: it would never be sent."""
        with self._lock:
            if self._open is outgoing:
                self._open = None
            self._unfinished.pop(outgoing, None)
        outgoing.finish(answer, error)

    def unfinished(self) -> list[Outgoing]:
        """All that is not answered yet, wherever it is."""
        with self._lock:
            return list(self._unfinished)

    def waiting(self) -> bool:
        """Does anything wait to leave?"""
        with self._lock:
            return any(not one.finished for one in self._queue)

    def end(self, error: Exception) -> bool:
        """Take nothing any more: later calls raise `error`, and all that is unanswered fails
        with it. False if the outbox was ended before."""
        with self._lock:
            if self._ended is not None:
                return False
            self._ended, self._open = error, None
            unanswered, self._unfinished = list(self._unfinished), {}
            self._queue.clear()
        for outgoing in unanswered:
            outgoing.finish(None, error)
        return True

    def left_behind(self, error: Exception) -> None:
        """This process was forked, and what is in here is its parent's."""
        self._lock = threading.Lock()
        self._ended, self._open = error, None
        unanswered, self._unfinished = list(self._unfinished), {}
        self._queue.clear()
        for outgoing in unanswered:
            outgoing.left_behind(error)

    def heard(self) -> None:
        """The loop has come, and looks at everything that is here by now."""
        with self._lock:
            self._rung = False

    def _begin(self) -> Outgoing:
        outgoing = Outgoing(self._timeout_s, bulk=False, want_events=False)
        outgoing.limit_s = self._timeout_s + self.GRACE_S
        created_s = self._loop.time()
        outgoing.deadline_s = created_s + self._timeout_s
        # One deadline serves all of a batch, so who joins late must not come much later.
        outgoing.joined_until_s = created_s + self._timeout_s / 20
        self._enqueue(outgoing, outgoing.deadline_s)
        return outgoing

    def _enqueue(self, outgoing: Outgoing, until_s: float) -> None:
        self._queue.append(outgoing)
        self._unfinished[outgoing] = None
        self._deadlines.watch(outgoing, until_s)

    def _ring(self) -> None:
        """Have the loop come, once this lock is free. First of all, so that nothing is left
        behind in an outbox that nobody empties any more."""
        if self._ended is not None:
            raise fresh(self._ended)
        if not self._rung:
            try:
                self._loop.call_soon_threadsafe(self._called)
            except RuntimeError as error:  # the loop was closed by somebody else
                raise ConnectionClosed(self._host) from error
            self._rung = True
