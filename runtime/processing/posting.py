"""Posting: events of the log as commands for actors, to their hosts, in order.

Its place in the log is a durable subscription, whose checkpoint moves only behind commands that are
answered for good. Of one receiver one batch is under way. Whatever goes wrong on the way, this
begins anew from the checkpoint: the commands' ids derive from the events', and make harmless what
is sent twice.

What is posted, and what is done with a refusal, says who derives from it: delivery.py does it for
messages between actors, hearing.py for actors that listen.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from actors.errors import ThornbackError
from actors.event import Event
from actors.naming import actor_type_of
from runtime.driver.channel import Channel
from runtime.driver.connection import Connection
from runtime.driver.hosts import Hosts
from runtime.driver.outgoing import Outgoing
from runtime.errors import ActorRestarting, UnknownActorType
from runtime.partition.feed import Feed
from runtime.process.world import World
from runtime.processing.mailing import Mailing, Message
from runtime.processing.patience import until_answered
from runtime.settings.settings import Settings
from runtime.topology.names import WORKERS_NODE
from runtime.topology.partitions import partition_of
from runtime.wire.commands import CommandPacker
from runtime.wire.error_codec import EncodedError, decode_error
from store.appends import CheckpointMove
from store.errors import StaleCheckpoint, StaleEpoch, StoreUnavailable
from store.event_store import EventStore, Page
from store.receipts import NOTHING_FINISHED, Receipt
from store.rows.decoding import Decoder
from store.selection import Selection

logger = logging.getLogger("thornback.processing")

_NOBODY_KNOWS = (
    "no host knows the class of its type yet; name the class where the message is sent, "
    "Tell((Class, name), ...), have a driver send such an actor a command, or name its module in "
    "actor_system.actor_modules"
)

#: Errors of a command whose actor type its host does not know, or not by a class that fits its log:
#: somebody may bring it.
CLASS_AWAY = ("UnknownActorType", "InvalidActor")
#: Of a command whose actor has failed before, and takes it in a moment.
RESTS = ActorRestarting.__name__

#: Makes a connection to another partition.
Elsewhere = Callable[[int], Connection]

#: A receiver's source, and the command that it is sent.
Letter = tuple[str, bytes]


class Posting:
    """One durable subscription whose effects are commands.

    More than fifteen fields: what it was made of, one incarnation, and how it fares stand apart
    below; its event loop alone changes any of them.
    """

    #: Batches under way to one host: what is answered while the next ones travel.
    WINDOW = 3
    #: Receivers whose host is remembered.
    WAYS = 50_000
    #: A batch is sent again for as long as it takes: ten years.
    PATIENCE_S = 315_360_000.0
    #: How soon after it the store is told what is finished.
    EVERY_S = 0.5
    #: How long the messages of a receiver rest whose class is away, or whose batch has failed.
    REST_S = 1.0
    #: Pauses before it begins anew: bus, writer and database do not say when they are back.
    PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0

    #: Is its checkpoint made where there is none? Or was what it does dropped then?
    MAKES = True
    #: Errors of a command that pass: it waits.
    AWAY: tuple[str, ...] = CLASS_AWAY
    #: What it is that is posted, as people are told of it.
    THINGS = "messages"

    #: How it fares: what its process says of it.
    facts: Any

    def __init__(
        self,
        name: str,
        selection: Selection,
        after: int,
        *,
        world: World,
        settings: Settings,
        store: EventStore,
        connect: Callable[[], Connection],
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Where it is new it begins after that position. `elsewhere` makes connections to other
        partitions, where there are several and receivers may be in any of them."""
        # Set once:
        self.name = name
        self._selection, self._after = selection, after
        self._world, self._settings, self._store, self._connect = world, settings, store, connect
        self._label = f"{settings.event_bus.node_id}.{WORKERS_NODE}"
        self._decoder = Decoder()
        self._packer = CommandPacker()
        self._elsewhere = elsewhere
        self._partitions = settings.event_store.partitions
        # One incarnation, made anew by `_begin`:
        self._epoch = 0  #: of its checkpoint
        self._connection: Connection | None = None
        self._connections: dict[int, Connection] = {}  #: to other partitions, as they are needed
        self._mailing: Mailing[Channel] = Mailing(0)
        self._receipt: Receipt = NOTHING_FINISHED
        self._kept = 0  #: the position that the store has
        self._meant = 0  #: the one that it was told last, and has perhaps, though nobody heard so
        self._kept_s = 0.0  #: when it was told last
        self._under_way: dict[Outgoing, tuple[Channel, list[Message]]] = {}
        self._answered: deque[Outgoing] = deque()
        #: To the hosts of receivers, as they were found first: what belongs elsewhere by now, their
        #: channels see to.
        self._ways: dict[str, Channel] = {}
        #: By which version of its table of shards the first of them was found, by channel.
        self._routed: dict[Channel, int] = {}
        self._abroad: set[Channel] = set()  # those of other partitions
        self._resting: set[str] = set()  # receivers whose messages are to be sent again
        self._woken: set[str] = set()  # those of them that were sent again early, once
        self._bringing: dict[str, asyncio.Task[None]] = {}  # classes, by actor type
        self._unknown: set[str] = set()  # actor types whose class nobody had who was asked
        # How it fares:
        self._changed = asyncio.Event()  #: a page came, or something is answered
        self._turned = asyncio.Event()  #: that was looked at
        self._stands = False  #: it goes on when it is resumed

    # What is posted, and what becomes of it -------------------------------------------------

    async def _letters(self, events: list[Event]) -> list[Sequence[Letter]]:
        """What each event is posted as. Raises StoreUnavailable."""
        raise NotImplementedError

    def _refused(self, message: Message, encoded: EncodedError) -> None:
        """Its receiver has refused it for good. It is to be finished, now or later."""
        raise NotImplementedError

    async def _bring(self, hosts: Hosts, receiver: str) -> bool:
        """Have the host of a receiver know its class; is there anybody who has it? Raises
        ThornbackError."""
        raise NotImplementedError

    async def _bring_from(self, known: Hosts, hosts: Hosts, receiver: str) -> bool:
        """The same, from whom the hosts of this partition know. Raises ThornbackError."""
        raise NotImplementedError

    def _count(self, answered: int) -> None:
        """So many more commands are answered."""
        raise NotImplementedError

    async def _begin_more(self) -> None:
        """A new incarnation begins; whoever posted before is fenced off."""

    async def _prepare(self) -> None:
        """Find what else is to be sent. Raises StoreUnavailable."""

    def _settle(self) -> None:
        """Hear of what was under way. Raises what it was refused with."""

    def _work(self) -> None:
        """Begin what is to be done beside the commands."""

    def _unsettled(self) -> object:
        """What of that is under way; None if nothing is."""
        return None

    async def run(self) -> None:
        """For ever. Raises StaleEpoch or StaleCheckpoint when somebody else posts now."""
        pause_s = self.PAUSE_S
        while True:
            position = self._kept
            try:
                await self._deliver()
            except (StaleEpoch, StaleCheckpoint):
                if not await until_answered(
                    self._was_interrupted, self._waits,
                    pause_s=self.PAUSE_S, longest_s=self.LONGEST_PAUSE_S,
                ):  # fmt: skip
                    raise
            except (ThornbackError, ConnectionError, TimeoutError) as error:
                self._say(trouble=str(error) or type(error).__name__)
                logger.warning("%s begins anew: %s", self.name, self.facts.trouble)
                if self._kept > position:
                    pause_s = self.PAUSE_S
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self.LONGEST_PAUSE_S)

    def _waits(self, error: StoreUnavailable) -> None:
        self._say(trouble=str(error))

    async def _was_interrupted(self) -> bool:
        """Is its checkpoint in nobody's hands? Then something was erased that it may have read."""
        records = await self._store.subscriptions()
        return any(record.name == self.name and record.epoch < 0 for record in records)

    async def flush(self) -> int:
        """Wait until all that is under way by now is answered, and tell the store; up to which
        position all is finished. It goes on meanwhile, and afterwards; one that stands at an event
        has finished what came before. What is under way to another partition is not waited for:
        that may have ended before this one, and what it has not answered is sent again."""
        under_way, unsettled = self._under_way.items(), self._unsettled()
        wanted = {each for each, (channel, _) in under_way if channel not in self._abroad}
        while not self._stands and (
            wanted & self._under_way.keys()
            or (unsettled is not None and unsettled is self._unsettled())
        ):
            self._turned.clear()
            await self._turned.wait()
        await self._move()
        return self._kept

    def close(self) -> None:
        """Post no more."""
        for bringing in self._bringing.values():
            bringing.cancel()
        if self._connection is not None:
            self._connection.close()
        for connection in self._connections.values():
            connection.close()

    # One incarnation -------------------------------------------------------------------------

    async def _deliver(self) -> None:
        position = await self._begin()
        assert self._connection is not None
        self._say(trouble=None, position=position)
        log = self._connection.log
        # What it is to do again after an erasure, it meets as that has left it.
        feed = Feed(log, self._selection, position, on_change=self._changed.set, committed=True)
        try:
            while True:
                self._changed.clear()
                self._collect()
                self._settle()
                self._work()
                await self._prepare()
                self._finish()
                self._send()
                self._turned.set()
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
        self.close()
        self._connection, self._connections = self._connect(), {}
        self._epoch = int.from_bytes(self._world.random(8)) % 2**62
        record = await self._store.open_subscription(
            self.name, self._selection, self._after, self._epoch, make=self.MAKES
        )
        await self._begin_more()
        self._kept, self._meant, self._receipt = record.position, 0, record.receipt
        self._kept_s = self._now_s()
        self._mailing = Mailing(record.position)
        self._under_way.clear()
        self._answered.clear()
        self._bringing.clear()
        self._resting.clear()
        self._woken.clear()
        self._ways.clear()
        self._routed = {}
        self._abroad.clear()
        return record.position

    async def _wait_changed(self) -> None:
        """Until a page is there, or something is answered, or the store is to be told."""
        untold = self._mailing.position > self._kept
        left_s = self._kept_s + self.EVERY_S - self._now_s()
        if not await self._changed_within(max(left_s, 0.0) if untold else None):
            await self._move()

    async def _changed_within(self, limit_s: float | None) -> bool:
        try:
            async with asyncio.timeout(limit_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _take(self, page: Page) -> None:
        """What was read joins the messages that are to be delivered."""
        assert self._connection is not None
        decoded = self._decoder.page(page.rows)
        self._connection.clock.observe_events(decoded.clocks)
        letters = await self._letters(decoded.events)
        for event, theirs in zip(decoded.events, letters, strict=True):
            for receiver, packed in theirs:
                self._mailing.add(Message(event, receiver, packed), self._way_to(receiver))
            self._mailing.passed(event.position or 0, event)
        self._mailing.passed(page.through)

    def _way_to(self, receiver: str) -> Channel:
        way = self._ways.get(receiver)
        if way is None or way.moved:
            if len(self._ways) >= self.WAYS:
                self._ways.clear()
            connection = self._connection_to(receiver)
            way, routed = connection.channels.way(receiver, None)
            self._ways[receiver] = way
            if connection is not self._connection:
                self._abroad.add(way)
            self._routed[way] = min(routed, self._routed.get(way, routed))
        return way

    def _connection_to(self, receiver: str) -> Connection:
        """That to the partition of a receiver."""
        assert self._connection is not None
        partition = partition_of(receiver, self._partitions)
        if self._elsewhere is None or partition == self._settings.event_store.partition:
            return self._connection
        if partition not in self._connections:
            self._connections[partition] = self._elsewhere(partition)
        return self._connections[partition]

    # Batches ---------------------------------------------------------------------------------

    def _send(self) -> None:
        mailing = self._mailing
        under_way = Counter(channel for channel, _ in self._under_way.values())
        for channel in mailing.ways():
            while under_way[channel] < self.WINDOW:
                outgoing = Outgoing(self.PATIENCE_S, bulk=True, want_events=False)
                outgoing.routed = self._routed.get(channel)
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
            if index in outgoing.without_answer:  # no host has refused it
                again.setdefault(message.receiver, []).append(message)
            elif encoded is None:
                message.finished = True
            elif encoded[0] in self.AWAY or encoded[0] == RESTS:
                again.setdefault(message.receiver, []).append(message)
            else:
                self._refused(message, encoded)
        waiting = sum(map(len, again.values()))
        self._count(len(messages) - waiting)
        for receiver, theirs in again.items():
            del receivers[receiver]
            first = messages.index(theirs[0])
            if first in outgoing.without_answer:
                self._rest(theirs, outgoing.without_answer[first])
                continue
            error = decode_error(errors[first])
            if isinstance(error, ActorRestarting):
                self._rest(theirs, error, said=False)
                continue
            # Of the first one of a type nothing is said: mostly its class is there in a moment.
            said = not isinstance(error, UnknownActorType) or (
                actor_type_of(receiver) in self._unknown
            )
            self._rest(theirs, error, said=said)
            self._have_brought(receiver)
        if not again and not self._resting and self.facts.trouble is not None:
            self._say(trouble=None)
        self._woken.difference_update(receivers)
        self._mailing.answered(receivers)

    def _rest(self, messages: list[Message], error: Exception, *, said: bool = True) -> None:
        """They are sent again, in their order, after a while."""
        receivers = {message.receiver: None for message in messages}
        self._mailing.put_back(messages)
        self._resting |= receivers.keys()
        if said:
            shown = ", ".join(list(receivers)[:3])
            why = _NOBODY_KNOWS if isinstance(error, UnknownActorType) else error
            trouble = f"{len(messages)} {self.THINGS} wait, for {shown}: {why}"
            if trouble != self.facts.trouble:
                logger.warning("%s: %s", self.name, trouble)
            self._say(trouble=trouble)
        asyncio.get_running_loop().call_later(self.REST_S, self._rested, self._mailing, receivers)

    def _rested(self, mailing: Mailing[Channel], receivers: dict[str, None]) -> None:
        if mailing is self._mailing:
            # One that was brought its class is on its way by now.
            resting = [receiver for receiver in receivers if receiver in self._resting]
            mailing.answered(resting)
            self._resting.difference_update(resting)
            self._changed.set()

    def _have_brought(self, receiver: str) -> None:
        """The host of this receiver does not know its class: another one may."""
        actor_type = actor_type_of(receiver)
        bringing = self._bringing.get(actor_type)
        if bringing is None or bringing.done():
            self._bringing[actor_type] = asyncio.ensure_future(self._brought(receiver))

    async def _brought(self, receiver: str) -> None:
        assert self._connection is not None
        actor_type, mailing = actor_type_of(receiver), self._mailing
        theirs, own = self._connection_to(receiver), self._connection
        try:
            found = await self._bring(Hosts(theirs), receiver)
            if not found and theirs is not own:
                found = await self._bring_from(Hosts(own), Hosts(theirs), receiver)
        except (ThornbackError, ConnectionError) as error:
            logger.info("%s: no class of %s was brought: %s", self.name, receiver, error)
            found = False
        if not found:
            self._unknown.add(actor_type)
            return
        self._unknown.discard(actor_type)
        if receiver in self._resting and receiver not in self._woken:
            self._woken.add(receiver)  # if that was of no use, it rests the next time
            self._rested(mailing, {receiver: None})

    # How far it is -----------------------------------------------------------------------------

    def _finish(self) -> None:
        events, position = self._mailing.finish()
        if events:
            self._receipt = self._receipt.plus(event.id_bytes for event in events)
        self._say(position=position)

    async def _move(self) -> None:
        """Have the store know how far it is."""
        position, receipt = self._mailing.position, self._receipt
        if position > self._kept:
            move = CheckpointMove(
                name=self.name, epoch=self._epoch, position=position, receipt=receipt
            )
            self._meant = position
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
