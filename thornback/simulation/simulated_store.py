"""The event store over the simulated database."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from actors.event import Event
from actors.event_shape import Shape
from store.dead_letters import LetterChange
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
    TypeRecord,
)
from store.memory import begun_tally, counted, first_found, later_tally, source_record
from store.rows.decoding import Decoder
from store.rows.layout import EncodedRows, causes_at, source_at
from store.selection import EVERYTHING, Selection, row_filter
from store.shards import ShardTable
from thornback.simulation.database import SHARD_TABLE, gone
from thornback.simulation.database_requests import Transaction
from thornback.simulation.store_of_groups import StoreOfGroups
from thornback.simulation.store_of_programs import StoreOfPrograms

#: What PostgreSQL's index takes of the names of one row.
INDEX_BYTES = 2_704


class SimulatedStore(StoreOfPrograms, StoreOfGroups):
    """EventStore, for one process."""

    #: Bytes that a read or a load brings at a time, a row more or less.
    PAGE_BYTES = 1_000_000

    async def open_epoch(self, name: str, holder: str = "") -> Epoch:
        work, system = self._database.open_epoch, self._system
        return await self.ask(  # type: ignore[no-any-return]
            lambda: work(name, holder, system), names=(name,), opens=True
        )

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
        pieces, at = [], 0
        for length in rows.lengths:
            pieces.append(bytes(rows.data[at : at + length]))
            at += length
        transaction = Transaction(
            pieces, writer, list(nodes), list(checkpoints), list(states), list(letters), attempt
        )
        work = self._database.append
        await self.ask(lambda: work(transaction), names=transaction.names, commits=True)

    async def last_versions(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, int]:
        wanted, versions = list(aggregate_ids), self._database.versions
        return await self.ask(  # type: ignore[no-any-return]
            lambda: {each: max(versions[each]) for each in wanted if each in versions}
        )

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        wanted, epochs = list(names), self._database.epochs
        return await self.ask(  # type: ignore[no-any-return]
            lambda: {name: epochs[name] for name in wanted if name in epochs}
        )

    async def nodes(self) -> set[str]:
        epochs = self._database.epochs
        return await self.ask(lambda: {name.partition("/")[0] for name in epochs})  # type: ignore[no-any-return]

    async def head(self) -> int:
        rows = self._database.rows
        return await self.ask(lambda: len(rows))  # type: ignore[no-any-return]

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        match, rows = row_filter(selection), self._database.rows

        def read() -> Page:
            through = max(after, min(after + limit, len(rows)))
            found, size = [], 0
            for position in range(after, through):
                if match(row := rows[position]):
                    found.append(row)
                    size += len(row)
                if size > self.PAGE_BYTES:
                    through = position + 1
                    break
            return Page(rows=b"".join(found), through=through)

        return await self.ask(read)  # type: ignore[no-any-return]

    async def load_events(self, aggregate_id: UUID, from_version: int | None = None) -> list[Event]:
        events: list[Event] = []
        rest: Mapping[bytes, int] = {aggregate_id.bytes: (from_version or 1) - 1}
        while rest:
            load = await self.load_rows(rest)
            events += Decoder().events(load.rows)
            rest = load.rest
        return events

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> Load:
        wanted, database = dict(after_versions), self._database

        def load() -> Load:
            found: list[bytes] = []
            rest, size = dict(wanted), 0
            for aggregate, after in wanted.items():
                for version, position in sorted(database.versions.get(aggregate, {}).items()):
                    if version <= after:
                        continue
                    if size > self.PAGE_BYTES:
                        return Load(rows=b"".join(found), rest=rest)
                    found.append(row := database.rows[position - 1])
                    size += len(row)
                    rest[aggregate] = version
                del rest[aggregate]
            return Load(rows=b"".join(found), rest={})

        return await self.ask(load)  # type: ignore[no-any-return]

    async def history(self, aggregate_id: bytes, after: int, limit: int) -> bytes:
        database = self._database

        def history() -> bytes:
            versions = sorted(database.versions.get(aggregate_id, {}).items())
            positions = [position for version, position in versions if version > after]
            return b"".join(database.rows[position - 1] for position in positions[:limit])

        return await self.ask(history)  # type: ignore[no-any-return]

    async def sources(self, prefix: str, after: str, limit: int) -> list[SourceRecord]:
        database, begins, behind = self._database, prefix.encode(), after.encode()

        def sources() -> list[SourceRecord]:
            last = {
                source_at(database.rows[at[1] - 1], 0): database.rows[at[len(at)] - 1]
                for at in database.versions.values()
            }
            found = sorted(name for name in last if name.startswith(begins) and name > behind)
            return [source_record(last[name]) for name in found[:limit]]

        return await self.ask(sources)  # type: ignore[no-any-return]

    async def count(self, after: int, limit: int, prefix: str = "") -> Counts:
        rows = self._database.rows

        def count() -> Counts:
            through = max(after, min(after + limit, len(rows)))
            return Counts(types=counted(rows[after:through], prefix), through=through)

        return await self.ask(count)  # type: ignore[no-any-return]

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        wanted, database = list(event_ids), self._database

        def find() -> Found:
            positions = {database.by_id[each] for each in wanted if each in database.by_id}
            found: list[bytes] = []
            size = 0
            for position in sorted(positions):
                if size > self.PAGE_BYTES:
                    return Found(rows=b"".join(found), more=True)
                found.append(row := database.rows[position - 1])
                size += len(row)
            return Found(rows=b"".join(found), more=False)

        return await self.ask(find)  # type: ignore[no-any-return]

    async def find_ids(self, event_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        wanted, by_id, rows = list(event_ids), self._database.by_id, self._database.rows
        return await self.ask(  # type: ignore[no-any-return]
            lambda: {each: rows[by_id[each] - 1][26:42] for each in wanted if each in by_id}
        )

    async def find_caused(self, causes: Sequence[bytes], limit: int) -> Found:
        wanted, rows = set(causes), self._database.rows

        def find() -> Found:
            found = (row for row in rows if causes_at(row, 0)[1] in wanted)
            return first_found(found, limit, self.PAGE_BYTES)

        return await self.ask(find)  # type: ignore[no-any-return]

    async def find_correlated(self, correlation_id: bytes, limit: int) -> Found:
        rows = self._database.rows

        def find() -> Found:
            found = (row for row in rows if causes_at(row, 0)[0] == correlation_id)
            return first_found(found, limit, self.PAGE_BYTES)

        return await self.ask(find)  # type: ignore[no-any-return]

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        kept, work = list(snapshots), self._database.save_snapshots
        await self.ask(lambda: work(kept), saves=True)

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        wanted, snapshots = sorted(aggregate_ids), self._database.snapshots
        return await self.ask(  # type: ignore[no-any-return]
            lambda: {key: snapshots[key] for key in wanted if key in snapshots}
        )

    async def save_snapshot(self, aggregate_id: UUID, version: int, data: bytes) -> None:
        await self.save_snapshots(
            [Snapshot(aggregate_id=aggregate_id.bytes, version=version, data=data)]
        )

    async def load_snapshot(self, aggregate_id: UUID) -> tuple[int, bytes] | None:
        found = (await self.load_snapshots([aggregate_id.bytes])).get(aggregate_id.bytes)
        return (found.version, found.data) if found else None

    async def type_records(self, actor_types: Iterable[str]) -> dict[str, TypeRecord]:
        wanted, database = list(actor_types), self._database

        def records() -> dict[str, TypeRecord]:
            return {
                name: TypeRecord(
                    class_name=database.classes.get(name),
                    event_types=frozenset(
                        event for actor, event in database.event_types if actor == name
                    ),
                    schemas={
                        event: schema
                        for (actor, event), schema in database.event_schemas.items()
                        if actor == name
                    },
                    shapes={
                        (event, schema): shape
                        for (actor, event, schema), shape in database.event_shapes.items()
                        if actor == name
                    },
                )
                for name in wanted
            }

        return await self.ask(records)  # type: ignore[no-any-return]

    async def record_deciding_classes(self, classes: Mapping[str, DecidingClass]) -> dict[str, str]:
        wanted, deciding = dict(classes), self._database.classes

        def record() -> dict[str, str]:
            for name, one in wanted.items():
                if deciding.get(name) in (None, *one.replaces):
                    deciding[name] = one.class_name
            return {name: deciding[name] for name in wanted}

        return await self.ask(record)  # type: ignore[no-any-return]

    async def event_types(self) -> set[str]:
        noted = self._database.event_types
        return await self.ask(lambda: {event for _, event in noted})  # type: ignore[no-any-return]

    async def note_event_types(self, pairs: Iterable[tuple[str, str]]) -> None:
        noted, event_types = list(pairs), self._database.event_types

        def note() -> None:
            if any(sum(len(name.encode()) for name in pair) > INDEX_BYTES for pair in noted):
                raise gone("an index row is too large")
            event_types.update(noted)

        await self.ask(note)

    async def note_event_schemas(self, schemas: Mapping[tuple[str, str], int]) -> None:
        noted, known = dict(schemas), self._database.event_schemas

        def note() -> None:
            for pair, schema in noted.items():
                known[pair] = max(schema, known.get(pair, 1))

        await self.ask(note)

    async def note_event_shapes(self, shapes: Mapping[EventSchemaKey, Shape]) -> None:
        noted, known = dict(shapes), self._database.event_shapes

        def note() -> None:
            for key, shape in noted.items():
                known[key] = {**shape, **known.get(key, {})}

        await self.ask(note)

    async def open_shards(self, hosts: Sequence[str], *, anew: bool = False) -> ShardTable:
        wanted, work = list(hosts), self._database.open_shards
        return await self.ask(lambda: work(wanted, anew=anew), names=(SHARD_TABLE,))  # type: ignore[no-any-return]

    async def move_shards(
        self, shards: Collection[int], host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        wanted, work = frozenset(shards), self._database.move_shards
        return await self.ask(  # type: ignore[no-any-return]
            lambda: work(wanted, host, to, epoch, attempt),
            names=(epoch.name, SHARD_TABLE),
            moves=True,
        )

    async def open_tally(self, launch: str) -> Tallied:
        database = self._database

        def opened() -> Tallied:
            if database.tallied is None or database.tallied.launch != launch:
                database.tallied = begun_tally(launch, len(database.rows))
            return database.tallied

        return await self.ask(opened)  # type: ignore[no-any-return]

    async def save_tally(self, tallied: Tallied) -> None:
        database = self._database

        def save() -> None:
            database.tallied = later_tally(database.tallied, tallied)

        await self.ask(save)
