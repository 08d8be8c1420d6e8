"""The event store on PostgreSQL: binary COPY in, binary COPY out.

One transaction appends a batch: it moves the counters of the writer and of the nodes,
which is also the fence (an update of a row with the caller's epoch, or no commit), and
copies the rows. Because the writer's counter moves in the same transaction, whoever
lost a connection in the middle of a commit can read there whether it happened.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any
from uuid import UUID

import asyncpg

from actors.event import Event
from store.errors import (
    DuplicateEvent,
    RowsRefused,
    StaleEpoch,
    StoreError,
    StoreUnavailable,
    VersionConflict,
)
from store.event_store import CounterMove, Epoch, Page, Snapshot
from store.postgres.connections import UNREACHABLE, address_of, keep_session, reason_of
from store.postgres.migrations import migrate
from store.rows.decoding import Decoder, column_values
from store.rows.layout import COLUMNS, COPY_HEADER, COPY_TRAILER, EncodedRows
from store.selection import EVERYTHING, Selection, like

_COLUMN_LIST = ", ".join(COLUMNS)
_FENCE = """
    UPDATE epochs e SET counter = t.counter
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) t(name, epoch, counter, old)
    WHERE e.name = t.name AND e.epoch = t.epoch AND (t.old IS NULL OR e.counter = t.old)
    RETURNING e.name
"""
_APPEND = f"SELECT append_events({', '.join(f'${number}' for number in range(1, 19))})"
_EPOCH_OVER = "TB001"
_OPEN_EPOCH = """
    INSERT INTO epochs AS e (name, epoch) VALUES ($1, 1)
    ON CONFLICT (name) DO UPDATE SET epoch = e.epoch + 1
    RETURNING epoch, counter
"""


class PostgresEventStore:
    """EventStore on a PostgreSQL 13 or newer. `connect` opens it."""

    #: Up to so many rows one statement is quicker than a COPY with its transaction.
    SMALL = 8

    def __init__(self, url: str, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._where = address_of(url)
        self._pool = pool
        self._decoder = Decoder()

    @classmethod
    async def connect(
        cls, url: str, *, pool_size: int = 20, timeout_s: float = 10.0, migrates: bool = True
    ) -> "PostgresEventStore":
        """Open a pool of up to `pool_size` connections and bring the schema up to date,
        unless the caller leaves that to others.

        Raises StoreUnavailable, or SchemaMismatch for a database of a newer release.
        """
        try:
            pool = await asyncpg.create_pool(
                url, min_size=1, max_size=pool_size, timeout=timeout_s, reset=keep_session
            )
        except (*UNREACHABLE, asyncpg.PostgresError, ValueError) as error:
            raise StoreUnavailable(address_of(url), reason_of(error)) from error
        store = cls(url, pool)
        if not migrates:
            return store
        try:
            async with store._connection() as connection:
                await migrate(connection)
        except BaseException:
            pool.terminate()
            raise
        return store

    async def open_epoch(self, name: str) -> Epoch:
        async with self._connection() as connection:
            row = await connection.fetchrow(_OPEN_EPOCH, name)
        assert row is not None
        return Epoch(name=name, number=row["epoch"], counter=row["counter"])

    async def append(
        self, rows: EncodedRows, *, writer: CounterMove, nodes: Sequence[CounterMove]
    ) -> None:
        async with self._connection() as connection:
            try:
                if len(rows) <= self.SMALL:
                    await self._append_small(connection, rows, writer, nodes)
                else:
                    await self._append_copy(connection, rows, writer, nodes)
            except asyncpg.UniqueViolationError as error:
                raise _conflict(error) from error
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
                raise RowsRefused(reason_of(error)) from error

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        async with self._connection() as connection:
            rows = await connection.fetch(
                "SELECT name, epoch, counter FROM epochs WHERE name = ANY($1)", list(names)
            )
        return {
            row["name"]: Epoch(name=row["name"], number=row["epoch"], counter=row["counter"])
            for row in rows
        }

    async def head(self) -> int:
        async with self._connection() as connection:
            return int(
                await connection.fetchval(
                    "SELECT coalesce((SELECT counter FROM epochs WHERE name = 'writer'), 0)"
                )
            )

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        through = max(after, min(after + limit, await self.head()))
        if through == after:
            return Page(rows=b"", through=after)
        where, arguments = "position > $1 AND position <= $2", [after, through]
        for column, globs in (("event_type", selection.event_types), ("source", selection.sources)):
            if globs:
                arguments.append([like(glob) for glob in globs])  # type: ignore[arg-type]
                where += f" AND {column} LIKE ANY(${len(arguments)}::text[])"
        rows = await self._copy_out(f"WHERE {where} ORDER BY position", *arguments)
        return Page(rows=rows, through=through)

    async def load_events(self, aggregate_id: UUID, from_version: int | None = None) -> list[Event]:
        rows = await self._copy_out(
            "WHERE aggregate_id = $1 AND version >= $2 ORDER BY version",
            aggregate_id,
            from_version or 1,
        )
        return self._decoder.events(rows)

    async def load_rows(self, after_versions: Mapping[bytes, int]) -> bytes:
        if not after_versions:
            return b""
        return await self._copy_out(
            "JOIN unnest($1::uuid[], $2::bigint[]) wanted(aggregate, after)"
            " ON aggregate_id = aggregate AND version > after"
            " ORDER BY aggregate_id, version",
            [UUID(bytes=aggregate) for aggregate in after_versions],
            list(after_versions.values()),
        )

    async def find_rows(self, event_ids: Sequence[bytes]) -> bytes:
        if not event_ids:
            return b""
        return await self._copy_out(
            "WHERE id = ANY($1::uuid[])", [UUID(bytes=event_id) for event_id in event_ids]
        )

    async def find_ids(self, event_ids: Sequence[bytes]) -> set[bytes]:
        if not event_ids:
            return set()
        async with self._connection() as connection:
            rows = await connection.fetch(
                "SELECT id FROM events WHERE id = ANY($1::uuid[])",
                [UUID(bytes=event_id) for event_id in event_ids],
            )
        return {row["id"].bytes for row in rows}

    async def save_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        if not snapshots:
            return
        in_order = sorted(snapshots, key=lambda snapshot: snapshot.version)
        newest = {snapshot.aggregate_id: snapshot for snapshot in in_order}.values()
        async with self._connection() as connection:
            await connection.execute(
                "INSERT INTO snapshots AS s (aggregate_id, version, data)"
                " SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bytea[])"
                " ON CONFLICT (aggregate_id) DO UPDATE"
                " SET version = excluded.version, data = excluded.data, timestamp = now()"
                " WHERE s.version < excluded.version",
                [UUID(bytes=snapshot.aggregate_id) for snapshot in newest],
                [snapshot.version for snapshot in newest],
                [snapshot.data for snapshot in newest],
            )

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        async with self._connection() as connection:
            rows = await connection.fetch(
                "SELECT aggregate_id, version, data FROM snapshots"
                " WHERE aggregate_id = ANY($1::uuid[])",
                [UUID(bytes=aggregate) for aggregate in aggregate_ids],
            )
        return {
            row["aggregate_id"].bytes: Snapshot(
                aggregate_id=row["aggregate_id"].bytes, version=row["version"], data=row["data"]
            )
            for row in rows
        }

    async def save_snapshot(self, aggregate_id: UUID, version: int, data: bytes) -> None:
        await self.save_snapshots(
            [Snapshot(aggregate_id=aggregate_id.bytes, version=version, data=data)]
        )

    async def load_snapshot(self, aggregate_id: UUID) -> tuple[int, bytes] | None:
        found = (await self.load_snapshots([aggregate_id.bytes])).get(aggregate_id.bytes)
        return (found.version, found.data) if found else None

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Any query on the log, for reports and checks."""
        async with self._connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return rows

    async def close(self) -> None:
        # Not Pool.close(): it waits without bound for a server that does not answer.
        self._pool.terminate()

    async def _append_copy(
        self, connection: Any, rows: EncodedRows, writer: CounterMove, nodes: Sequence[CounterMove]
    ) -> None:
        async with connection.transaction():
            await self._fence(connection, writer, nodes, len(rows))
            await connection.copy_to_table(
                "events", source=_copy_stream(rows), columns=COLUMNS, format="binary"
            )

    async def _append_small(
        self, connection: Any, rows: EncodedRows, writer: CounterMove, nodes: Sequence[CounterMove]
    ) -> None:
        """One round trip instead of five: most of what a single ask waits for."""
        fields = column_values(rows)
        try:
            await connection.execute(_APPEND, *_ticks(writer, nodes, len(rows)), *fields)
        except asyncpg.PostgresError as error:
            if error.sqlstate != _EPOCH_OVER:
                raise
            await self._append_copy(connection, rows, writer, nodes)  # tells whose epoch

    async def _fence(
        self, connection: Any, writer: CounterMove, nodes: Sequence[CounterMove], count: int
    ) -> None:
        ticks = (writer, *nodes)
        moved = await connection.fetch(_FENCE, *_ticks(writer, nodes, count))
        if len(moved) < len(ticks):
            names = {row["name"] for row in moved}
            stale = next(tick for tick in ticks if tick.name not in names)
            raise StaleEpoch(stale.name, stale.epoch)

    async def _copy_out(self, clause: str, *arguments: Any) -> bytes:
        # asyncpg writes the arguments of a COPY into its text; all are numbers, UUIDs or
        # patterns that it quotes.
        output = BytesIO()
        async with self._connection() as connection:
            await connection.copy_from_query(
                f"SELECT {_COLUMN_LIST} FROM events {clause}",
                *arguments,
                output=output,
                format="binary",
            )
        return output.getvalue()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except StoreError:
            raise
        except (*UNREACHABLE, asyncpg.PostgresError) as error:
            # Also a full disk or a missing table: somebody has to look after the database.
            raise StoreUnavailable(self._where, reason_of(error)) from error


def _ticks(writer: CounterMove, nodes: Sequence[CounterMove], count: int) -> tuple[list[Any], ...]:
    """Names, epochs, new counters, and for the writer the counter it must have had."""
    ticks = sorted((writer, *nodes), key=lambda tick: tick.name)  # one lock order
    return (
        [tick.name for tick in ticks],
        [tick.epoch for tick in ticks],
        [tick.counter for tick in ticks],
        [tick.counter - count if tick is writer else None for tick in ticks],
    )


async def _copy_stream(rows: EncodedRows) -> AsyncIterator[bytes]:
    yield COPY_HEADER
    yield bytes(rows.data)
    yield COPY_TRAILER


def _conflict(error: asyncpg.UniqueViolationError) -> DuplicateEvent | VersionConflict | StaleEpoch:
    detail = str(error.detail)
    if error.constraint_name == "events_pkey":
        return DuplicateEvent(detail)
    if error.constraint_name == "events_position_idx":
        return StaleEpoch("writer", 0)
    return VersionConflict(detail)
