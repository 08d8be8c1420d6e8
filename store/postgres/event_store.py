"""The event store on PostgreSQL: binary COPY in, binary COPY out.

One transaction appends a batch: it moves the counters of the writer and of the nodes, which is
also the fence, and stores the rows (store/postgres/appending.py). Because the number of the
attempt moves with the writer's counter, whoever lost a connection in the middle of a commit can
read there which one happened.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any
from uuid import UUID

import asyncpg

from actors.columns import TableSchema
from actors.event import Event
from actors.event_shape import Shape
from store.dead_letters import DeadLetter, LetterChange, Parked, ParkedHead, ParkedQueue
from store.erasures import Erasure, ErasureReceipt, Forgotten, Searched
from store.errors import SystemReplaced
from store.event_store import (
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
from store.merges import Leg, Merge
from store.postgres.appending import append_copy, append_small, refusal
from store.postgres.claims import find
from store.postgres.connections import OPERATION_S, Connections, transaction
from store.postgres.erasing import Erasing
from store.postgres.fence import Fence
from store.postgres.groups import Groups
from store.postgres.letters import Letters
from store.postgres.merges import Merges
from store.postgres.migrations import check_schema
from store.postgres.moving_address import MovingAddress, Whereabouts
from store.postgres.projections import Projections
from store.postgres.queries import (
    QUERIES,
    rows_between,
    rows_of_aggregates,
    rows_of_causes,
    rows_of_correlation,
    rows_of_history,
    rows_of_ids,
)
from store.postgres.shards import Shards
from store.postgres.snapshots import Snapshots
from store.postgres.states import States
from store.postgres.subscriptions import Subscriptions
from store.postgres.tallies import Tallies
from store.postgres.timers import Timers
from store.postgres.tokens import PostgresTokens
from store.postgres.types import Types
from store.projected import Condition, ProjectedTable, RowChange
from store.receipts import Receipt
from store.rows.decoding import Decoder
from store.rows.layout import EncodedRows, last_row
from store.selection import EVERYTHING, Selection, after_all_of
from store.shards import ShardTable
from store.slots import SLOTS
from store.subscriptions import SubscriptionRecord
from store.timers import Hastened, Place, Timer, TimerChanges, Woken


class PostgresEventStore:
    """EventStore on a PostgreSQL 13 or newer. `connect` opens it.

    More than fifteen fields: its connections, and a part for each kind of table.
    """

    #: Up to so many rows one statement is quicker than a COPY with its transaction.
    SMALL = 8
    #: Bytes that a read or a load brings at a time, a row more or less.
    PAGE_BYTES = 16 * 1024 * 1024

    def __init__(self, connections: Connections, system: str | None = None) -> None:
        self.connections = connections
        self._system = system  #: whose claim on the database is asked for, before an epoch
        self._snapshots = Snapshots(connections)
        self._types = Types(connections)
        self._subscriptions = Subscriptions(connections)
        self._groups = Groups(connections)
        self._states = States(connections)
        self._merges = Merges(connections)
        self._projections = Projections(connections)
        self._letters = Letters(connections)
        self._timers = Timers(connections)
        self._shards = Shards(connections)
        self._tallies = Tallies(connections)
        self._erasing = Erasing(connections, self._projections)
        self.tokens = PostgresTokens(connections)  #: of clients; no part of the log
        self.fence = Fence()
        self._decoder = Decoder()

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        pool_size: int = 20,
        timeout_s: float = 10.0,
        operation_s: float = OPERATION_S,
        whereabouts: Whereabouts | None = None,
        system: str | None = None,
    ) -> "PostgresEventStore":
        """Open a pool of up to `pool_size` connections to a database that was migrated
        (store/postgres/migrations.py).

        `timeout_s` is for opening a connection, and for how long the server may be silent
        to what was sent; `operation_s` is for an operation, however busy the server is.
        `whereabouts` is asked where the server is now when it cannot be reached.
        `system` opens no epoch once it has lost its claim (store/postgres/claims.py): that
        raises SystemReplaced. Raises StoreUnavailable, or SchemaMismatch for a database of
        another release.
        """
        connections = await Connections.open(
            MovingAddress(url, whereabouts),
            pool_size=pool_size,
            timeout_s=timeout_s,
            operation_s=operation_s,
        )
        try:
            async with connections.use() as connection:
                await check_schema(connection)
        except BaseException:
            connections.close()
            raise
        return cls(connections, system)

    async def open_epoch(self, name: str, holder: str = "") -> Epoch:
        rows = await self.connections.fetch(QUERIES["open_epoch"], name, holder, self._system)
        if not rows:
            async with self.connections.use() as connection:
                raise SystemReplaced(str(self.connections), str(await find(connection)))
        [row] = rows
        number, counter, attempt, holder = row
        return Epoch(name=name, number=number, counter=counter, attempt=attempt, holder=holder)

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
        moves = self.fence.moves(writer, nodes, count=len(rows), attempt=attempt)
        async with self.connections.use() as connection:
            try:
                if 0 < len(rows) <= self.SMALL and not (checkpoints or states or letters):
                    places = await append_small(connection, rows, moves)
                else:
                    time_s = self.connections.time_for(len(rows.data))
                    places = await append_copy(
                        connection, rows, moves, checkpoints, states, letters, time_s=time_s
                    )
            except Exception as error:
                if (refused := refusal(error, writer, moves)) is None:
                    raise
                raise refused from error
        self.fence.moved(moves, places)

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        rows = await self.connections.fetch(
            "SELECT name, epoch, counter, attempt, holder FROM epochs WHERE name = ANY($1)",
            list(names),
        )
        return {
            name: Epoch(name=name, number=number, counter=counter, attempt=attempt, holder=holder)
            for name, number, counter, attempt, holder in rows
        }

    async def open_subscription(
        self, name: str, selection: Selection, after: int, epoch: int, *, make: bool = True
    ) -> SubscriptionRecord:
        return await self._subscriptions.open(name, selection, after, epoch, make=make)

    async def move_checkpoint(self, checkpoint: CheckpointMove) -> None:
        await self._subscriptions.move(checkpoint)

    async def move_checkpoints(self, checkpoints: Sequence[CheckpointMove]) -> set[str]:
        return await self._subscriptions.move_each(checkpoints)

    async def open_group(self, name: str, selection: Selection, after: int) -> None:
        await self._groups.open(name, selection, after)

    async def meet_group(self, name: str, member: int, sign: int) -> GroupView:
        return await self._groups.meet(name, member, sign)

    async def take_slots(
        self, name: str, member: int, epoch: int, seen: Mapping[int, int]
    ) -> list[SubscriptionRecord]:
        return await self._groups.take(name, member, epoch, seen)

    async def free_slots(self, name: str, epochs: Mapping[int, int]) -> None:
        await self._groups.free(name, epochs)

    async def leave_group(self, name: str, member: int) -> None:
        await self._groups.leave(name, member)

    async def expel_member(self, name: str, member: int, sign: int) -> bool:
        return await self._groups.expel(name, member, sign)

    async def subscriptions(self) -> list[SubscriptionRecord]:
        return await self._subscriptions.all()

    async def drop_subscription(self, name: str) -> bool:
        return await self._subscriptions.drop(name)

    async def recount(
        self, selection: Selection, after: int, through: int, slot: int | None = None
    ) -> Receipt:
        return await self._subscriptions.recount(selection, after, through, slot)

    async def load_states(self, program: str, keys: Sequence[str]) -> dict[str, bytes]:
        return await self._states.load(program, keys)

    async def due_states(self, program: str, after: str, limit: int) -> list[tuple[str, int]]:
        return await self._states.due(program, after, limit)

    async def drop_program(self, program: str) -> bool:
        async with self.connections.use() as connection, transaction(connection):
            table = await self._projections.drop(connection, program)
            return await self._states.drop_program(connection, program) or table

    async def merge_of(self, program: str) -> Merge | None:
        return await self._merges.of(program)

    async def merges(self) -> list[Merge]:
        return await self._merges.all()

    async def make_merge(self, program: str, began: Sequence[int]) -> Merge:
        return await self._merges.make(program, began)

    async def extend_merge(self, merge: Merge, legs: Sequence[Leg]) -> bool:
        return await self._merges.extend(merge, legs)

    async def merge_legs(self, merge: Merge, after: int, limit: int) -> list[Leg]:
        return await self._merges.legs(merge, after, limit)

    async def last_legs(self, merge: Merge, place: int) -> list[Leg]:
        return await self._merges.last_legs(merge, place)

    async def places_in_merge(
        self, merge: Merge, partition: int, positions: Sequence[int]
    ) -> dict[int, int]:
        return await self._merges.places(merge, partition, positions)

    async def open_projection(self, schema: TableSchema, *, make: bool = True) -> ProjectedTable:
        return await self._projections.open(schema, make=make)

    async def projections(self) -> list[ProjectedTable]:
        return await self._projections.all()

    async def reached(self, program: str) -> int:
        [row] = await self.connections.fetch(QUERIES["reached"], program, SLOTS)
        return int(row["position"])

    async def load_projected(
        self, table: ProjectedTable, keys: Sequence[str]
    ) -> dict[str, tuple[Any, ...]]:
        return await self._projections.load(table, keys)

    async def project(
        self,
        table: ProjectedTable,
        checkpoints: Sequence[CheckpointMove],
        changes: Sequence[RowChange],
        letters: Sequence[LetterChange] = (),
    ) -> None:
        await self._projections.project(table, checkpoints, changes, letters)

    async def select_projected(
        self, table: ProjectedTable, conditions: Sequence[Condition], after: str, limit: int
    ) -> list[tuple[str, tuple[Any, ...]]]:
        return await self._projections.select(table, conditions, after, limit)

    async def swap_projection(self, built: ProjectedTable) -> bool:
        return await self._projections.swap(built)

    async def parked_heads(self, program: str) -> list[ParkedHead]:
        return await self._letters.heads(program)

    async def dead_letters(self, parked: Parked, after: int, limit: int) -> list[DeadLetter]:
        return await self._letters.of(parked, after, limit)

    async def parked_queues(self, program: str | None = None) -> list[ParkedQueue]:
        return await self._letters.queues(program)

    async def drop_dead_letters(self, program: str, parked: Parked | None, epoch: int) -> int:
        return await self._letters.drop(program, parked, epoch)

    async def file_timers(self, checkpoint: CheckpointMove, changes: TimerChanges) -> int:
        return await self._timers.file(checkpoint, changes)

    async def due_timers(
        self, after: Place, until_us: int, limit: int, most_bytes: int
    ) -> list[Timer]:
        return await self._timers.due(after, until_us, limit, most_bytes)

    async def hasten_timers(
        self, checkpoint: CheckpointMove, beyond_us: int, limit: int
    ) -> Hastened:
        return await self._timers.hasten(checkpoint, beyond_us, limit)

    async def wake_timers(
        self,
        checkpoint: CheckpointMove,
        sources: Sequence[str],
        actor_types: Sequence[str],
        beyond_us: int,
        limit: int,
    ) -> Woken:
        return await self._timers.wake(checkpoint, sources, actor_types, beyond_us, limit)

    async def count_timers(self) -> int:
        return await self._timers.count()

    async def last_versions(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, int]:
        wanted = [UUID(bytes=each) for each in aggregate_ids]
        rows = await self.connections.fetch(QUERIES["last_versions"], wanted)
        return {row["id"].bytes: row["version"] for row in rows}

    async def nodes(self) -> set[str]:
        return {row["node"] for row in await self.connections.fetch(QUERIES["nodes"])}

    async def head(self) -> int:
        rows = await self.connections.fetch("SELECT counter FROM epochs WHERE name = 'writer'")
        return rows[0]["counter"] if rows else 0

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        through = max(after, min(after + limit, await self.head()))
        if through == after:
            return Page(rows=b"", through=after)
        query = rows_between(after, through, selection)
        found = await self.connections.copy_out(query, self.PAGE_BYTES)
        if found.cut is not None:
            through = last_row(found.cut).position
        return Page(rows=found.rows, through=through)

    async def load_events(self, aggregate_id: UUID, from_version: int | None = None) -> list[Event]:
        events: list[Event] = []
        rest: Mapping[bytes, int] = {aggregate_id.bytes: (from_version or 1) - 1}
        while rest:
            load = await self.load_rows(rest)
            events += self._decoder.events(load.rows)
            rest = load.rest
        return events

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        if not after_versions:
            return Load(rows=b"", rest={})
        query = rows_of_aggregates(after_versions)
        found = await self.connections.copy_out(query, self.PAGE_BYTES)
        if found.cut is None:
            return Load(rows=found.rows, rest={})
        last = last_row(found.cut)
        begun = list(after_versions).index(last.aggregate_id)
        rest = {last.aggregate_id: last.version}
        return Load(
            rows=found.rows, rest=rest | dict(islice(after_versions.items(), begun + 1, None))
        )

    async def history(self, aggregate_id: bytes, after: int, limit: int) -> bytes:
        query = rows_of_history(aggregate_id, after, limit)
        return (await self.connections.copy_out(query, self.PAGE_BYTES)).rows

    async def sources(self, prefix: str, after: str, limit: int) -> list[SourceRecord]:
        rows = await self.connections.fetch(
            QUERIES["sources"], prefix, after_all_of(prefix), after, limit
        )
        return [SourceRecord(**row) for row in rows]

    async def count(self, after: int, limit: int, prefix: str = "") -> Counts:
        through = max(after, min(after + limit, await self.head()))
        if through == after:
            return Counts(types=(), through=after)
        rows = await self.connections.fetch(QUERIES["count_types"], after, through, prefix)
        return Counts(types=tuple(TypeCount(**row) for row in rows), through=through)

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        if not event_ids:
            return Found(rows=b"", more=False)
        return await self._found(rows_of_ids(event_ids))

    async def find_ids(self, event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        if not event_ids:
            return {}
        rows = await self.connections.fetch(
            QUERIES["find_ids"],
            [UUID(bytes=event_id) for event_id in event_ids],
        )
        return {row["id"].bytes: row["aggregate_id"].bytes for row in rows}

    async def find_caused(self, causes: Sequence[bytes], limit: int) -> Found:
        if not causes:
            return Found(rows=b"", more=False)
        return await self._found(rows_of_causes(list(dict.fromkeys(causes)), limit))

    async def find_correlated(self, correlation_id: bytes, limit: int) -> Found:
        return await self._found(rows_of_correlation(correlation_id, limit))

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        await self._snapshots.save(snapshots)

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        return await self._snapshots.load(aggregate_ids)

    async def save_snapshot(self, aggregate_id: UUID, version: int, data: bytes) -> None:
        await self._snapshots.save(
            [Snapshot(aggregate_id=aggregate_id.bytes, version=version, data=data)]
        )

    async def load_snapshot(self, aggregate_id: UUID) -> tuple[int, bytes] | None:
        found = (await self._snapshots.load([aggregate_id.bytes])).get(aggregate_id.bytes)
        return (found.version, found.data) if found else None

    async def type_records(self, actor_types: Iterable[str]) -> dict[str, TypeRecord]:
        return await self._types.records(actor_types)

    async def record_deciding_classes(self, classes: Mapping[str, DecidingClass]) -> dict[str, str]:
        return await self._types.record_deciding(classes)

    async def event_types(self) -> set[str]:
        return await self._types.events()

    async def note_event_types(self, pairs: Iterable[tuple[str, str]]) -> None:
        await self._types.note(pairs)

    async def note_event_schemas(self, schemas: Mapping[tuple[str, str], int]) -> None:
        await self._types.note_schemas(schemas)

    async def note_event_shapes(self, shapes: Mapping[EventSchemaKey, Shape]) -> None:
        await self._types.note_shapes(shapes)

    async def erase(self, erasure: Erasure, epoch: int) -> ErasureReceipt:
        return await self._erasing.erase(erasure, epoch)

    async def forget_keys(self, erasure: Erasure, epoch: int) -> Forgotten:
        return await self._erasing.forget_keys(erasure, epoch)

    async def forget_reasons(self, event_ids: Sequence[bytes]) -> int:
        return await self._erasing.forget_reasons(event_ids)

    async def erasures(self) -> list[ErasureReceipt]:
        return await self._erasing.all()

    async def erased_keys(self) -> Mapping[tuple[str, int], AbstractSet[str]]:
        return await self._erasing.keys()

    async def search_erased(self, receipt: ErasureReceipt) -> Searched:
        return await self._erasing.search(receipt)

    async def open_shards(self, hosts: Sequence[str], *, anew: bool = False) -> ShardTable:
        return await self._shards.open(hosts, anew=anew)

    async def move_shards(
        self, shards: Collection[int], host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        return await self._shards.move(shards, host, to, epoch, attempt)

    async def open_tally(self, launch: str) -> Tallied:
        return await self._tallies.open(launch)

    async def save_tally(self, tallied: Tallied) -> None:
        await self._tallies.save(tallied)

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Any query on the log, for reports and checks. It may take its time."""
        return await self.connections.report(query, *arguments)

    async def close(self) -> None:
        self.connections.close()

    async def _found(self, query: str) -> Found:
        found = await self.connections.copy_out(query, self.PAGE_BYTES)
        return Found(rows=found.rows, more=found.cut is not None)
