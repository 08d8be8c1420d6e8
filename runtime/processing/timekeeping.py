"""Keeping time: timers of actors are sent to their hosts when they are due.

The events of timers are followed by a durable subscription into the table of those that are to
fire, in the transaction of its checkpoint (timer_filing.py). What is due within seconds is read
from there (timer_window.py), and posted as a command, whose id derives from the timer and the
occurrence: sent twice it takes effect once, and its host holds it against the log's pending timers
(host/firing.py). Nothing here decides what a timer does: whatever is lost of this, the log and the
table have it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from actors.event import Kind
from actors.ids import derived_id
from actors.naming import TIMERS, actor_type_of
from actors.packed_timers import id_text
from actors.timer_events import TIMER_TYPES
from runtime.driver.channel import Channel
from runtime.driver.channels import Channels
from runtime.driver.connection import Connection
from runtime.driver.hosts import Hosts
from runtime.driver.outgoing import Outgoing
from runtime.process.world import World
from runtime.processing.class_bringing import bring_class, bring_class_from
from runtime.processing.mailing import Message
from runtime.processing.posting import CLASS_AWAY, Posting
from runtime.processing.silent_hosts import SilentHosts
from runtime.processing.timer_filing import Filing
from runtime.processing.timer_window import Window
from runtime.settings.settings import Settings
from runtime.telemetry.metrics import TimerMetrics
from runtime.topology.status import TimekeeperFacts
from runtime.wire.commands import FIRE, CommandPacker
from runtime.wire.error_codec import EncodedError, decode_error, text_of_error
from runtime.wire.values import unpack_value
from store.appends import CheckpointMove
from store.event_store import EventStore, Page
from store.receipts import Receipt
from store.selection import Selection
from store.timers import Timer

logger = logging.getLogger("thornback.processing")

SELECTION = Selection(event_types=tuple(sorted(TIMER_TYPES)), kinds=(Kind.SYSTEM,))


class Firing(Message):
    """One timer that is due, as the command that its host has. It is of no event that is read now:
    its `event` is never asked for."""

    __slots__ = ("timer",)

    def __init__(self, timer: Timer, packed: bytes) -> None:
        self.timer = timer
        self.receiver, self.packed, self.size = timer.source, packed, len(packed)
        self.finished = False


class Timekeeping(Posting):
    """The one of a system."""

    #: Also where its host has an older class, which does not handle the message.
    AWAY = (*CLASS_AWAY, "UnknownMessage")
    THINGS = "timers"
    #: Timers that are read at a time, and that are sent before answers have their turn.
    PAGE, TOGETHER = 5_000, 1_000
    #: Bytes of the messages that are read at a time, a message more or less.
    PAGE_BYTES = 16 * 1024 * 1024
    #: What could not be fired for so long leaves memory, and is read again later: the later, the
    #: longer it is overdue.
    PATIENT_US, LONGEST_US = 5_000_000, 60_000_000
    #: How soon the log has what a host says that it is done with. Later, that host may be one that
    #: was replaced and lives on, without the timers that were set since.
    HEARD_S = 30.0
    #: A host that has answered nothing for so long is sent no more until it does: what is for it
    #: would take the room of all others.
    SILENT_S = 5.0
    #: Between two looks at the clock, which may jump, and the shortest wait for it.
    LOOK_S, SHORTEST_S = 1.0, 0.001
    #: The shortest rest of what was put off; and the rest, at most, of what was sent before the
    #: moment in which its actor was started, or its class came: so long after that.
    REST_US, CALLED_S = 1_000_000, 5.0
    #: What is tried so soon in any case is not woken: no less than the shortest rest.
    SOON_US = 1_000_000
    #: A clock that is set back by more was wrong, and so is what it has put off.
    STEP_US = 5_000_000

    facts: TimekeeperFacts

    def __init__(
        self,
        world: World,
        settings: Settings,
        store: EventStore,
        connect: Callable[[], Connection],
        metrics: TimerMetrics,
    ) -> None:
        super().__init__(
            TIMERS, SELECTION, 0, world=world, settings=settings, store=store, connect=connect
        )
        self._metrics = metrics
        #: Held by whoever moves the checkpoint, and reads what it has, until it has moved.
        self._moving = asyncio.Lock()
        # One incarnation, made anew by `_begin`:
        self._window = Window()
        self._late: list[tuple[Timer, int]] = []  #: that could not be fired, and when they are to
        self._said: set[tuple[str, str]] = set()  #: why, and of which types
        #: Actors that were started of late, and types whose class came: they are to be woken.
        self._calls: set[str] = set()
        self._called_s: dict[str, float] = {}  #: and those that were, and when
        self._silence = self._heard_of()
        self._silent: set[Channel] = set()  #: hosts that were silent when that was looked at last
        self._pending = 0  #: in the table
        #: How far the clock is ahead of the loop's, which nobody sets, and was at most; None until
        #: it was looked at.
        self._ahead_us: int | None = None
        # How it fares:
        self.facts = TimekeeperFacts()

    def wake(self, names: Iterable[str]) -> None:
        """Actors, by source, were started, or the class of actor types has come: what waits for
        that may fire. Does not wait."""
        self._calls.update(names)
        self._changed.set()

    def close(self) -> None:
        super().close()
        self._silence.close()

    async def _begin(self) -> int:
        # A system that was replaced opens no epoch: it does not take the timers from its successor.
        node = f"{self._label}/{TIMERS}"
        await self._store.open_epoch(node, self._world.holder(self._settings))
        async with self._moving:
            return await super()._begin()

    async def _begin_more(self) -> None:
        self._window, self._late, self._said = Window(), [], set()
        self._ahead_us = None
        self._silence, self._silent = self._heard_of(), set()
        self._pending = await self._store.count_timers()
        self._say_pending()

    async def _take(self, page: Page) -> None:
        """What was read is filed, with the position that it reaches to."""
        assert self._connection is not None
        decoded = self._decoder.page(page.rows)
        self._connection.clock.observe_events(decoded.clocks)
        filing = Filing()
        for event in decoded.events:
            filing.add(event)
        if decoded.events:
            async with self._moving:
                receipt = self._receipt.plus(event.id_bytes for event in decoded.events)
                await self._file(filing, page.through, receipt)
                self._kept, self._receipt, self._kept_s = page.through, receipt, self._now_s()
            self._metrics.fired(filing.late_us)
            self._say(fired=self.facts.fired + len(filing.late_us))
        self._mailing.passed(page.through)

    async def _prepare(self) -> None:
        """What is due is to be sent, after what was read of it."""
        silent = self._look_at_silence()
        unheard = self._window.unheard(self._now_s() - self.HEARD_S)
        self._late += [(timer, self._world.now_us()) for timer in unheard]
        if self._late:
            late, self._late = self._late, []
            filing = Filing()
            filing.add_late(each for each in late if self._window.holds(each[0]))
            async with self._moving:
                await self._file(filing, max(self._kept, self._meant), self._receipt)
        if self._calls and not self._window.wants_more(self._world.now_us()):
            await self._wake()  # otherwise what was woken before is read first
        await self._look_at_clock()
        now_us = self._world.now_us()
        if self._window.wants_more(now_us):
            until_us = self._window.until_us(now_us)
            found = await self._store.due_timers(
                self._window.reach, until_us, self.PAGE, self.PAGE_BYTES
            )
            size = sum(len(timer.message) for timer in found)
            more = len(found) >= self.PAGE or size >= self.PAGE_BYTES
            self._window.read(found, until_us, more=more)
        for timer in self._window.take(now_us, self.TOGETHER):
            firing = Firing(timer, packed_firing(timer, now_us, self._packer))
            self._queue(firing, silent)
        if self._calls:
            self._changed.set()  # the others come next

    async def _wake(self) -> None:
        """Of what was put off because of those that call, and is in the table by now, a page; where
        there may be more, they go on calling. What is tried soon in any case is left, or what comes
        to nothing once more would be woken again and again.

        Where this fails they are dropped: the word is not durable, and whatever it fails at must
        not keep all other timers from their time."""
        names = sorted(self._calls)[: self.PAGE]
        self._calls.difference_update(names)
        sources = [name for name in names if "/" in name]
        actor_types = [name for name in names if "/" not in name]
        beyond_us = self._world.now_us() + self.SOON_US
        async with self._moving:
            move = self._checkpoint(max(self._kept, self._meant), self._receipt)
            woken = await self._store.wake_timers(move, sources, actor_types, beyond_us, self.PAGE)
        if woken.timers >= self.PAGE:
            self._calls.update(names)
        now_s = self._now_s()
        self._called_s = {
            name: since_s
            for name, since_s in self._called_s.items()
            if now_s - since_s < self.CALLED_S
        } | dict.fromkeys(names, now_s)
        if woken.first_us is not None:
            self._window.woken(woken.first_us, self._world.now_us())

    def _heard_of(self) -> SilentHosts:
        def channels() -> Channels:
            assert self._connection is not None
            return self._connection.channels

        return SilentHosts(channels, self._changed.set, silent_s=self.SILENT_S)

    def _look_at_silence(self) -> set[Channel]:
        """The channels to hosts that are silent: what is for them is put off. What was, and is for
        others by now, is woken."""
        silent = self._silence.silent(self._now_s())
        moved = self._silence.has_moved()
        if moved:
            self._ways.clear()  # or who is there had nothing, by ways to who is silent
        if moved or silent - self._silent:
            self._give_up(silent)
        self._silent = silent
        self._calls.update(self._silence.awaited(silent, self._way_to if moved else None))
        for channel in silent:
            for message in self._mailing.withdraw(channel):
                self._queue(message, silent)
        return silent

    def _give_up(self, silent: set[Channel]) -> None:
        """Of a batch of which a silent host has a part, nobody waits for the answer: it may have
        actors who live elsewhere by now. What it has of others goes there at once."""
        for outgoing, (channel, messages) in list(self._under_way.items()):
            ways = {channel, *(self._way_to(message.receiver) for message in messages)}
            if outgoing.finished or silent.isdisjoint(ways):
                continue
            del self._under_way[outgoing]
            self._mailing.answered(dict.fromkeys(message.receiver for message in messages))
            for message in messages:
                self._queue(message, silent)

    def _queue(self, firing: Message, silent: set[Channel]) -> None:
        """It goes next; where its host is silent, it is put off."""
        way = self._way_to(firing.receiver)
        if way not in silent:
            self._mailing.queue(firing, way)
            return
        why = TimeoutError(f"its host has answered nothing for {self.SILENT_S:.0f} s")
        self._put_off(firing, why)
        self._silence.put_off(way, firing.receiver)

    def _send(self) -> None:
        super()._send()
        self._silence.listen(self._now_s())

    async def _look_at_clock(self) -> None:
        """What a wrong clock has put off, before it was set right or by another one's hand, would
        wait until then. So it is looked at again."""
        now_us = self._world.now_us()
        ahead_us, before_us = now_us - int(self._now_s() * 1_000_000), self._ahead_us
        if before_us is not None and ahead_us >= before_us - self.STEP_US:
            self._ahead_us = max(before_us, ahead_us)
            return
        beyond_us = now_us  # all of it; of one that begins, what no right clock would have put off
        if before_us is None:
            beyond_us += self.LONGEST_US + self.STEP_US
        more = True
        while more:  # each a transaction: all of them may be millions
            async with self._moving:
                move = self._checkpoint(max(self._kept, self._meant), self._receipt)
                hastened = await self._store.hasten_timers(move, beyond_us, self.PAGE)
            self._window.read_again()  # each time: where the next one fails, these are due
            more = hastened.timers == self.PAGE
            if more and hastened.last_us is not None:
                beyond_us = max(beyond_us, hastened.last_us - 1)
        self._ahead_us = ahead_us

    async def _move(self) -> None:
        """For a drain, too, while something is filed: the one has what the other has committed."""
        async with self._moving:
            await super()._move()

    def _checkpoint(self, position: int, receipt: Receipt) -> CheckpointMove:
        return CheckpointMove(name=self.name, epoch=self._epoch, position=position, receipt=receipt)

    async def _file(self, filing: Filing, position: int, receipt: Receipt) -> None:
        """Position and receipt are those of the store from then on."""
        changes = filing.changes()
        move = self._checkpoint(position, receipt)
        if changes is None:
            await self._store.move_checkpoint(move)
            return
        self._pending += await self._store.file_timers(move, changes)
        self._window.filed(changes)
        self._say_pending()

    async def _wait_changed(self) -> None:
        """Until a page is there, or something is answered, or due."""
        now_us = self._world.now_us()
        due_s = (self._window.next_us(now_us) - now_us) / 1_000_000
        await self._changed_within(min(max(due_s, self.SHORTEST_S), self.LOOK_S))

    def _judge(self, outgoing: Outgoing, messages: list[Message]) -> None:
        super()._judge(outgoing, messages)
        if outgoing.answer is None:
            return
        now_us, answer = self._world.now_us(), outgoing.answer
        for index, message in enumerate(messages):
            if index not in answer.errors and index not in answer.values:
                self._window.done(_timer_of(message), self._now_s())
        for index, packed in answer.values.items():  # it is not time yet, over there
            timer, early_us = _timer_of(messages[index]), unpack_value(packed)["early_us"]
            if early_us > self.PATIENT_US or not self._window.put_back(timer, now_us + early_us):
                # Clocks far apart may be set right at any time.
                self._late.append((timer, now_us + min(early_us, self.LONGEST_US)))

    def _rest(self, messages: list[Message], error: Exception, *, said: bool = True) -> None:
        """What waits for long does so in the table."""
        before_us = self._world.now_us() - self.PATIENT_US
        long = {each.receiver: None for each in messages if _timer_of(each).due_us < before_us}
        waiting = [each for each in messages if each.receiver not in long]
        if waiting or not messages:
            super()._rest(waiting, error, said=said)
        for each in messages:
            if each.receiver in long:
                self._put_off(each, error)
        self._mailing.answered(long)

    def _refused(self, message: Message, encoded: EncodedError) -> None:
        """A timer whose message was rejected, or has failed, has fired. This one has not."""
        self._put_off(message, decode_error(encoded))

    def _put_off(self, message: Message, error: Exception) -> None:
        timer, now_us = _timer_of(message), self._world.now_us()
        message.finished = True
        rest_us = min(max(now_us - timer.due_us, self.REST_US), self.LONGEST_US)
        if self._was_called(timer.source):  # and perhaps this was sent before
            rest_us = min(rest_us, self.REST_US)
        self._late.append((timer, now_us + rest_us))
        self._say(put_off=self.facts.put_off + 1)
        kind = type(error).__name__, actor_type_of(timer.source)
        if kind not in self._said:
            self._said.add(kind)
            why = text_of_error(error)
            logger.warning("timer %r of %s is put off: %s", timer.key, timer.source, why)

    def _was_called(self, source: str) -> bool:
        names, after_s = (source, actor_type_of(source)), self._now_s() - self.CALLED_S
        return any(self._called_s.get(name, after_s) > after_s for name in names)

    async def _bring(self, hosts: Hosts, receiver: str) -> bool:
        return await bring_class(hosts, actor_type_of(receiver), receiver)

    async def _bring_from(self, known: Hosts, hosts: Hosts, receiver: str) -> bool:
        return await bring_class_from(known, hosts, actor_type_of(receiver), receiver)

    def _count(self, answered: int) -> None:
        self._say(waiting=len(self._under_way))

    def _say_pending(self) -> None:
        self._metrics.pending(self._pending)
        self._say(pending=self._pending)


def packed_firing(timer: Timer, now_us: int, packer: CommandPacker) -> bytes:
    """The command that a timer fires by."""
    wanted = [timer.key, id_text(timer.timer), timer.occurrence, timer.message_type, timer.message]
    return packer.pack_plain(
        (
            timer.source,
            FIRE,
            derived_id(timer.due_us // 1000, timer.timer + timer.occurrence.to_bytes(8, "big")),
            now_us,
            wanted,
            timer.correlation_id,
            timer.event_id,
        )
    )


def _timer_of(message: Message) -> Timer:
    assert isinstance(message, Firing)
    return message.timer
