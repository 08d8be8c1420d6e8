"""Snapshots in PostgreSQL: one an aggregate, the newest."""

from collections.abc import Sequence

from asyncpg.pgproto.pgproto import UUID

from store.erasures import ERASED_SNAPSHOT
from store.event_store import Snapshot
from store.postgres.connections import Connections
from store.postgres.queries import QUERIES


class Snapshots:
    """The table `snapshots`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def save(self, snapshots: Sequence[Snapshot]) -> None:
        """Keep each unless a newer one of its aggregate is there already, or it was erased at that
        version."""
        if not snapshots:
            return
        in_order = sorted(snapshots, key=lambda snapshot: snapshot.version)
        newest = {snapshot.aggregate_id: snapshot for snapshot in in_order}.values()
        await self._connections.fetch(
            QUERIES["save_snapshots"],
            [UUID(snapshot.aggregate_id) for snapshot in newest],
            [snapshot.version for snapshot in newest],
            [snapshot.data for snapshot in newest],
            ERASED_SNAPSHOT,
        )

    async def load(self, aggregate_ids: Sequence[bytes]) -> dict[bytes, Snapshot]:
        """The snapshots of those aggregates that have one."""
        rows = await self._connections.fetch(
            QUERIES["load_snapshots"], [UUID(aggregate) for aggregate in aggregate_ids]
        )
        return {
            row["aggregate_id"].bytes: Snapshot(
                aggregate_id=row["aggregate_id"].bytes, version=row["version"], data=row["data"]
            )
            for row in rows
        }
