"""A log that is only read: of a database that may be of this release or of an earlier one.

Its sessions are read-only, so the server refuses whatever would change it; no epoch is opened, and
no claim is asked for. A system may run on it meanwhile.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import asyncpg

from store.event_store import Load, Snapshot, TypeRecord
from store.postgres.connections import Connections
from store.postgres.event_store import PostgresEventStore
from store.postgres.migrations import check_schema
from store.postgres.moving_address import MovingAddress
from store.postgres.queries import QUERIES
from store.selection import after_all_of

_HAS_SCHEMAS = "SELECT to_regclass('event_schemas') IS NOT NULL AS there"
_ID_AT = "SELECT id FROM events WHERE position = $1"


class PastLog:
    """What checks read of a log. `open` opens one."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self._store = PostgresEventStore(connections)

    @classmethod
    async def open(cls, url: str, *, timeout_s: float = 10.0) -> "PastLog":
        """Raises StoreUnavailable, and SchemaMismatch for a database of a later release or without
        a log."""
        where = MovingAddress(url)
        connections = await Connections.open(
            where, pool_size=1, timeout_s=timeout_s, read_only=True
        )
        try:
            async with connections.use() as connection:
                await check_schema(connection, older=True)
        except BaseException:
            connections.close()
            raise
        return cls(connections)

    async def types(self) -> dict[str, TypeRecord]:
        """The actor types that it has, with the class that has decided each."""
        found = {
            row["actor_type"]: TypeRecord(
                class_name=row["class"], event_types=frozenset(row["event_types"])
            )
            for row in await self.connections.fetch(QUERIES["decided_types"])
        }
        [has_schemas] = await self.connections.fetch(_HAS_SCHEMAS)
        if not has_schemas["there"]:  # of an earlier release: all of it is of the first ones
            return found
        for row in await self.connections.fetch(QUERIES["newer_schemas"]):
            if (record := found.get(row["actor_type"])) is not None:
                schemas = {**record.schemas, row["event_type"]: row["schema_version"]}
                found[row["actor_type"]] = replace(record, schemas=schemas)
        return found

    async def count(self, actor_type: str) -> int:
        """How many actors of a type it has."""
        [row] = await self._report("count_sources", *_between(actor_type))
        return int(row["count"])

    async def sample(self, actor_type: str, count: int, seed: int) -> list[str]:
        """The sources of so many of them: the same ones each time, for one seed."""
        rows = await self._report("sample_of_sources", *_between(actor_type), seed, count)
        return [row["source"] for row in rows]

    async def load_rows(self, after_versions: dict[bytes, int]) -> Load:
        """See EventStore.load_rows."""
        return await self._store.load_rows(after_versions)

    async def load_snapshots(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        """See EventStore.load_snapshots."""
        return await self._store.load_snapshots(aggregate_ids)

    async def id_at(self, position: int) -> str:
        """The id of the event at a position."""
        [row] = await self.connections.fetch(_ID_AT, position)
        return str(row["id"])

    def close(self) -> None:
        """End all connections."""
        self.connections.close()

    async def _report(self, name: str, *arguments: Any) -> "list[asyncpg.Record]":
        return await self.connections.report(QUERIES[name], *arguments)


def _between(actor_type: str) -> tuple[str, str]:
    prefix = f"{actor_type}/"
    return prefix, after_all_of(prefix)
