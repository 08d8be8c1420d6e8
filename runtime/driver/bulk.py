"""Bulk calls: many commands from an iterable, in full batches, with backpressure.

The iterable is read only as fast as the hosts answer. Order is kept per actor. What a
host or database that is away leaves open is sent again, under the same ids, for as long
as the caller's patience lasts.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from actors.actor import Command
from actors.event import Event
from actors.moments import microseconds
from runtime.driver.channel import Channel
from runtime.driver.outgoing import Outgoing
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.wire.answers import read_events
from runtime.wire.commands import CommandPacker
from runtime.wire.error_codec import decode_error

#: Batches handed to one channel and not answered yet: the bound of a bulk call's memory.
WINDOW = 6


class Send(NamedTuple):
    """One item of a bulk call, with an id and a time of its own."""

    ref: ActorRef[Any]
    message: Command
    id: UUID | bytes | None = None
    at: datetime | int | None = None  #: an aware datetime, or microseconds since 2000


Item = Send | tuple[ActorRef[Any], Command]


@dataclass
class BulkResult:
    """What became of the commands of one `tell_many`."""

    MAX_ERRORS = 100

    commands: int = 0
    events: int = 0
    repeats: int = 0  #: had taken effect before
    failed: int = 0
    errors: list[tuple[str, Exception]] = field(default_factory=list)  #: the first 100
    round_trips_s: list[float] = field(default_factory=list)  #: of each batch

    def add(self, outgoing: Outgoing, now_s: float) -> None:
        """Count a finished batch in."""
        self.commands += len(outgoing.commands)
        self.round_trips_s.append(now_s - outgoing.created_s)
        if outgoing.answer is None:
            self._fail(outgoing, range(len(outgoing.commands)), outgoing.error)
            return
        self.events += outgoing.answer.total
        self.repeats += len(outgoing.answer.repeats)
        for index, encoded in outgoing.answer.errors.items():
            self._fail(outgoing, (index,), decode_error(encoded))

    def _fail(self, outgoing: Outgoing, indexes: Iterable[int], error: Exception | None) -> None:
        for index in indexes:
            self.failed += 1
            if len(self.errors) < self.MAX_ERRORS and error is not None:
                self.errors.append((outgoing.source(index), error))


class _Filling:
    """The batch being filled for each channel of one bulk call."""

    def __init__(self, patience_s: float, *, want_events: bool) -> None:
        self._patience_s = patience_s
        self._want_events = want_events
        self._pack = CommandPacker().pack
        self._filling: dict[Channel, Outgoing] = {}
        self._slots: dict[Channel, threading.Semaphore] = {}
        self.on_finish: Callable[[Outgoing], None] | None = None

    def add(self, item: Item) -> tuple[Outgoing, int]:
        """Put a command into its channel's batch; blocks while too much is unanswered."""
        if len(item) == 2:
            ref, message = item
            command_id, at = ref.connection.new_id(), ref.connection.world.now_us()
        else:
            ref, message, command_id, at = _particulars(item)
        channel = ref.channel
        packed = self._pack(
            (ref.source, message.message_type, command_id, at, message.__dict__, None, None)
        )
        outgoing = self._filling.get(channel) or self._begin(channel)
        if ref.actor is not None:
            outgoing.actors.add(ref.actor)
        index = outgoing.add(packed)
        if outgoing.full:
            self.send(channel)
        return outgoing, index

    def _begin(self, channel: Channel) -> Outgoing:
        outgoing = Outgoing(self._patience_s, bulk=True, want_events=self._want_events)
        self._filling[channel] = outgoing
        return outgoing

    def send(self, channel: Channel) -> None:
        """Send what there is for a channel."""
        outgoing = self._filling.pop(channel)
        slots = self._slots.setdefault(channel, threading.Semaphore(WINDOW))
        slots.acquire()
        outgoing.on_finish = lambda finished: self._finished(finished, slots)
        channel.submit(outgoing)

    def send_all(self) -> None:
        """Send what there is for every channel."""
        for channel in list(self._filling):
            self.send(channel)

    def wait(self) -> None:
        """Block until everything is answered."""
        self.send_all()
        for slots in self._slots.values():
            for _ in range(WINDOW):
                slots.acquire()

    def _finished(self, outgoing: Outgoing, slots: threading.Semaphore) -> None:
        if self.on_finish is not None:
            self.on_finish(outgoing)
        slots.release()


def _particulars(item: Send) -> tuple[ActorRef[Any], Command, bytes, int]:
    ref, message, command_id, at = item
    if command_id is None:
        command_id = ref.connection.new_id()
    elif isinstance(command_id, UUID):
        command_id = command_id.bytes
    if at is None:
        at = ref.connection.world.now_us()
    elif not isinstance(at, int):
        at = microseconds(at)
    return ref, message, command_id, at


def tell_many(
    items: Iterable[Item],
    patience_s: float,
    clock_s: Callable[[], float],
    progress: Callable[[BulkResult], None] | None,
) -> BulkResult:
    """See ActorSystem.tell_many."""
    told, lock = BulkResult(), threading.Lock()

    def finished(outgoing: Outgoing) -> None:
        with lock:
            told.add(outgoing, clock_s())
            if progress is not None:
                progress(told)

    filling = _Filling(patience_s, want_events=False)
    filling.on_finish = finished
    try:
        for item in items:
            filling.add(item)
    finally:
        filling.wait()
    return told


def ask_many(items: Iterable[Item], patience_s: float, ahead: int) -> Iterator[Reply[list[Event]]]:
    """See ActorSystem.ask_many."""
    filling = _Filling(patience_s, want_events=True)
    replies: deque[Reply[list[Event]]] = deque()
    for item in items:
        outgoing, index = filling.add(item)
        replies.append(Reply(outgoing, index, read_events))
        if len(replies) >= ahead:
            yield _answered(replies.popleft(), filling)
    filling.send_all()
    while replies:
        yield _answered(replies.popleft(), filling)


def _answered(reply: Reply[list[Event]], filling: _Filling) -> Reply[list[Event]]:
    if not reply.done():
        filling.send_all()
        reply.wait()
    return reply
