"""Running a stream program: the slots that one worker has of it, from the log to the log.

All that a batch of events comes to (outputs, states, watermark, checkpoint) is one append, which
the writer commits in one transaction. Whatever goes wrong on the way (the writer or the database
away, an append refused, the code of the program failing), this begins anew from what is committed,
under a new epoch that no append of before can pass. So an event takes effect once.
"""

import asyncio
import logging
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

from actors.errors import ThornbackError
from actors.event import Event
from actors.ids import FreshIds
from runtime.clocks import NodeClock
from runtime.errors import NotPossible
from runtime.partition.journal import Journal
from runtime.partition.log_access import LogAccess
from runtime.partition.writer_link import WriterLink
from runtime.process.partitioning import node_ids_of
from runtime.process.world import World
from runtime.processing.dead_letters import Replayed
from runtime.processing.evaluation import Effects, Evaluation, StepFailed
from runtime.processing.failing import Failing
from runtime.processing.handler_limit import handled_by
from runtime.processing.key_table import KeyTable
from runtime.processing.lanes import Lane
from runtime.processing.parked_here import ParkedHere
from runtime.processing.patience import until_answered
from runtime.processing.program_selection import selection_of_program
from runtime.processing.projected_rows import ProjectedRows, tabled
from runtime.processing.reading import OneLog, Reading
from runtime.processing.replaying import Piece, Replay, Wish
from runtime.settings.settings import Settings
from runtime.telemetry.metrics import ProgramMetrics
from runtime.topology.names import WORKERS_NODE, possible_nodes
from runtime.topology.status import WorkerFacts
from store.appends import CheckpointMove
from store.dead_letters import Parked, merged
from store.errors import (
    AnotherTable,
    NoProjection,
    StaleCheckpoint,
    StaleEpoch,
    StoreUnavailable,
)
from store.event_store import EventStore, Page
from store.projected import REBUILD, ProjectedTable, RefusedRow
from store.rows.decoding import Decoder
from store.rows.layout import EncodedRows
from store.slots import SLOTS, slot_name, slot_of_event, slot_of_key
from streams.program import Program

logger = logging.getLogger("thornback.processing")


class ProgramRun:
    """One program, in the worker `index` of `workers`.

    More than fifteen fields: what it was made of, one incarnation, and how it fares stand apart
    below; its event loop alone changes any of them.
    """

    #: Bytes of what one append may have, a batch more or less; beyond it the events wait.
    APPEND_BYTES = 8 * 1024 * 1024
    #: How long progress that comes to nothing else may stay untold.
    QUIET_S = 1.0
    #: The same of a projection, which readers wait for, and which costs the writer nothing.
    QUIET_PROJECTION_S = 0.1
    #: Positions that are read from the log at a time while slots are brought to one place.
    ALIGNED = 10_000
    #: Pauses before it begins anew: bus, writer and database do not say when they are back.
    PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0

    def __init__(
        self,
        program: Program,
        index: int,
        workers: int,
        after: int,
        *,
        fingerprint: str,
        world: World,
        settings: Settings,
        store: EventStore,
        log: LogAccess,
        metrics: ProgramMetrics,
        on_message: Callable[[], None] = lambda: None,
        reading: Reading | None = None,
    ) -> None:
        """It reads the log of its partition, unless `reading` says otherwise."""
        # Set once:
        self.program, self._tabled = program, tabled(program)
        self._quiet_s = self.QUIET_S if self._tabled is None else self.QUIET_PROJECTION_S
        self._slots = range(index, SLOTS, workers)
        self._after = after
        self._world, self._settings, self._store = world, settings, store
        self._reading = OneLog(store, log) if reading is None else reading
        self._metrics = metrics
        self._on_message = on_message  #: the log is about to have a message to an actor
        self._label = f"{settings.event_bus.node_id}.{WORKERS_NODE}"
        self._node = f"{self._label}/{program.name}/{index}"
        self._selection = selection_of_program(program)
        self._batch_size = settings.processing.batch_processing_size
        patience_s = settings.actor_system.actor_timeout_ms / 2000
        self._writer = WriterLink(world, patience_s=patience_s)
        self._ids = FreshIds(lambda bits: int.from_bytes(world.random(10)) % 2**bits)
        self._decoder = Decoder()
        # One incarnation, made anew by `_begin`:
        self._number = 0  #: of its node's epoch
        self._epoch = 0  #: of its slots
        self._lane = Lane(0, None)
        self._parked = ParkedHere(program.name)
        #: Which it keeps nothing under, by erasure.
        self._erased_keys: Mapping[tuple[str, int], Set[str]] = {}
        self._effects = Effects()
        self._table: ProjectedTable | None = None  #: of a projection
        self._sending: asyncio.Future[Any] | None = None
        self._sent_batch = self._sent_position = 0  #: the last of what is being sent
        self._sent_outputs = self._sent_letters = 0  #: in it
        self._committed = 0  #: up to there the log is known to have it all
        self._told_position, self._told_s = 0, 0.0  #: when the store was told of progress last
        # How it fares:
        self._failing = Failing(program, settings.processing)
        self._wishes: deque[Wish] = deque()  #: that dead letters are replayed
        self._over = False  #: its table has taken the place of another, or it was dropped
        self._careful_until = 0  #: up to there each event goes by itself: one makes an unfit row
        self._hurry = False  #: somebody waits for what is not committed
        self._resumed = asyncio.Event()
        self._changed = asyncio.Event()  #: a page came, an append is done, or somebody waits
        self._settled = asyncio.Event()  #: more is committed, or it stands
        self.facts = WorkerFacts(
            program=program.name,
            slots=len(self._slots),
            workers=workers,
            logs=self._reading.logs,
            fingerprint=fingerprint,
            handles=handled_by(program),
        )

    def _say(self, **changes: Any) -> None:
        self.facts = replace(self.facts, **changes)
        self._metrics.parked(self.facts.parked)

    async def run(self) -> None:
        """For ever, where nobody else goes on with it. Raises StaleEpoch or StaleCheckpoint, when
        somebody else has its slots: whoever runs it ends then, and Ray knows which of them is to
        be. Raises NoProjection where its table was dropped, whether or not it has slots by now:
        who begins to run it anew makes these first, and may have come no further."""
        pause_s = self.PAUSE_S
        while True:
            position = self.facts.position
            try:
                return await self._work()
            except StaleEpoch:
                raise
            except StaleCheckpoint:
                if not await until_answered(
                    self._is_to_go_on, self._waits,
                    pause_s=self.PAUSE_S, longest_s=self.LONGEST_PAUSE_S,
                ):  # fmt: skip
                    raise
            except NoProjection as error:
                if not self.program.name.endswith(REBUILD):
                    raise
                self._say(trouble=str(error))
                self._over = True
                self._settled.set()
                await asyncio.Event().wait()  # whoever has built it ends this worker
            except StepFailed as failed:
                await self._failed(failed)
            except RefusedRow as refused:  # of which event, is found out with each by itself
                self._careful_until = self._sent_position
                logger.warning("%s looks for its event: %s", self.program.name, refused)
            except (ThornbackError, ConnectionError, TimeoutError) as error:
                self._say(trouble=str(error) or type(error).__name__)
                logger.warning("%s begins anew: %s", self.program.name, self.facts.trouble)
                if self.facts.position > position:
                    pause_s = self.PAUSE_S
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self.LONGEST_PAUSE_S)

    @property
    def slot_names(self) -> frozenset[str]:
        """What its slots are called."""
        return frozenset(slot_name(self.program.name, slot) for slot in self._slots)

    def _waits(self, error: StoreUnavailable) -> None:
        self._say(trouble=str(error))

    async def _is_to_go_on(self) -> bool:
        """It was fenced off: by nobody who goes on with it?"""
        return await self._has_another_table() or await self._was_interrupted()

    async def _was_interrupted(self) -> bool:
        """Is it nobody who has its slots? Then dead letters of it were dropped; or all that there
        was of it, and somebody has it run again."""
        return await self._are_nobodys(self.slot_names)

    async def _are_nobodys(self, slots: frozenset[str]) -> bool:
        """Is one of these in nobody's hands, and none of them gone?"""
        epochs = {record.name: record.epoch for record in await self._store.subscriptions()}
        return slots <= epochs.keys() and any(epochs[name] < 0 for name in slots)

    async def flush(self) -> int:
        """Wait until all that is evaluated by now is committed; up to which position. It goes on
        meanwhile, and afterwards: a system whose drain does not come to its end goes on, too. One
        that stands at an event has committed all before it."""
        wanted, lane = self._lane.position, self._lane
        self._hurry = True
        self._changed.set()
        # Of an incarnation that has ended nothing is evaluated any more.
        while (
            self._lane is lane
            and self._committed < wanted
            and not self.facts.paused
            and not self._over
        ):
            self._settled.clear()
            await self._settled.wait()
        return self._committed

    def give_up(self) -> None:
        """Its program was dropped: nobody is to wait until more of it is committed."""
        self._over = True
        self._settled.set()

    def resume(self, *, skip: bool) -> None:
        """After a pause: try the event again at which it stands, or pass it over."""
        self._failing.resume(skip=skip)
        self._resumed.set()

    async def replay(self, parked: Parked | None) -> Replayed:
        """Replay the dead letters of something that is parked, or all that there are in its slots;
        what has come of that. Raises NotPossible where it stands at an event."""
        wish = Wish(asyncio.get_running_loop().create_future(), parked)
        self._wishes.append(wish)
        self._wake()
        return await wish.done

    def _wake(self) -> None:
        """Somebody wishes something."""
        self._changed.set()
        self._resumed.set()  # one that stands does this first, and then tries its event again

    def all_facts(self) -> WorkerFacts:
        """What there is to say of it."""
        return self.facts

    async def _work(self) -> None:
        lanes = await self._begin()
        self._say(trouble=None)
        for lane, next_lane in pairwise(lanes):
            self._told_position = lane.position
            await self._begin_due(lane)
            await self._bring_up(lane, next_lane.position)
            next_lane.join(lane)
        self._told_position = lanes[-1].position
        await self._begin_due(lanes[-1])
        await self._follow(lanes[-1])

    async def _begin(self) -> list[Lane]:
        """A new incarnation; its slots by how far they are."""
        await self._open_table()
        await self._reading.begin()
        await self._open_node()
        lanes = await self._open_slots(self._after)
        await self._check_last()
        table = self._table
        await self._open_table()
        if self._table != table:
            # It has made way meanwhile, with the checkpoints that there were. Of slots that were
            # opened before that, and of others since, none would say how far this table is.
            return await self._begin()
        return [lanes[position] for position in sorted(lanes)]

    async def _open_node(self) -> None:
        """A new incarnation of who appends: nothing that is under way can pass it."""
        store = self._store
        epoch = await store.open_epoch(self._node, self._world.holder(self._settings))
        self._number = epoch.number
        self._journal = Journal(epoch, self._writer.append)
        system = self._settings.actor_system
        nodes = await store.nodes() | possible_nodes(
            node_ids_of(self._settings), system.hosts, system.placement
        )
        self._clock = NodeClock(self._label, epoch.counter, nodes)
        self._effects = Effects()
        self._sending = None  # what was under way is nobody's any more

    async def _check_last(self) -> None:
        """Raises StaleEpoch where another one of its name has begun since. That opens its slots
        behind this, and has them; one that had hung meanwhile, and has opened them behind that,
        may be of other code, and is not to go on with what the other one makes."""
        there = (await self._store.epochs((self._node,))).get(self._node)
        if there is None or there.number != self._number:
            raise StaleEpoch(self._node, self._number)

    async def _open_slots(self, after: int) -> dict[int, Lane]:
        """A new incarnation of its slots, by how far they are, and what is parked of them. Raises
        StaleCheckpoint where one is gone: no worker makes any (making_slots.py)."""
        store = self._store
        self._epoch = int.from_bytes(self._world.random(8)) % 2**62
        lanes: dict[int, Lane] = {}
        began: list[int] = []
        for slot in self._slots:
            name = slot_name(self.program.name, slot)
            record = await store.open_subscription(
                name, self._selection, after, self._epoch, make=False
            )
            began.append(record.began)
            lane = lanes.setdefault(record.position, Lane(record.position, record.watermark_us))
            lane.add_slot(slot, record.receipt)
        self._parked = ParkedHere(self.program.name)
        await self._parked.load(store, frozenset(self._slots))
        # An erasure that ends behind this takes the slots away.
        self._erased_keys = await self._reading.erased_keys() if self.program.keeps_state else {}
        await self._load_due(list(lanes.values()))
        self._began = min(began, default=after)  # some may have been made by another run
        self._forget(self._began)
        return lanes

    async def _open_table(self) -> None:
        """That of a projection. Raises AnotherTable, and NoProjection: whoever has it run, or
        built, makes it."""
        if self._tabled is not None:
            self._table = await self._store.open_projection(self._tabled.table, make=False)

    def _forget(self, began: int) -> None:
        """Have nothing in memory of any key."""
        self._keys = self._key_table()
        self._evaluation = Evaluation(
            self.program,
            self._selection,
            self._keys,
            self._store,
            self._clock,
            reading=self._reading,
            began=began,
            new_id=self._new_id,
            parked=self._parked,
            verdicts=self._failing.verdicts,
            erased_keys=self._erased_keys,
            on_message=self._on_message,
        )
        self._say(parked=len(self._parked))

    def _key_table(self) -> KeyTable:
        name, store, keeps_state = self.program.name, self._store, self.program.keeps_state
        kept = None
        if self._tabled is not None and self._table is not None:
            kept = ProjectedRows(self._tabled, self._table, store)
        return KeyTable(name, store, keeps_state=keeps_state, kept=kept)

    def _new_id(self) -> bytes:
        return self._ids.new(self._world.now_us() // 1000)

    def _apart(self, here: ParkedHere) -> Evaluation:
        """What evaluates without anything of what is in memory."""
        return Evaluation(
            self.program, self._selection, self._key_table(), self._store, self._clock,
            reading=self._reading, began=self._began, new_id=self._new_id, parked=here,
            erased_keys=self._erased_keys,
            on_message=self._on_message,
        )  # fmt: skip

    async def _load_due(self, lanes: Sequence[Lane]) -> None:
        if not self.program.keeps_state:
            return
        of_slot = {slot: lane for lane in lanes for slot in lane.slots}
        after = ""
        while found := await self._store.due_states(self.program.name, after, self.ALIGNED):
            for key, due_us in found:
                if key in self._parked.keys:
                    self._parked.keys[key] = due_us  # it waits for that, too
                elif (lane := of_slot.get(slot_of_key(key))) is not None:
                    lane.plan(key, due_us)
            after = found[-1][0]

    async def _bring_up(self, lane: Lane, position: int) -> None:
        """Have slots that lag where its others are, before it follows the log."""
        await self._align(lane, position)

    async def _align(self, lane: Lane, position: int) -> None:
        """Bring slots that lag to where others are. Their outputs are committed."""
        while lane.position < position:
            limit = min(position - lane.position, self.ALIGNED)
            page = await self._reading.read(lane.position, limit, self._selection)
            await self._process(lane, page)
        await self._commit(lane)

    async def _follow(self, lane: Lane) -> None:
        self._lane = lane
        self._committed = self._told_position = lane.position
        self._settled.set()  # what was under way with the incarnation before may be there
        self._say(position=lane.position)
        self._told_s = asyncio.get_running_loop().time()
        feed = self._reading.follow(self._selection, lane.position, self._changed.set)
        try:
            while True:
                self._changed.clear()
                self._settle()
                more = await self._attend(lane)
                self._send_if_worthwhile(lane)
                page = feed.take()
                if page is not None:
                    await self._process(lane, page)
                elif not more:
                    await self._wait_changed(lane)
        except (Exception, asyncio.CancelledError):  # not where its loop has ended before it
            feed.close()
            raise

    async def _attend(self, lane: Lane) -> bool:
        """Do a piece of what somebody wishes; is there more of that?"""
        if self._wishes:
            await self._replay(lane)
        return bool(self._wishes)

    async def _wait_changed(self, lane: Lane) -> None:
        """Until a page is there, or an append is done, or progress has been untold for long."""
        # While an append is under way, its end is waited for, however long that takes.
        untold = lane.position > self._told_position and self._sending is None
        left_s = self._told_s + self._quiet_s - asyncio.get_running_loop().time()
        if self._hurry:
            self._hurry, left_s = False, 0.0
        try:
            async with asyncio.timeout(max(left_s, 0.0) if untold else None):
                await self._changed.wait()
        except TimeoutError:
            self._send(lane)

    def _seen(self, page: Page) -> list[Event]:
        """The events of a page: what comes out of them has a greater clock (G6)."""
        decoded = self._decoder.page(page.rows)
        self._clock.observe_all(decoded.clocks)
        return decoded.events

    async def _process(self, lane: Lane, page: Page) -> None:
        events = self._seen(page)
        at = 0
        while at < len(events):
            some = self._next_events(events[at : at + self._batch_size])
            whole = at + len(some) == len(events)
            through = page.through if whole else some[-1].position or 0
            if self._is_alone(some[0]):
                await self._process_alone(lane, some[0], through)
                at += 1
                continue
            with self._watched(some):
                taken = await self._evaluate(lane, some, through)
            at, some = at + taken, some[:taken]
            await self._finish_due(lane)
            theirs = sum(slot_of_event(event) in lane.slots for event in some)
            self._say(events=self.facts.events + theirs)
            self._settle()
            self._send_if_worthwhile(lane)
            if self._effects.bytes > self.APPEND_BYTES:
                await self._commit(lane)
            await asyncio.sleep(0)  # appends are acknowledged, and others have their turn
        lane.position = max(lane.position, page.through)

    async def _evaluate(self, lane: Lane, events: Sequence[Event], through: int) -> int:
        """What some events come to; how many of them that were (Evaluation.evaluate)."""
        return await self._evaluation.evaluate(lane, events, through, self._effects)

    @contextmanager
    def _watched(self, events: Sequence[Event]) -> Iterator[None]:
        """Say when a batch takes long: nobody else's events have their turn meanwhile."""
        began_s = asyncio.get_running_loop().time()
        yield
        took_ms = (asyncio.get_running_loop().time() - began_s) * 1000
        if took_ms > self._settings.processing.processing_timeout_ms:
            logger.warning(
                "%s has taken %d ms for %d events, up to position %d", self.program.name, took_ms,
                len(events), events[-1].position or 0,
            )  # fmt: skip

    def _next_events(self, events: list[Event]) -> list[Event]:
        """A batch: an event at which the program has failed, or those up to it."""
        failing = self._failing
        if not failing.suspect and not failing.skipped and not self._careful_until:
            return events
        for number, event in enumerate(events):
            if self._is_alone(event) or event.position in failing.skipped:
                return events[:number] or events[:1]
        return events

    def _is_alone(self, event: Event) -> bool:
        position = event.position or 0
        return position == self._failing.suspect or position <= self._careful_until

    async def _process_alone(self, lane: Lane, event: Event, through: int) -> None:
        """An event at which the program has failed, or of those of which one makes a row that the
        database refuses: alone, and when all before it is committed, with states as they are kept,
        because a step that fails may leave them as it likes."""
        await self._commit(lane)
        suspect = event.position == self._failing.suspect
        if suspect:
            self._forget(self._began)
        if event.position in self._failing.skipped:
            self._evaluation.pass_over(lane, event, self._effects)
            lane.position = through
        else:
            await self._evaluation.evaluate(lane, [event], through, self._effects)
            await self._finish_due(lane)
            lane.position = through
        try:
            await self._commit(lane)
        except RefusedRow as refused:
            raise StepFailed(event, refused.key) from refused
        if suspect:
            self._failing.passed()

    async def _finish_due(self, lane: Lane) -> None:
        """The keys that are due by an event, where there are many: so many for each append, and
        then the next ones. Whoever is killed meanwhile goes on with them (`_begin_due`)."""
        while (event := self._evaluation.unfinished) is not None:
            await self._commit(lane)
            await self._evaluation.go_on(lane, event, self._effects)
            await asyncio.sleep(0)

    async def _begin_due(self, lane: Lane) -> None:
        """Look at what was due by the last event and is not committed, before there is another."""
        if not lane.first_due(1):
            return
        page = await self._reading.read(lane.position - 1, 1, self._selection)
        for event in self._seen(page):
            if event.position in self._failing.skipped:
                return  # with the next one
            await self._evaluation.go_on(lane, event, self._effects)
            await self._finish_due(lane)
            await self._commit(lane)

    async def _replay(self, lane: Lane) -> None:
        """A piece of what somebody wishes to be replayed, committed by itself."""
        wish = self._wishes[0]
        parked = wish.next_of(self._parked)
        if parked is None:
            self._wishes.popleft()
            wish.fulfil()
            return
        await self._commit(lane)  # all that waits is in the store then
        replay = Replay(self._store, self._reading, self._clock, lane, self._parked, self._apart)
        piece = await replay.piece(parked)
        self._effects = piece.effects
        try:
            await self._commit(lane)
        except RefusedRow as refused:
            self._wishes.popleft().refuse(NotPossible(f"{parked.name} waits on: {refused}"))
            raise
        wish.note(parked, piece)
        self._take_over(lane, parked, piece)

    def _take_over(self, lane: Lane, parked: Parked, piece: Piece) -> None:
        """What was replayed is what there is of its keys."""
        mine = self._parked
        if parked.by_source:
            if piece.left is None:
                del mine.sources[parked.name]
            else:
                left = piece.left.position
                owed = mine.sources[parked.name]
                mine.sources[parked.name] = {slot: max(first, left) for slot, first in owed.items()}
            for key, change in piece.effects.states.items():
                lane.plan(key, change.due_us)
            self._forget(self._began)
            return
        if piece.left is None:
            del mine.keys[parked.name]
            lane.plan(parked.name, piece.due_us)
        else:
            mine.keys[parked.name] = piece.due_us
        self._keys.forget([parked.name])
        self._say(parked=len(mine))

    def _settle(self) -> None:
        """Hear of the append that is done, if it is. Raises what it was refused with."""
        if self._sending is not None and self._sending.done():
            sending, self._sending = self._sending, None
            sending.result()
            self._committed = self._sent_position
            self._metrics.put_away(self._sent_letters)
            self._say(
                position=self._committed,
                outputs=self.facts.outputs + self._sent_outputs,
                letters=self.facts.letters + self._sent_letters,
                parked=len(self._parked),
            )
            self._settled.set()
            self._keys.forget_settled(self._sent_batch)

    def _send_if_worthwhile(self, lane: Lane) -> None:
        """One append at a time: what comes meanwhile goes together with the next one."""
        if self._sending is None and self._effects.any:
            self._send(lane)

    def _moves(self, lane: Lane) -> list[CheckpointMove]:
        """How far an append takes its slots."""
        return [
            CheckpointMove(
                name=slot_name(self.program.name, slot),
                epoch=self._epoch,
                position=lane.position,
                receipt=receipt,
                watermark_us=lane.watermark_us,
            )
            for slot, receipt in lane.receipts.items()
        ]

    def _send(self, lane: Lane) -> None:
        if self._sending is not None:
            return
        effects, self._effects = self._effects, Effects()
        rows = EncodedRows(b"".join(effects.rows), array("I", map(len, effects.rows)))
        moves = self._moves(lane)
        self._sent_batch, self._sent_position = effects.batch, lane.position
        self._told_position, self._told_s = lane.position, asyncio.get_running_loop().time()
        letters = merged(effects.letters)
        if self._table is not None:
            changed = list(effects.projected.values())
            projecting = self._store.project(self._table, moves, changed, letters)
            self._sending = asyncio.ensure_future(projecting)
            self._sent_outputs = len(changed)
        else:
            states = list(effects.states.values())
            self._sending = self._journal.append(
                rows, Counter(effects.types), self._clock.ticks, moves, states, letters
            )
            self._sent_outputs = len(rows)
        self._sending.add_done_callback(self._sent)
        self._sent_letters = effects.put_away

    def _sent(self, sending: "asyncio.Future[Any]") -> None:
        self._changed.set()
        if not sending.cancelled():
            sending.exception()  # is heard, also of one that nobody waits for: the log knows

    async def _commit(self, lane: Lane) -> None:
        """Have all committed that was evaluated. Raises what keeps it from being."""
        while self._sending is not None or self._effects.any or lane.position > self._told_position:
            if self._sending is None:
                self._send(lane)
            assert self._sending is not None
            await asyncio.wait({self._sending})
            self._settle()

    async def _has_another_table(self) -> bool:
        """Was it refused because its table has made way for one that was built anew? Then it goes
        on with that one; who is refused for another reason has been replaced."""
        if self._tabled is None or self._table is None:
            return False
        try:
            there = await self._store.open_projection(self._tabled.table, make=False)
        except (AnotherTable, NoProjection):
            return True
        return there.number != self._table.number

    async def _failed(self, failed: StepFailed) -> None:
        """Its code has failed: what its policy says of that; where it is to stand there, until
        somebody says how it is to go on."""
        failing = self._failing
        pause_s = failing.note(failed, len(self._parked))
        logger.error("%s %s", self.program.name, failing.trouble, exc_info=failed.__cause__)
        self._say(trouble=failing.trouble, failures=self.facts.failures + 1)
        if done := failing.what_was_done:
            logger.error("%s %s", self.program.name, done)
        if pause_s is not None:
            await asyncio.sleep(pause_s)
            return
        logger.error("%s stands there until it is resumed, or skips it", self.program.name)
        self._say(paused=True)
        self._settled.set()
        self._resumed.clear()
        while self._wishes:  # this far it has not come
            problem = f"{self.program.name} stands, and has to be resumed first: {failing.trouble}"
            self._wishes.popleft().refuse(NotPossible(problem))
        await self._resumed.wait()
        self._say(paused=False)
