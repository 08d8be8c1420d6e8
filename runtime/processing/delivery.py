"""Delivering messages between actors: each MessageSent of the log is posted to its receiver.

A message that its receiver refuses, or cannot process, is written into the log as returned, by an
append that a successor would fence off; only then it is finished. What is returned is posted like
any other message, to its sender.
"""

import asyncio
import logging
from array import array
from collections import Counter
from collections.abc import Callable, Sequence

from actors.event import Event
from actors.messages import RETURNED, RETURNS_SOURCE, SENT
from actors.naming import actor_type_of, aggregate_key_of
from runtime.clocks import NodeClock
from runtime.driver.connection import Connection
from runtime.driver.hosts import Hosts
from runtime.partition.journal import Journal
from runtime.partition.writer_link import WriterLink
from runtime.process.partitioning import node_ids_of
from runtime.process.world import World
from runtime.processing.class_bringing import bring_class, bring_class_from
from runtime.processing.letters import (
    Letter,
    ReturnedLetter,
    letter_of,
    packed_letter,
    receiver_of,
    return_id,
    returned,
)
from runtime.processing.mailing import Message
from runtime.processing.posting import Elsewhere, Posting
from runtime.processing.posting import Letter as Posted
from runtime.settings.settings import Settings
from runtime.topology.names import possible_nodes
from runtime.topology.status import DelivererFacts
from runtime.wire.error_codec import EncodedError, decode_error, text_of_error
from store.appends import Acknowledged
from store.dead_letters import LetterChange, Parked
from store.errors import InvalidData
from store.event_store import EventStore
from store.rows.encoding import CLOCK, cause_fields, encode_row, text_field, type_fields
from store.rows.json_text import encode_payload
from store.rows.layout import EncodedRows
from store.selection import Selection

logger = logging.getLogger("thornback.processing")

#: What its durable subscription is called, and so what `thornback verify` knows it by.
MESSAGES = actor_type_of(RETURNS_SOURCE)
SELECTION = Selection(event_types=tuple(sorted((SENT, RETURNED))))


class Delivery(Posting):
    """The one of a system."""

    def __init__(
        self,
        world: World,
        settings: Settings,
        store: EventStore,
        connect: Callable[[], Connection],
        elsewhere: Elsewhere | None = None,
    ) -> None:
        super().__init__(
            MESSAGES, SELECTION, 0,
            world=world, settings=settings, store=store, connect=connect, elsewhere=elsewhere,
        )  # fmt: skip
        # Set once:
        self._node = f"{self._label}/{MESSAGES}"
        patience_s = settings.actor_system.actor_timeout_ms / 2000
        self._writer = WriterLink(world, patience_s=patience_s)
        self._source_field = text_field(RETURNS_SOURCE)
        self._aggregate_id = aggregate_key_of(RETURNS_SOURCE)
        # One incarnation, made anew by `_begin_more`:
        self._number = 0  #: of its node's epoch
        self._in_doubt = 0  #: messages up to there may be returned already
        self._version = 0  #: of the last event of RETURNS_SOURCE
        self._to_return: list[tuple[Message, Letter, EncodedError]] = []
        self._dead: list[tuple[Message, str]] = []  #: that nobody takes back, and why
        self._returning: tuple[asyncio.Task[Acknowledged], list[Message]] | None = None
        self._going = 0, 0  #: so many returns, and dead letters, are in that append
        # How it fares:
        self.facts = DelivererFacts()

    async def _begin_more(self) -> None:
        store = self._store
        epoch = await store.open_epoch(self._node, self._world.holder(self._settings))
        self._number = epoch.number
        self._journal = Journal(epoch, self._writer.append)
        system = self._settings.actor_system
        nodes = await store.nodes() | possible_nodes(
            node_ids_of(self._settings), system.hosts, system.placement
        )
        self._clock = NodeClock(self._label, epoch.counter, nodes)
        # Whoever delivered before is fenced off from here on, and what he has returned is there.
        self._in_doubt = await store.head()
        versions = await store.last_versions([self._aggregate_id])
        self._version = versions.get(self._aggregate_id, 0)
        await store.note_event_types([(MESSAGES, RETURNED)])
        self._to_return, self._dead = [], []
        returning, self._returning = self._returning, None
        if returning is not None:
            returning[0].add_done_callback(_heard)  # it is nobody's any more

    async def _letters(self, events: list[Event]) -> list[Sequence[Posted]]:
        done = await self._returned_before(events)
        dead = await self._dead_before(events)
        return [
            () if event.id_bytes in dead else list(self._posted(event, done)) for event in events
        ]

    def _posted(self, event: Event, done: set[bytes]) -> Sequence[Posted]:
        letter = letter_of(event)
        if letter is None or (done and return_id(event) in done):
            return ()
        if isinstance(letter, ReturnedLetter) and not letter.returns:
            return ()  # it became a dead letter with its return
        return [(receiver_of(letter), packed_letter(event, letter, self._packer))]

    async def _returned_before(self, events: list[Event]) -> set[bytes]:
        """The ids of those that say that some of these events have been returned: they had no
        effect, and are not to have one now."""
        doubtful = [
            return_id(event)
            for event in events
            if event.event_type == SENT and (event.position or 0) <= self._in_doubt
        ]
        return set(await self._store.find_ids(doubtful)) if doubtful else set()

    async def _dead_before(self, events: list[Event]) -> set[bytes]:
        """The ids of those of these events that nobody has taken back: each is a dead letter, and
        whose checkpoint was not moved behind it comes again. It would be taken back now, perhaps,
        and be a dead letter all the same."""
        dead: set[bytes] = set()
        for event in events:
            position = event.position or 0
            if event.event_type != RETURNED or position > self._in_doubt:
                continue
            if (letter := letter_of(event)) is not None:
                parked = Parked(MESSAGES, by_source=False, name=receiver_of(letter))
                found = await self._store.dead_letters(parked, position - 1, 1)
                dead.update(each.event_id for each in found)
        return dead

    def _refused(self, message: Message, encoded: EncodedError) -> None:
        letter = letter_of(message.event)
        if isinstance(letter, Letter):
            self._to_return.append((message, letter, encoded))
            return
        self._dead.append((message, f"{message.receiver} does not take it back: {_said(encoded)}"))

    def _work(self) -> None:
        """One append at a time: what is refused meanwhile goes together with the next one."""
        if self._returning is not None or not (self._to_return or self._dead):
            return
        assert self._connection is not None
        refused, self._to_return = self._to_return, []
        dead, self._dead = self._dead, []
        self._clock.observe(self._connection.clock.counts())
        rows = [self._row(*each) for each in refused]
        dead += [
            (message, f"its sender is no actor, and it was refused: {_said(error)}")
            for message, letter, error in refused
            if not letter.returns
        ]
        encoded = EncodedRows(b"".join(rows), array("I", map(len, rows)))
        types = Counter({RETURNED: len(rows)} if rows else {})
        letters = [_dead_letter(message, reason) for message, reason in dead]
        sending = self._journal.append(encoded, types, self._clock.ticks, letters=letters)
        sending.add_done_callback(lambda _: self._changed.set())
        messages = [message for message, _, _ in refused] + [message for message, _ in dead]
        self._returning = sending, messages
        self._going = len(rows), len(dead)

    def _row(self, message: Message, letter: Letter, error: EncodedError) -> bytes:
        sent = message.event
        self._version += 1
        self._clock.ticks += 1
        correlation = sent.correlation_id
        payload = returned(sent, letter, error)
        try:
            data = encode_payload(RETURNED, payload)
        except InvalidData:  # with the reason it is larger than an event may be
            data = encode_payload(RETURNED, payload.model_copy(update={"message": {}}))
        return encode_row(
            return_id(sent),
            self._aggregate_id,
            self._version,
            self._world.now_us(),
            type_fields(RETURNED, payload.kind.value),
            self._source_field,
            data,
            CLOCK % (self._clock.prefix, self._clock.ticks),
            cause_fields(None if correlation is None else correlation.bytes, sent.id_bytes),
        )

    def _settle(self) -> None:
        """Hear of the append that is done, if it is. Raises what it was refused with."""
        if self._returning is not None and self._returning[0].done():
            (sending, messages), self._returning = self._returning, None
            sending.result()
            for message in messages:
                message.finished = True
            returned, dead = self._going
            self._say(returned=self.facts.returned + returned, dead=self.facts.dead + dead)

    async def _bring(self, hosts: Hosts, receiver: str) -> bool:
        return await bring_class(hosts, actor_type_of(receiver), receiver)

    async def _bring_from(self, known: Hosts, hosts: Hosts, receiver: str) -> bool:
        return await bring_class_from(known, hosts, actor_type_of(receiver), receiver)

    def _count(self, answered: int) -> None:
        waiting = self._mailing.unfinished
        self._say(delivered=self.facts.delivered + answered, waiting=waiting)

    def _unsettled(self) -> object:
        return self._returning


def _said(encoded: EncodedError) -> str:
    return text_of_error(decode_error(encoded))


def _dead_letter(message: Message, reason: str) -> LetterChange:
    """A message that nobody takes, as the store keeps it: under whom it was for last."""
    event = message.event
    logger.error("messages: a dead letter, event %s of %s: %s", event.id, event.source, reason)
    return LetterChange(
        parked=Parked(MESSAGES, by_source=False, name=message.receiver),
        position=event.position or 0,
        event_id=event.id_bytes,
        slots=0,
        watermark_us=0,
        reason=reason,
        tries=1,
    )


def _heard(sending: "asyncio.Task[Acknowledged]") -> None:
    """What becomes of an append of before, the log knows."""
    if not sending.cancelled():
        sending.exception()
