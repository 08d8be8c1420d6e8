"""What PostgreSQL keeps of shards: one row, which has the whole table.

A move ends the epoch of whoever gives the shards away, in its transaction, and begins the next one.
So what he had sent before is in the log by then, or never will be; and of a newer incarnation of
him either the epoch has begun before, and nothing is moved, or it begins behind the move, and finds
it.
"""

from collections.abc import Collection, Sequence
from typing import Any

from store.errors import StaleEpoch, StoreUnavailable
from store.event_store import Epoch, ShardsMoved
from store.postgres.connections import Connections, transaction
from store.postgres.queries import QUERIES
from store.shards import ShardTable, opened


class Shards:
    """The table `shard_table`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def open(self, hosts: Sequence[str], *, anew: bool) -> ShardTable:
        """See EventStore.open_shards. Whoever is about to change the table is waited for."""
        if not anew and (found := await self._connections.fetch(QUERIES["see_shards"])):
            return _table(found[0])
        async with self._connections.use() as connection, transaction(connection):
            kept = await _held(connection)
            if kept is None:  # two may come to it at once: then one of them makes it
                first = opened(None, hosts, anew=anew)
                await connection.execute(QUERIES["make_shards"], *_row(first))
                kept = await _held(connection)
                assert kept is not None
            return await _kept(connection, kept, opened(kept, hosts, anew=anew))

    async def move(
        self, shards: Collection[int], host: str, to: str, epoch: Epoch, attempt: int
    ) -> ShardsMoved:
        """See EventStore.move_shards."""
        name, number = epoch.name, epoch.number
        async with self._connections.use() as connection, transaction(connection):
            row = await connection.fetchrow(QUERIES["end_epoch"], name, number, attempt)
            ended = row is not None
            if not ended:
                row = await connection.fetchrow(QUERIES["ended_epoch"], name, number, attempt)
                if row is None:
                    raise StaleEpoch(name, number)
            kept = await _held(connection)
            if kept is None:
                raise StoreUnavailable(str(self._connections), "there is no table of shards")
            if ended:
                kept = await _kept(connection, kept, kept.given(shards, host, to))
            return ShardsMoved(table=kept, epoch=Epoch(name=name, **row))


async def _held(connection: Any) -> ShardTable | None:
    """The table as it is, which nobody else changes before the end of the transaction."""
    row = await connection.fetchrow(QUERIES["hold_shards"])
    return None if row is None else _table(row)


async def _kept(connection: Any, before: ShardTable, now: ShardTable) -> ShardTable:
    if now is not before:
        await connection.execute(QUERIES["keep_shards"], *_row(now))
    return now


def _row(table: ShardTable) -> tuple[Any, ...]:
    return table.version, list(table.hosts), list(table.dealt_to)


def _table(row: Any) -> ShardTable:
    version, hosts, dealt_to = row
    return ShardTable(version=version, hosts=tuple(hosts), dealt_to=tuple(dealt_to))
