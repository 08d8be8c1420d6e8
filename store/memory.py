"""A store in memory, for tests and examples: the same contract, nothing survives."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import islice
from operator import itemgetter
from typing import Any
from uuid import UUID

from actors.columns import TableSchema
from actors.event import Event
from actors.event_shape import Shape
from store.dead_letters import DeadLetter, LetterChange, Parked, ParkedHead, ParkedQueue
from store.erasures import ERASED_SNAPSHOT, Erasure, ErasureReceipt, Forgotten, Searched
from store.errors import DuplicateEvent, StaleEpoch, StoreUnavailable, VersionConflict
from store.event_store import (
    WRITER,
    CheckpointMove,
    CounterMove,
    Counts,
    DecidingClass,
    Epoch,
    EventSchemaKey,
    Found,
    Load,
    Page,
    ShardsMoved,
    Snapshot,
    SourceRecord,
    StateChange,
    Tallied,
    TypeCount,
    TypeRecord,
)
from store.groups import GroupView
from store.memory_erasing import ErasingInMemory
from store.memory_groups import GroupsInMemory
from store.memory_letters import LettersInMemory
from store.memory_merges import MergesInMemory
from store.memory_projections import ProjectionsInMemory
from store.memory_states import StatesInMemory, recounted
from store.memory_subscriptions import SubscriptionsInMemory
from store.memory_timers import TimersInMemory
from store.merges import Leg, Merge
from store.projected import REBUILD, Condition, ProjectedTable, RowChange
from store.receipts import Receipt
from store.rows.decoding import Decoder
from store.rows.layout import (
    FIELDS,
    POSTGRES_EPOCH_US,
    EncodedRows,
    aggregate_at,
    causes_at,
    event_type_at,
    row_starts,
    source_at,
)
from store.selection import EVERYTHING, Selection, row_filter
from store.shards import ShardTable, opened
from store.subscriptions import SubscriptionRecord
from store.timers import Hastened, Place, Timer, TimerChanges, Woken


class MemoryEventStore:
    """EventStore kept in dicts of this process; rows stay encoded.

    More than fifteen fields: a table each, and what works on several of them.
    """

    #: Bytes that a read or a load brings at a time, a row more or less.
    PAGE_BYTES = 16 * 1024 * 1024

    def __init__(self) -> None:
        self._rows: list[bytes] = []  # by position, from 1
        self._by_id: dict[bytes, int] = {}
        self._aggregates: dict[bytes, dict[int, int]] = {}  # version -> position
        self._epochs: dict[str, Epoch] = {}
        self._snapshots: dict[bytes, Snapshot] = {}
        self._subscriptions = SubscriptionsInMemory()
        self._groups = GroupsInMemory(self._subscriptions)
        self._states = StatesInMemory()
        self._merges = MergesInMemory()
        self._projections = ProjectionsInMemory()
        self._letters = LettersInMemory()
        self._timers = TimersInMemory()
        self._erasing = ErasingInMemory(
            self._rows, self._aggregates, self._snapshots, self._subscriptions, self._states,
            self._projections, self._letters, self._timers, self._epochs,
        )  # fmt: skip
        self._tallied: Tallied | None = None  # of the launch that was last
        self._shards: ShardTable | None = None
        self._classes: dict[str, str] = {}  # by actor type
        # With the actor type of each: its newest schema version.
        self._event_types: dict[tuple[str, str], int] = {}
        self._event_shapes: dict[EventSchemaKey, Shape] = {}

    async def open_epoch(self, name: str, holder: str = "") -> Epoch:
        old = self._epochs.get(name) or Epoch(name=name, number=0, counter=0)
        new = self._epochs[name] = replace(old, number=old.number + 1, holder=holder)
        return new

    async def append(
        self,
        rows: EncodedRows,
        *,
        writer: CounterMove,
        nodes: Sequence[CounterMove],
        checkpoints: Sequence[CheckpointMove] = (),
        states: Sequence[StateChange] = (),
        letters: Sequence[LetterChange] = (),
        attempt: int = 0,
    ) -> None:
        self._check_fence(writer, nodes, len(rows))
        for checkpoint in checkpoints:
            self._subscriptions.check(checkpoint)
        fresh = list(_split(rows))
        self._check_free(fresh)
        for row in fresh:
            event_id, aggregate, version = _keys(row)
            self._rows.append(row)
            self._by_id[event_id] = len(self._rows)
            self._aggregates.setdefault(aggregate, {})[version] = len(self._rows)
        for move in nodes:
            self._epochs[move.name] = replace(
                self._epochs[move.name], counter=move.counter, attempt=0
            )
        self._epochs[WRITER] = replace(
            self._epochs[WRITER], counter=writer.counter, attempt=attempt
        )
        for checkpoint in checkpoints:
            self._subscriptions.move(checkpoint)
        self._states.change(states)
        self._letters.change(letters)

    async def open_subscription(
        self, name: str, selection: Selection, after: int, epoch: int, *, make: bool = True
    ) -> SubscriptionRecord:
        return self._subscriptions.open(name, selection, after, epoch, make=make)

    async def move_checkpoint(self, checkpoint: CheckpointMove) -> None:
        self._subscriptions.check(checkpoint)
        self._subscriptions.move(checkpoint)

    async def move_checkpoints(self, checkpoints: Sequence[CheckpointMove]) -> set[str]:
        return self._subscriptions.move_each(checkpoints)

    async def open_group(self, name: str, selection: Selection, after: int) -> None:
        self._groups.open(name, selection, after)

    async def meet_group(self, name: str, member: int, sign: int) -> GroupView:
        self._groups.hear(name, member, sign)
        return self._groups.view(name)

    async def take_slots(
        self, name: str, member: int, epoch: int, seen: Mapping[int, int]
    ) -> list[SubscriptionRecord]:
        return self._groups.take(name, member, epoch, seen)

    async def free_slots(self, name: str, epochs: Mapping[int, int]) -> None:
        self._groups.free(name, epochs)

    async def leave_group(self, name: str, member: int) -> None:
        self._groups.leave(name, member)

    async def expel_member(self, name: str, member: int, sign: int) -> bool:
        return self._groups.expel(name, member, sign)

    async def subscriptions(self) -> list[SubscriptionRecord]:
        return self._groups.heard(self._subscriptions.all())

    async def drop_subscription(self, name: str) -> bool:
        return self._subscriptions.drop(name)

    async def recount(
        self, selection: Selection, after: int, through: int, slot: int | None = None
    ) -> Receipt:
        return recounted(self._rows[after:through], selection, slot)

    async def load_states(self, program: str, keys: Sequence[str]) -> dict[str, bytes]:
        return self._states.load(program, keys)

    async def due_states(self, program: str, after: str, limit: int) -> list[tuple[str, int]]:
        return self._states.due(program, after, limit)

    async def drop_program(self, program: str) -> bool:
        slots, states = self._subscriptions.drop_slots(program), self._states.drop(program)
        tables = [self._projections.drop(name) for name in (program, program + REBUILD)]
        letters = self._letters.drop(program)
        self._groups.drop(program)
        self._merges.drop(program)
        return slots or states or any(tables) or bool(letters)

    async def merge_of(self, program: str) -> Merge | None:
        return self._merges.of(program)

    async def merges(self) -> list[Merge]:
        return self._merges.all()

    async def make_merge(self, program: str, began: Sequence[int]) -> Merge:
        return self._merges.make(program, began)

    async def extend_merge(self, merge: Merge, legs: Sequence[Leg]) -> bool:
        return self._merges.extend(merge, legs)

    async def merge_legs(self, merge: Merge, after: int, limit: int) -> list[Leg]:
        return self._merges.legs(merge, after, limit)

    async def last_legs(self, merge: Merge, place: int) -> list[Leg]:
        return self._merges.last_legs(merge, place)

    async def places_in_merge(
        self, merge: Merge, partition: int, positions: Sequence[int]
    ) -> dict[int, int]:
        return self._merges.places(merge, partition, positions)

    async def open_projection(self, schema: TableSchema, *, make: bool = True) -> ProjectedTable:
        return self._projections.open(schema, make=make)

    async def projections(self) -> list[ProjectedTable]:
        return self._projections.all()

    async def reached(self, program: str) -> int:
        return self._subscriptions.reached(program)

    async def load_projected(
        self, table: ProjectedTable, keys: Sequence[str]
    ) -> dict[str, tuple[Any, ...]]:
        return self._projections.load(table, keys)

    async def project(
        self,
        table: ProjectedTable,
        checkpoints: Sequence[CheckpointMove],
        changes: Sequence[RowChange],
        letters: Sequence[LetterChange] = (),
    ) -> None:
        for checkpoint in checkpoints:
            self._subscriptions.check(checkpoint)
        self._projections.change(table, changes)
        self._letters.change(letters)
        for checkpoint in checkpoints:
            self._subscriptions.move(checkpoint)

    async def select_projected(
        self, table: ProjectedTable, conditions: Sequence[Condition], after: str, limit: int
    ) -> list[tuple[str, tuple[Any, ...]]]:
        return self._projections.select(table, conditions, after, limit)

    async def swap_projection(self, built: ProjectedTable) -> bool:
        name = built.projection
        self._projections.check_built(built)
        if not self._subscriptions.reaches(name + REBUILD, name):
            return False
        self._projections.swap(name)
        self._letters.rename(name + REBUILD, name)
        self._subscriptions.replace(name + REBUILD, name)
        return True

    async def parked_heads(self, program: str) -> list[ParkedHead]:
        return self._letters.heads(program)

    async def dead_letters(self, parked: Parked, after: int, limit: int) -> list[DeadLetter]:
        return self._letters.of(parked, after, limit)

    async def parked_queues(self, program: str | None = None) -> list[ParkedQueue]:
        return self._letters.queues(program)

    async def drop_dead_letters(self, program: str, parked: Parked | None, epoch: int) -> int:
        dropped = self._letters.drop(program, parked)
        if dropped:
            self._subscriptions.reopen_slots(program, epoch)
        return dropped

    async def file_timers(self, checkpoint: CheckpointMove, changes: TimerChanges) -> int:
        await self.move_checkpoint(checkpoint)
        return self._timers.change(changes)

    async def due_timers(
        self, after: Place, until_us: int, limit: int, most_bytes: int
    ) -> list[Timer]:
        return self._timers.due(after, until_us, limit, most_bytes)

    async def hasten_timers(
        self, checkpoint: CheckpointMove, beyond_us: int, limit: int
    ) -> Hastened:
        await self.move_checkpoint(checkpoint)
        return self._timers.hasten(beyond_us, limit)

    async def wake_timers(
        self,
        checkpoint: CheckpointMove,
        sources: Sequence[str],
        actor_types: Sequence[str],
        beyond_us: int,
        limit: int,
    ) -> Woken:
        await self.move_checkpoint(checkpoint)
        return self._timers.wake(sources, actor_types, beyond_us, limit)

    async def count_timers(self) -> int:
        return len(self._timers)

    async def last_versions(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, int]:
        return {each: max(self._aggregates[each]) for each in aggregate_ids
                if each in self._aggregates}  # fmt: skip

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        return {name: self._epochs[name] for name in names if name in self._epochs}

    async def nodes(self) -> set[str]:
        return {name.partition("/")[0] for name in self._epochs}

    async def head(self) -> int:
        return len(self._rows)

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        through = max(after, min(after + limit, len(self._rows)))
        match, found, size = row_filter(selection), [], 0
        for position in range(after, through):
            row = self._rows[position]
            if match(row):
                found.append(row)
                size += len(row)
            if size > self.PAGE_BYTES:
                through = position + 1
                break
        return Page(rows=b"".join(found), through=through)

    async def load_events(self, aggregate_id: UUID, from_version: int | None = None) -> list[Event]:
        events: list[Event] = []
        rest: Mapping[bytes, int] = {aggregate_id.bytes: (from_version or 1) - 1}
        while rest:
            load = await self.load_rows(rest)
            events += Decoder().events(load.rows)
            rest = load.rest
        return events

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        found: list[bytes] = []
        rest = dict(after_versions)
        size = 0
        for aggregate, after in after_versions.items():
            versions = sorted(self._aggregates.get(aggregate, {}).items())
            start = bisect_right(versions, after, key=itemgetter(0))
            for version, position in versions[start:]:
                if size > self.PAGE_BYTES:
                    return Load(rows=b"".join(found), rest=rest)
                found.append(row := self._rows[position - 1])
                size += len(row)
                rest[aggregate] = version
            del rest[aggregate]
        return Load(rows=b"".join(found), rest={})

    async def history(self, aggregate_id: bytes, after: int, limit: int) -> bytes:
        versions = self._aggregates.get(aggregate_id, {})
        found, size = [], 0
        for version in range(after + 1, min(after + limit, len(versions)) + 1):
            found.append(row := self._rows[versions[version] - 1])
            size += len(row)
            if size > self.PAGE_BYTES:
                break
        return b"".join(found)

    async def sources(self, prefix: str, after: str, limit: int) -> list[SourceRecord]:
        last = {
            source_at(self._rows[positions[1] - 1], 0): self._rows[positions[len(positions)] - 1]
            for positions in self._aggregates.values()
        }
        begins, behind = prefix.encode(), after.encode()
        found = sorted(name for name in last if name.startswith(begins) and name > behind)
        return [source_record(last[name]) for name in found[:limit]]

    async def count(self, after: int, limit: int, prefix: str = "") -> Counts:
        through = max(after, min(after + limit, len(self._rows)))
        return Counts(types=counted(self._rows[after:through], prefix), through=through)

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        found: list[bytes] = []
        size = 0
        for event_id in dict.fromkeys(event_ids):
            if size > self.PAGE_BYTES:
                return Found(rows=b"".join(found), more=True)
            if event_id in self._by_id:
                found.append(row := self._rows[self._by_id[event_id] - 1])
                size += len(row)
        return Found(rows=b"".join(found), more=False)

    async def find_ids(self, event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        return {
            event_id: aggregate_at(self._rows[self._by_id[event_id] - 1], 0)
            for event_id in event_ids
            if event_id in self._by_id
        }

    async def find_caused(self, causes: Sequence[bytes], limit: int) -> Found:
        wanted = set(causes)
        found = (row for row in self._rows if causes_at(row, 0)[1] in wanted)
        return first_found(found, limit, self.PAGE_BYTES)

    async def find_correlated(self, correlation_id: bytes, limit: int) -> Found:
        found = (row for row in self._rows if causes_at(row, 0)[0] == correlation_id)
        return first_found(found, limit, self.PAGE_BYTES)

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        for snapshot in snapshots:
            old = self._snapshots.get(snapshot.aggregate_id)
            if old is None or makes_way(old, snapshot):
                self._snapshots[snapshot.aggregate_id] = snapshot

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        return {key: self._snapshots[key] for key in aggregate_ids if key in self._snapshots}

    async def save_snapshot(self, aggregate_id: UUID, version: int, data: bytes) -> None:
        await self.save_snapshots(
            [Snapshot(aggregate_id=aggregate_id.bytes, version=version, data=data)]
        )

    async def load_snapshot(self, aggregate_id: UUID) -> tuple[int, bytes] | None:
        snapshot = self._snapshots.get(aggregate_id.bytes)
        return (snapshot.version, snapshot.data) if snapshot else None

    async def type_records(self, actor_types: Iterable[str]) -> dict[str, TypeRecord]:
        return {
            name: TypeRecord(
                class_name=self._classes.get(name),
                event_types=frozenset(event for actor, event in self._event_types if actor == name),
                schemas={
                    event: schema
                    for (actor, event), schema in self._event_types.items()
                    if actor == name and schema > 1
                },
                shapes={
                    (event, schema): shape
                    for (actor, event, schema), shape in self._event_shapes.items()
                    if actor == name
                },
            )
            for name in actor_types
        }

    async def record_deciding_classes(self, classes: Mapping[str, DecidingClass]) -> dict[str, str]:
        for name, one in classes.items():
            if self._classes.get(name) in (None, *one.replaces):
                self._classes[name] = one.class_name
        return {name: self._classes[name] for name in classes}

    async def event_types(self) -> set[str]:
        return {event for _, event in self._event_types}

    async def note_event_types(self, pairs: Iterable[tuple[str, str]]) -> None:
        for pair in pairs:
            self._event_types.setdefault(pair, 1)

    async def note_event_schemas(self, schemas: Mapping[tuple[str, str], int]) -> None:
        for pair, schema in schemas.items():
            self._event_types[pair] = max(schema, self._event_types.get(pair, 1))

    async def note_event_shapes(self, shapes: Mapping[EventSchemaKey, Shape]) -> None:
        for key, shape in shapes.items():
            self._event_shapes[key] = {**shape, **self._event_shapes.get(key, {})}

    async def erase(self, erasure: Erasure, epoch: int) -> ErasureReceipt:
        return self._erasing.erase(erasure, epoch)

    async def forget_keys(self, erasure: Erasure, epoch: int) -> Forgotten:
        return self._erasing.forget_keys(erasure, epoch)

    async def forget_reasons(self, event_ids: Sequence[bytes]) -> int:
        return self._erasing.forget_reasons(event_ids)

    async def erasures(self) -> list[ErasureReceipt]:
        return self._erasing.all()

    async def erased_keys(self) -> Mapping[tuple[str, int], AbstractSet[str]]:
        return self._erasing.keys()

    async def search_erased(self, receipt: ErasureReceipt) -> Searched:
        return self._erasing.search(receipt)

    async def open_shards(self, hosts: Sequence[str], *, anew: bool = False) -> ShardTable:
        self._shards = opened(self._shards, hosts, anew=anew)
        return self._shards

    async def move_shards(
        self, shards: Collection[int], host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        present = after_move(self._epochs.get(epoch.name), epoch, attempt)
        if self._shards is None:
            raise StoreUnavailable("memory", "there is no table of shards")
        if present is not self._epochs[epoch.name]:
            self._epochs[epoch.name] = present
            self._shards = self._shards.given(shards, host, to)
        return ShardsMoved(table=self._shards, epoch=present)

    async def open_tally(self, launch: str) -> Tallied:
        if self._tallied is None or self._tallied.launch != launch:
            self._tallied = begun_tally(launch, len(self._rows))
        return self._tallied

    async def save_tally(self, tallied: Tallied) -> None:
        self._tallied = later_tally(self._tallied, tallied)

    async def close(self) -> None:
        """Nothing is open."""

    def _check_fence(self, writer: CounterMove, others: Sequence[CounterMove], count: int) -> None:
        for move in (writer, *others):
            present = self._epochs.get(move.name)
            if present is None or present.number != move.epoch:
                raise StaleEpoch(move.name, move.epoch)
        if self._epochs[WRITER].counter != writer.counter - count:
            raise StaleEpoch(writer.name, writer.epoch)

    def _check_free(self, rows: list[bytes]) -> None:
        ids: set[bytes] = set()
        versions: set[tuple[bytes, int]] = set()
        for row in rows:
            event_id, aggregate, version = _keys(row)
            if event_id in self._by_id or event_id in ids:
                raise DuplicateEvent(f"id {UUID(bytes=event_id)}")
            if version in self._aggregates.get(aggregate, {}) or (aggregate, version) in versions:
                raise VersionConflict(f"{UUID(bytes=aggregate)} version {version}")
            ids.add(event_id)
            versions.add((aggregate, version))


def after_move(present: Epoch | None, epoch: Epoch, attempt: int) -> Epoch:
    """The epoch of a host that gives shards away, once it has; the present one where it had done
    so by this very attempt. Raises StaleEpoch."""
    if present is not None and present.number == epoch.number:
        return replace(present, number=epoch.number + 1, attempt=attempt)
    if present is None or (present.number, present.attempt) != (epoch.number + 1, attempt):
        raise StaleEpoch(epoch.name, epoch.number)
    return present


def makes_way(old: Snapshot, new: Snapshot) -> bool:
    """Does a snapshot make way for another one? For one of its version, too, which may be of
    another state; but what marks an erasure does not, for one that comes late."""
    erased = old.data == ERASED_SNAPSHOT
    return old.version < new.version or (old.version == new.version and not erased)


def begun_tally(launch: str, head: int) -> Tallied:
    """Nothing is counted yet."""
    return Tallied(launch=launch, through=head, by_type={}, by_node={})


def later_tally(kept: Tallied | None, new: Tallied) -> Tallied | None:
    """Which of them is kept."""
    return new if kept and kept.launch == new.launch and kept.through < new.through else kept


def first_found(rows: Iterable[bytes], limit: int, page_bytes: int) -> Found:
    """So many of the rows, and about so many bytes."""
    found: list[bytes] = []
    size = 0
    for row in islice(rows, limit):
        if size > page_bytes:
            return Found(rows=b"".join(found), more=True)
        found.append(row)
        size += len(row)
    return Found(rows=b"".join(found), more=False)


def source_record(row: bytes) -> SourceRecord:
    """The source of a row, which is its last."""
    _, _, version, _, recorded, _ = FIELDS.unpack_from(row)
    return SourceRecord(
        source=source_at(row, 0).decode(),
        version=version,
        event_type=event_type_at(row, 0).decode(),
        recorded_us=recorded + POSTGRES_EPOCH_US,
    )


def counted(rows: Iterable[bytes], prefix: str) -> tuple[TypeCount, ...]:
    """Rows in order of position by their types: those of the sources that begin with `prefix`."""
    found: dict[tuple[str, str], TypeCount] = {}
    for row in rows:
        source, event_type = source_at(row, 0).decode(), event_type_at(row, 0).decode()
        if not source.startswith(prefix):
            continue
        actor_type = source.partition("/")[0] if "/" in source else ""
        _, _, version, _, recorded, position = FIELDS.unpack_from(row)
        before = found.get((actor_type, event_type))
        found[actor_type, event_type] = TypeCount(
            actor_type=actor_type,
            event_type=event_type,
            events=(before.events if before else 0) + 1,
            newcomers=(before.newcomers if before else 0) + (version == 1),
            position=position,
            recorded_us=recorded + POSTGRES_EPOCH_US,
        )
    return tuple(found.values())


def _keys(row: bytes) -> tuple[bytes, bytes, int]:
    """What no two rows share: its id, and its aggregate with its version there."""
    event_id, aggregate, version, *_ = FIELDS.unpack_from(row)
    return event_id, aggregate, version


def _split(rows: EncodedRows) -> Iterable[bytes]:
    for at, length in zip(row_starts(rows), rows.lengths, strict=True):
        yield bytes(rows.data[at : at + length])
