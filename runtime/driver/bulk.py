"""Bulk calls: many commands from an iterable, in full batches, with backpressure.

The iterable is read only as fast as the hosts answer. Order is kept per actor. What a
host or database that is away leaves open is sent again, under the same ids, for as long
as the caller's patience lasts.

What goes through the items, and gives the answers back, is in bulk_steps.py.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from actors.actor import Command
from actors.errors import ThornbackError
from runtime.driver.channel import Channel
from runtime.driver.connection import Connection
from runtime.driver.outgoing import Outgoing
from runtime.driver.ref import ActorRef
from runtime.driver.validation import check_message, id_bytes, moment_us
from runtime.errors import InvalidMessage
from runtime.wire.commands import CommandPacker
from runtime.wire.values import members

logger = logging.getLogger("thornback.driver")


class Send(NamedTuple):
    """One item of a bulk call, with an id and a time of its own."""

    ref: ActorRef[Any]
    message: Command
    id: UUID | bytes | None = None
    at: datetime | int | None = None  #: an aware datetime, or Unix microseconds


Item = Send | tuple[ActorRef[Any], Command]


@dataclass(repr=False)
class BulkResult:
    """What became of the commands of one `tell_many`."""

    MAX_ERRORS = 100
    #: So many of them are shown where it is printed.
    SHOWN = 3

    commands: int = 0
    events: int = 0
    repeats: int = 0  #: had taken effect before
    failed: int = 0
    errors: list[tuple[str, Exception]] = field(default_factory=list)  #: the first 100

    def __repr__(self) -> str:
        """Short enough to be read: with the first errors, each in a line's space."""
        shown = "".join(f"{at}: {error!s:.100}; " for at, error in self.errors[: self.SHOWN])
        more = f"and {self.failed - self.SHOWN:,} more" if self.failed > self.SHOWN else ""
        why = f" ({shown}{more}".removesuffix("; ") + ")" if shown else ""
        return (
            f"<BulkResult: {self.commands:,} commands, {self.events:,} events, "
            f"{self.repeats:,} repeats, {self.failed:,} failed{why}>"
        )

    def add(self, outgoing: Outgoing) -> None:
        """Count a finished batch in."""
        self.commands += len(outgoing.commands)
        if outgoing.answer is None:
            self._fail(outgoing, range(len(outgoing.commands)))
            return
        self.events += outgoing.answer.total
        self.repeats += len(outgoing.answer.repeats)
        self._fail(outgoing, outgoing.answer.errors)

    def __add__(self, other: "BulkResult") -> "BulkResult":
        """What became of the commands of both."""
        return BulkResult(
            self.commands + other.commands,
            self.events + other.events,
            self.repeats + other.repeats,
            self.failed + other.failed,
            [*self.errors, *other.errors][: self.MAX_ERRORS],
        )

    def _fail(self, outgoing: Outgoing, indexes: Iterable[int]) -> None:
        for index in indexes:
            self.failed += 1
            if len(self.errors) < self.MAX_ERRORS:
                self.errors.append((outgoing.what(index), outgoing.failure(index)))


class BulkCall:
    """The batches of one bulk call: being filled, under way, answered.

    One thread drives it. The channels finish batches in their own loop, which touches
    `_answered` alone and then calls `changed`.
    """

    #: Batches handed to one channel and not answered yet; with the one being filled for it,
    #: the bound of a bulk call's memory.
    WINDOW = 6

    def __init__(
        self, patience_s: float, *, want_events: bool, changed: Callable[[], None]
    ) -> None:
        self._patience_s = _checked_patience(patience_s)  # immutable
        self._want_events = want_events  # immutable
        self._changed = changed  # immutable; called in the courier's loop
        packer = CommandPacker()
        self._pack, self._pack_plain = packer.pack, packer.pack_plain
        self._filling: dict[Channel, Outgoing] = {}
        self._stalled: dict[Channel, Outgoing] = {}  # full, and there is no room for them
        self._under_way: dict[Channel, int] = {}
        self._answered: deque[tuple[Channel, Outgoing]] = deque()  # appended to by the loop
        self._no_room: Item | None = None  # was offered last, in vain
        # By which version of its table of shards all these were found, of each connection: there is
        # one, but for a system of several partitions. The first two are those of the last item.
        self._of: Connection | None = None
        self._routed = 0
        self._routed_by: dict[Connection, int] = {}
        self._left = False  # the caller went before the end

    def offer(self, item: Item) -> tuple[Outgoing, int] | None:
        """Put a command into its channel's batch. None if that is full and too much is under
        way already: to be offered again when something was answered.

        Raises InvalidMessage for what cannot be sent, and ConnectionClosed.
        """
        try:
            ref = item[0]
            channel, routed = ref.way
        except (AttributeError, TypeError, LookupError) as error:
            raise no_item(item) from error
        if routed != self._routed or ref.connection is not self._of:
            self._found_by(ref.connection, routed)
        outgoing, self._no_room = self._filling.get(channel), None
        if outgoing is None and channel in self._stalled and not self._send(channel):
            self._no_room = item
            return None
        at = ref.connection.world.now_us()
        if outgoing is None:
            outgoing = Outgoing(self._patience_s, bulk=True, want_events=self._want_events)
            outgoing.ids = ref.connection.new_ids(at)
            outgoing.routed = routed
        if len(item) == 2:
            _, message = item
            command_id = next(outgoing.ids)
        else:
            message, command_id, at = _particulars(item, outgoing.ids, at)
        plain = check_message(message, ref.source)
        data = message.__dict__ if plain else members(message)
        pack = self._pack_plain if plain else self._pack
        packed = pack((ref.source, message.message_type, command_id, at, data, None, None))
        index = outgoing.add(packed)
        if index == 0:
            self._filling[channel] = outgoing  # not before: an empty one would never be sent
        if ref.actor is not None:
            outgoing.actors.add(ref.actor)
        if outgoing.full:
            self._stalled[channel] = self._filling.pop(channel)
            self._send(channel)
        return outgoing, index

    def send_all(self) -> None:
        """Send what there is, full or not, to every channel that has room for it."""
        for channel in (*self._stalled, *self._filling):
            self._send(channel)

    @property
    def answered(self) -> bool:
        """Is there anything to collect?"""
        return bool(self._answered)

    @property
    def idle(self) -> bool:
        """Is nothing being filled, on its way or to be collected?"""
        return not (self._filling or self._stalled or self._under_way)

    def collect(self) -> list[Outgoing]:
        """The batches that were answered, or have failed, since the last call; there is room
        for as many again."""
        collected = []
        while self._answered:
            channel, outgoing = self._answered.popleft()
            self._under_way[channel] -= 1
            if not self._under_way[channel]:
                del self._under_way[channel]
            collected.append(outgoing)
        return collected

    def leave(self) -> list[Outgoing]:
        """The caller takes no answers any more. What was taken and not sent never will be, which
        is logged; the batches that it was in are returned. What is under way goes on, and is
        logged where it fails. Changes nothing where everything was answered."""
        if self.idle:
            return []
        unsent = [*self._stalled.values(), *self._filling.values()]
        self._stalled, self._filling = {}, {}
        self._left = True
        self._say_failures()
        if unsent:
            count = sum(len(one.commands) for one in unsent) + (self._no_room is not None)
            logger.warning(
                "a bulk call was left before its end: %s of the commands that it had taken were "
                "not sent, and will not be, the first of them %s", f"{count:,}", unsent[0].asked(0),
            )  # fmt: skip
        return unsent

    def _found_by(self, connection: Connection, routed: int) -> None:
        """Where some actors live elsewhere by now, what was taken for them goes before what comes
        next, and so does the rest, though there may be no room for it."""
        self._of, self._routed = connection, routed
        if self._routed_by.get(connection) == routed:
            return
        self._routed_by[connection] = routed
        for channel in (*self._stalled, *self._filling):
            self._send(channel, in_any_case=True)

    def _send(self, channel: Channel, *, in_any_case: bool = False) -> bool:
        if self._under_way.get(channel, 0) >= self.WINDOW and not in_any_case:
            return False
        batches = self._stalled if channel in self._stalled else self._filling
        outgoing = batches.pop(channel)
        self._under_way[channel] = self._under_way.get(channel, 0) + 1
        outgoing.on_finish = lambda finished: self._finished(channel, finished)
        try:
            channel.submit(outgoing)
        except ThornbackError as error:  # what the channel was ended with: also its host is gone
            outgoing.finish(None, error)
        return True

    def _finished(self, channel: Channel, outgoing: Outgoing) -> None:
        self._answered.append((channel, outgoing))
        self._changed()
        if self._left:
            self._say_failures()

    def _say_failures(self) -> None:
        """The caller has left: what is answered from now on is logged where it has failed. He and
        the loop may come to it at once."""
        while True:
            try:
                _, outgoing = self._answered.popleft()
            except IndexError:
                return
            if not self._want_events:  # of asks, it is said when their replies go unheard
                outgoing.say_unheard()


def _checked_patience(patience_s: Any) -> float:
    """How long a batch may take. Raises ValueError."""
    if not isinstance(patience_s, bool) and isinstance(patience_s, int | float) and patience_s >= 0:
        return patience_s
    raise ValueError(f"patience_s= is a number of seconds, not {patience_s!r:.80}")


def no_item(item: Any) -> InvalidMessage:
    """What is said of an item that is none."""
    problem = ""
    if isinstance(item, tuple) and len(item) > 1 and isinstance(item[1], ActorRef):
        problem = "its pair is the other way round: "
    elif isinstance(item, ActorRef | Command):
        problem = "give it a list of pairs, [(ref, message)]: "
    return InvalidMessage(
        "a bulk call", f"{item!r:.120}", f"{problem}an item is (ref, message) or Send(...)"
    )


def _particulars(item: Send, ids: Iterator[bytes], now_us: int) -> tuple[Command, bytes, int]:
    if not isinstance(item, Send):
        raise no_item(item)
    ref, message, command_id, at = item
    check_message(message, ref.source)
    of = ref.source, message.message_type
    return (
        message,
        next(ids) if command_id is None else id_bytes(command_id, *of),
        now_us if at is None else moment_us(at, *of),
    )
