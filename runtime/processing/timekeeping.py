"""Keeping time: timers of actors are sent to their hosts when they are due.

The events of timers are followed by a durable subscription into the table of those that are to
fire, in the transaction of its checkpoint (timer_filing.py). What is due within seconds is read
from there (timer_window.py), and posted as a command, whose id derives from the timer and the
occurrence: sent twice it takes effect once, and its host holds it against the log's pending timers
(host/firing.py). Nothing here decides what a timer does: whatever is lost of this, the log and the
table have it.
"""

import logging
from collections.abc import Callable

from actors.event import Kind
from actors.ids import derived_id
from actors.naming import TIMERS, actor_type_of
from actors.timer_events import TIMER_TYPES
from runtime.driver.connection import Connection
from runtime.driver.hosts import Hosts
from runtime.driver.outgoing import Outgoing
from runtime.process.world import World
from runtime.processing.class_bringing import bring_class
from runtime.processing.mailing import Message
from runtime.processing.posting import CLASS_AWAY, Posting
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
    #: Timers that are read at a time, and that are sent before answers have their turn.
    PAGE, TOGETHER = 5_000, 1_000
    #: What could not be fired for so long leaves memory, and is read again later: the later, the
    #: longer it is overdue.
    PATIENT_US, LONGEST_US = 5_000_000, 60_000_000
    #: Between two looks at the clock, which may jump, and the shortest wait for it.
    LOOK_S, SHORTEST_S = 1.0, 0.001

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
        # One incarnation, made anew by `_begin`:
        self._window = Window()
        self._late: list[tuple[Timer, int]] = []  #: that could not be fired, and when they are to
        self._said: set[tuple[str, str]] = set()  #: why, and of which types
        self._pending = 0  #: in the table
        # How it fares:
        self.facts = TimekeeperFacts()

    async def _begin(self) -> int:
        # A system that was replaced opens no epoch: it does not take the timers from its successor.
        node = f"{self._label}/{TIMERS}"
        await self._store.open_epoch(node, self._world.holder(self._settings))
        return await super()._begin()

    async def _begin_more(self) -> None:
        self._window, self._late, self._said = Window(), [], set()
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
            ids = (event.id_bytes for event in decoded.events)
            self._receipt = self._receipt.plus(ids)
            await self._file(filing, page.through)
            self._kept, self._kept_s = page.through, self._now_s()
            self._metrics.fired(filing.late_us)
            self._say(fired=self.facts.fired + len(filing.late_us))
        self._mailing.passed(page.through)

    async def _prepare(self) -> None:
        """What is due is to be sent, after what was read of it."""
        now_us = self._world.now_us()
        if self._late:
            late, self._late = self._late, []
            filing = Filing()
            filing.add_late(each for each in late if self._window.holds(each[0]))
            await self._file(filing, self._kept)
        if self._window.wants_more(now_us):
            until_us = self._window.until_us(now_us)
            found = await self._store.due_timers(self._window.reach, until_us, self.PAGE)
            self._window.read(found, until_us, self.PAGE)
        for timer in self._window.take(now_us, self.TOGETHER):
            packed = packed_firing(timer, now_us, self._packer)
            self._mailing.queue(Firing(timer, packed), self._way_to(timer.source))

    async def _file(self, filing: Filing, position: int) -> None:
        changes = filing.changes()
        move = CheckpointMove(
            name=self.name, epoch=self._epoch, position=position, receipt=self._receipt
        )
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
        now_us = self._world.now_us()
        for index, packed in outgoing.answer.values.items():  # it is not time yet, over there
            timer, early_us = _timer_of(messages[index]), unpack_value(packed)["early_us"]
            if early_us <= self.PATIENT_US:
                self._window.put_back(timer, now_us + early_us)
            else:  # clocks far apart may be set right at any time
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
        rest_us = min(max(now_us - timer.due_us, 1_000_000), self.LONGEST_US)
        self._late.append((timer, now_us + rest_us))
        self._say(put_off=self.facts.put_off + 1)
        kind = type(error).__name__, actor_type_of(timer.source)
        if kind not in self._said:
            self._said.add(kind)
            why = text_of_error(error)
            logger.warning("timer %r of %s is put off: %s", timer.key, timer.source, why)

    async def _bring(self, hosts: Hosts, receiver: str) -> bool:
        return await bring_class(hosts, actor_type_of(receiver), receiver)

    def _count(self, answered: int) -> None:
        self._say(waiting=len(self._under_way))

    def _say_pending(self) -> None:
        self._metrics.pending(self._pending)
        self._say(pending=self._pending)


def packed_firing(timer: Timer, now_us: int, packer: CommandPacker) -> bytes:
    """The command that a timer fires by."""
    wanted = [timer.key, _id_text(timer.timer), timer.occurrence, timer.message_type, timer.message]
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


def _id_text(timer: bytes) -> str:
    text = timer.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _timer_of(message: Message) -> Timer:
    assert isinstance(message, Firing)
    return message.timer
