"""Delivering messages between actors: from the log to their receivers' hosts, in order.

Its place in the log is a durable subscription, whose checkpoint moves only behind messages that are
answered for good. A message that its receiver refuses, or cannot process, is written into the log
as returned, by an append that a successor would fence off; only then it is finished. What is
returned is delivered like any other message, to its sender. Whatever goes wrong on the way, this
begins anew from the checkpoint: ids make harmless what is sent twice.
"""

import asyncio
import logging
from array import array
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from actors.errors import ThornbackError
from actors.event import Event
from actors.messages import RETURNED, RETURNS_SOURCE, SENT
from actors.naming import actor_type_of, aggregate_key_of
from runtime.clocks import NodeClock
from runtime.driver.channel import Channel
from runtime.driver.connection import Connection
from runtime.driver.hosts import Hosts
from runtime.driver.outgoing import Outgoing
from runtime.partition.feed import Feed
from runtime.partition.journal import Journal
from runtime.partition.writer_link import WriterLink
from runtime.process.world import World
from runtime.processing.letters import (
    Letter,
    ReturnedLetter,
    letter_of,
    packed_letter,
    receiver_of,
    return_id,
    returned,
)
from runtime.processing.mailing import Mailing, Message
from runtime.settings.settings import Settings
from runtime.topology.names import WORKERS_NODE, clock_nodes
from runtime.topology.status import DelivererFacts
from runtime.wire.commands import CommandPacker
from runtime.wire.error_codec import EncodedError, decode_error
from store.appends import Acknowledged, CheckpointMove
from store.errors import StaleCheckpoint, StaleEpoch, StoreUnavailable
from store.event_store import EventStore, Page
from store.receipts import NOTHING_FINISHED, Receipt
from store.rows.decoding import Decoder
from store.rows.encoding import CLOCK, cause_fields, encode_row, text_field, type_fields
from store.rows.json_text import encode_payload
from store.rows.layout import EncodedRows
from store.selection import Selection

logger = logging.getLogger("thornback.processing")

#: What its durable subscription is called, and so what `thornback verify` knows it by.
MESSAGES = actor_type_of(RETURNS_SOURCE)
SELECTION = Selection(event_types=tuple(sorted((SENT, RETURNED))))

#: Errors of a command whose actor type its host does not know, or not by a class that fits its log:
#: somebody may bring it.
_CLASS_AWAY = ("UnknownActorType", "InvalidActor")


class Delivery:
    """The one of a system.

    More than fifteen fields: what it was made of, one incarnation, and how it fares stand apart
    below; its event loop alone changes any of them.
    """

    #: Batches under way to one host: what is answered while the next ones travel.
    WINDOW = 3
    #: A batch is sent again for as long as it takes: ten years.
    PATIENCE_S = 315_360_000.0
    #: How soon after it the store is told what is finished.
    EVERY_S = 0.5
    #: How long the messages of a receiver rest whose class is away, or whose batch has failed.
    REST_S = 1.0
    #: Pauses before it begins anew: bus, writer and database do not say when they are back.
    PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0

    def __init__(
        self,
        world: World,
        settings: Settings,
        store: EventStore,
        connect: Callable[[], Connection],
    ) -> None:
        # Set once:
        self._world, self._settings, self._store, self._connect = world, settings, store, connect
        self._label = f"{settings.event_bus.node_id}.{WORKERS_NODE}"
        self._node = f"{self._label}/{MESSAGES}"
        patience_s = settings.actor_system.actor_timeout_ms / 2000
        self._writer = WriterLink(world, patience_s=patience_s)
        self._decoder = Decoder()
        self._packer = CommandPacker()
        self._source_field = text_field(RETURNS_SOURCE)
        self._aggregate_id = aggregate_key_of(RETURNS_SOURCE)
        # One incarnation, made anew by `_begin`:
        self._number = 0  #: of its node's epoch
        self._epoch = 0  #: of its checkpoint
        self._connection: Connection | None = None
        self._mailing: Mailing[Channel] = Mailing(0)
        self._receipt: Receipt = NOTHING_FINISHED
        self._kept = 0  #: the position that the store has
        self._kept_s = 0.0  #: when it was told last
        self._in_doubt = 0  #: messages up to there may be returned already
        self._version = 0  #: of the last event of RETURNS_SOURCE
        self._under_way: dict[Outgoing, tuple[Channel, list[Message]]] = {}
        self._answered: deque[Outgoing] = deque()
        self._to_return: list[tuple[Message, Letter, EncodedError]] = []
        self._returning: tuple[asyncio.Task[Acknowledged], list[Message]] | None = None
        self._bringing: dict[str, asyncio.Task[None]] = {}  # classes, by actor type
        # How it fares:
        self._changed = asyncio.Event()  #: a page came, something is answered, or somebody waits
        self.facts = DelivererFacts()

    async def run(self) -> None:
        """For ever. Raises StaleEpoch or StaleCheckpoint when somebody else delivers now."""
        pause_s = self.PAUSE_S
        while True:
            position = self._kept
            try:
                await self._deliver()
            except (StaleEpoch, StaleCheckpoint):
                raise
            except (ThornbackError, ConnectionError, TimeoutError) as error:
                self._say(trouble=str(error) or type(error).__name__)
                logger.warning("messages: delivering begins anew: %s", self.facts.trouble)
                if self._kept > position:
                    pause_s = self.PAUSE_S
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self.LONGEST_PAUSE_S)

    async def flush(self) -> int:
        """Wait until all that is under way by now is answered, and tell the store; up to which
        position all is finished. It goes on meanwhile, and afterwards."""
        for outgoing in list(self._under_way):
            if (future := outgoing.future()) is not None:
                await future
        self._collect()
        if self._returning is not None:
            await asyncio.wait({self._returning[0]})
        self._settle()
        self._finish()
        await self._move()
        return self._kept

    def close(self) -> None:
        """Deliver no more."""
        for bringing in self._bringing.values():
            bringing.cancel()
        if self._connection is not None:
            self._connection.close()

    # One incarnation -------------------------------------------------------------------------

    async def _deliver(self) -> None:
        position = await self._begin()
        assert self._connection is not None
        self._say(trouble=None, position=position)
        log = self._connection.log
        feed = Feed(log, SELECTION, position, on_change=self._changed.set)
        try:
            while True:
                self._changed.clear()
                self._collect()
                self._settle()
                self._return()
                self._finish()
                self._send()
                if self._kept_s + self.EVERY_S <= self._now_s():
                    await self._move()
                page = feed.take() if self._mailing.has_room else None
                if page is not None:
                    await self._take(page)
                    await asyncio.sleep(0)  # answers come, and others have their turn
                else:
                    await self._wait_changed()
        except (Exception, asyncio.CancelledError):  # not where its loop has ended before it
            feed.close()
            raise

    async def _begin(self) -> int:
        store, world = self._store, self._world
        self.close()
        self._connection = self._connect()
        epoch = await store.open_epoch(self._node, world.holder(self._settings))
        self._number = epoch.number
        self._journal = Journal(epoch, self._writer.append)
        system = self._settings.actor_system
        nodes = await store.nodes() | clock_nodes(
            self._settings.event_bus.node_id, system.hosts, system.placement
        )
        self._clock = NodeClock(self._label, epoch.counter, nodes)
        self._epoch = int.from_bytes(world.random(8)) % 2**62
        record = await store.open_subscription(MESSAGES, SELECTION, 0, self._epoch)
        # Whoever delivered before is fenced off from here on, and what he has returned is there.
        self._in_doubt = await store.head()
        versions = await store.last_versions([self._aggregate_id])
        self._version = versions.get(self._aggregate_id, 0)
        await store.note_event_types([(MESSAGES, RETURNED)])
        self._kept, self._receipt = record.position, record.receipt
        self._kept_s = self._now_s()
        self._mailing = Mailing(record.position)
        self._under_way.clear()
        self._answered.clear()
        self._bringing.clear()
        self._to_return, returning, self._returning = [], self._returning, None
        if returning is not None:
            returning[0].add_done_callback(_heard)  # it is nobody's any more
        return record.position

    async def _wait_changed(self) -> None:
        """Until a page is there, or something is answered, or the store is to be told."""
        untold = self._mailing.position > self._kept
        left_s = self._kept_s + self.EVERY_S - self._now_s()
        try:
            async with asyncio.timeout(max(left_s, 0.0) if untold else None):
                await self._changed.wait()
        except TimeoutError:
            await self._move()

    async def _take(self, page: Page) -> None:
        """What was read joins the messages that are to be delivered."""
        assert self._connection is not None
        decoded = self._decoder.page(page.rows)
        self._connection.clock.observe_events(decoded.clocks)
        done = await self._returned_before(decoded.events)
        of = self._connection.channels.of
        for event in decoded.events:
            letter = letter_of(event)
            receiver = "" if letter is None else receiver_of(letter)
            packed = b"" if letter is None else packed_letter(event, letter, self._packer)
            message = Message(event, receiver, packed)
            if letter is None or return_id(event) in done:
                message.finished = True
            elif isinstance(letter, ReturnedLetter) and not letter.returns:
                self._is_dead(letter, "its sender is no actor")
                message.finished = True
            self._mailing.add(message, of(receiver, None) if not message.finished else None)
        self._mailing.passed(page.through)

    async def _returned_before(self, events: list[Event]) -> set[bytes]:
        """The ids of those that say that some of these events have been returned: they had no
        effect, and are not to have one now."""
        doubtful = [
            return_id(event)
            for event in events
            if event.event_type == SENT and (event.position or 0) <= self._in_doubt
        ]
        return set(await self._store.find_ids(doubtful)) if doubtful else set()

    # Batches ---------------------------------------------------------------------------------

    def _send(self) -> None:
        mailing = self._mailing
        under_way = Counter(channel for channel, _ in self._under_way.values())
        for channel in mailing.ways():
            while under_way[channel] < self.WINDOW:
                outgoing = Outgoing(self.PATIENCE_S, bulk=True, want_events=False)
                messages = mailing.take(channel, outgoing)
                if not messages:
                    break
                outgoing.on_finish = self._has_answered
                self._under_way[outgoing] = channel, messages
                under_way[channel] += 1
                channel.submit(outgoing)

    def _has_answered(self, outgoing: Outgoing) -> None:
        self._answered.append(outgoing)
        self._changed.set()

    def _collect(self) -> None:
        while self._answered:
            outgoing = self._answered.popleft()
            found = self._under_way.pop(outgoing, None)
            if found is not None:  # else it is of an incarnation before
                self._judge(outgoing, found[1])

    def _judge(self, outgoing: Outgoing, messages: list[Message]) -> None:
        """What an answer says of each of its messages."""
        receivers = dict.fromkeys(message.receiver for message in messages)
        if outgoing.answer is None:
            assert outgoing.error is not None
            self._rest(messages, outgoing.error)
            return
        again: dict[str, list[Message]] = {}
        errors = outgoing.answer.errors
        for index, message in enumerate(messages):
            encoded = errors.get(index)
            if encoded is None:
                message.finished = True
            elif encoded[0] in _CLASS_AWAY:
                again.setdefault(message.receiver, []).append(message)
            else:
                self._refused(message, encoded)
        waiting = sum(map(len, again.values()))
        self._say(delivered=self.facts.delivered + len(messages) - waiting)
        for receiver, theirs in again.items():
            del receivers[receiver]
            index = messages.index(theirs[0])
            self._rest(theirs, decode_error(errors[index]))
            self._bring(receiver)
        self._mailing.answered(receivers)

    def _refused(self, message: Message, encoded: EncodedError) -> None:
        letter = letter_of(message.event)
        if isinstance(letter, Letter):
            self._to_return.append((message, letter, encoded))
            return
        assert letter is not None
        error = decode_error(encoded)
        self._is_dead(letter, f"{message.receiver} does not take it back: {error}")
        message.finished = True

    def _rest(self, messages: list[Message], error: Exception) -> None:
        """They are sent again, in their order, after a while."""
        receivers = {message.receiver: None for message in messages}
        self._mailing.put_back(messages)
        shown = ", ".join(list(receivers)[:3])
        trouble = f"{len(messages)} messages wait, for {shown}: {error}"
        if trouble != self.facts.trouble:
            logger.warning("messages: %s", trouble)
        self._say(trouble=trouble)
        asyncio.get_running_loop().call_later(self.REST_S, self._rested, self._mailing, receivers)

    def _rested(self, mailing: Mailing[Channel], receivers: dict[str, None]) -> None:
        if mailing is self._mailing:
            mailing.answered(receivers)
            self._say(trouble=None)
            self._changed.set()

    def _bring(self, receiver: str) -> None:
        """The host of this receiver does not know its class: another one may."""
        actor_type = actor_type_of(receiver)
        bringing = self._bringing.get(actor_type)
        if bringing is None or bringing.done():
            self._bringing[actor_type] = asyncio.ensure_future(self._brought(receiver))

    async def _brought(self, receiver: str) -> None:
        assert self._connection is not None
        hosts = Hosts(self._connection)
        try:
            for known in await hosts.descriptions({}):
                if known.actor_type == actor_type_of(receiver) and known.code is not None:
                    await hosts.offer(receiver, known.code)
                    return
        except (ThornbackError, ConnectionError) as error:
            logger.info("messages: no class of %s was brought: %s", receiver, error)

    # What is returned --------------------------------------------------------------------------

    def _return(self) -> None:
        """One append at a time: what is refused meanwhile goes together with the next one."""
        if self._returning is not None or not self._to_return:
            return
        assert self._connection is not None
        refused, self._to_return = self._to_return, []
        self._clock.observe(self._connection.clock.counts())
        rows = [self._row(*each) for each in refused]
        encoded = EncodedRows(b"".join(rows), array("I", map(len, rows)))
        types = Counter({RETURNED: len(rows)})
        sending = self._journal.append(encoded, types, self._clock.ticks)
        sending.add_done_callback(lambda _: self._changed.set())
        self._returning = sending, [message for message, _, _ in refused]

    def _row(self, message: Message, letter: Letter, error: EncodedError) -> bytes:
        sent = message.event
        self._version += 1
        self._clock.ticks += 1
        correlation = sent.correlation_id
        payload = returned(sent, letter, error)
        return encode_row(
            return_id(sent),
            self._aggregate_id,
            self._version,
            self._world.now_us(),
            type_fields(RETURNED, payload.kind.value),
            self._source_field,
            encode_payload(RETURNED, payload),
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
            self._say(returned=self.facts.returned + len(messages))

    def _is_dead(self, letter: Letter | ReturnedLetter, reason: str) -> None:
        """Nobody takes it back. The log has it as a MessageReturned."""
        self._say(dead=self.facts.dead + 1)
        logger.error("messages: a dead letter, %s: %s", reason, letter)

    # How far it is -----------------------------------------------------------------------------

    def _finish(self) -> None:
        events, position = self._mailing.finish()
        if events:
            self._receipt = self._receipt.plus(event.id_bytes for event in events)
        self._say(position=position, waiting=self._mailing.unfinished)

    async def _move(self) -> None:
        """Have the store know how far it is."""
        position, receipt = self._mailing.position, self._receipt
        if position > self._kept:
            move = CheckpointMove(
                name=MESSAGES, epoch=self._epoch, position=position, receipt=receipt
            )
            try:
                await self._store.move_checkpoint(move)
                self._kept = position
            except StoreUnavailable as error:  # there is nothing to be done meanwhile either
                self._say(trouble=str(error))
        self._kept_s = self._now_s()

    def _say(self, **changes: Any) -> None:
        self.facts = replace(self.facts, **changes)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def _heard(sending: "asyncio.Task[Acknowledged]") -> None:
    """What becomes of an append of before, the log knows."""
    if not sending.cancelled():
        sending.exception()
