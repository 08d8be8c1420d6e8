"""What PostgreSQL keeps of the timers that are to fire."""

from collections.abc import Sequence
from typing import Any

from actors.ids import uuid_of
from store.appends import CheckpointMove
from store.postgres.connections import Connections, transaction
from store.postgres.queries import QUERIES
from store.postgres.subscriptions import move_checkpoints
from store.timers import Hastened, Place, Timer, TimerChanges, Woken


class Timers:
    """The table `timers`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def file(self, checkpoint: CheckpointMove, changes: TimerChanges) -> int:
        """Changes, with their checkpoint; by how many there are more now. Raises
        StaleCheckpoint."""
        async with self._connections.use() as connection, transaction(connection):
            await move_checkpoints(connection, [checkpoint])
            return await _change(connection, changes)

    async def hasten(self, checkpoint: CheckpointMove, beyond_us: int, limit: int) -> Hastened:
        """Those that were put off beyond a moment are looked at when they are due, so many, with
        their checkpoint. Raises StaleCheckpoint."""
        async with self._connections.use() as connection, transaction(connection):
            await move_checkpoints(connection, [checkpoint])
            [row] = await connection.fetch(QUERIES["hasten_timers"], beyond_us, limit)
            return Hastened(row["timers"], row["last"])

    async def wake(
        self,
        checkpoint: CheckpointMove,
        sources: Sequence[str],
        actor_types: Sequence[str],
        beyond_us: int,
        limit: int,
    ) -> Woken:
        """Those of such actors that were put off beyond a moment are looked at when they are due,
        so many, with their checkpoint. Raises StaleCheckpoint."""
        asked = [("wake_timers_of", sources), ("wake_timers_of_types", actor_types)]
        count, looks_us = 0, []
        async with self._connections.use() as connection, transaction(connection):
            await move_checkpoints(connection, [checkpoint])
            for query, names in asked:
                if names and count < limit:
                    [row] = await connection.fetch(
                        QUERIES[query], list(names), beyond_us, limit - count
                    )
                    count += row["timers"]
                    looks_us.append(row["look"])
        first_us = min((look_us for look_us in looks_us if look_us is not None), default=None)
        return Woken(count, first_us)

    async def due(self, after: Place, until_us: int, limit: int, most_bytes: int) -> list[Timer]:
        """Some that are to be looked at, in order."""
        rows = await self._connections.fetch(
            QUERIES["due_timers"], *after, until_us, limit, most_bytes
        )
        return [_timer(row) for row in rows]

    async def count(self) -> int:
        """How many there are."""
        [row] = await self._connections.fetch(QUERIES["count_timers"])
        return int(row["timers"])


async def _change(within: Any, changes: TimerChanges) -> int:
    difference = 0
    if changes.gone:
        sources, keys = zip(*sorted(changes.gone), strict=True)
        gone = await within.fetch(QUERIES["forget_timers"], list(sources), list(keys))
        difference -= gone[0]["timers"]
    if changes.moved:
        moved = sorted(changes.moved)  # side by side in the index
        await within.fetch(
            QUERIES["move_timers"],
            [each.source for each in moved],
            [each.key for each in moved],
            [uuid_of(each.timer) for each in moved],
            [each.occurrence for each in moved],
            [each.due_us for each in moved],
            [each.look_us for each in moved],
        )
    if changes.kept:
        kept = sorted(changes.kept)
        [row] = await within.fetch(
            QUERIES["keep_timers"],
            [each.source for each in kept],
            [each.key for each in kept],
            [uuid_of(each.timer) for each in kept],
            [uuid_of(each.event_id) for each in kept],
            [each.correlation_id and uuid_of(each.correlation_id) for each in kept],
            [each.occurrence for each in kept],
            [each.due_us for each in kept],
            [each.look_us for each in kept],
            [each.message_type for each in kept],
            [each.message for each in kept],
        )
        difference += row["timers"]
    return difference


def _timer(row: Any) -> Timer:
    correlation = row["correlation_id"]
    return Timer(
        source=row["source"],
        key=row["key"],
        timer=row["timer"].bytes,
        event_id=row["event_id"].bytes,
        correlation_id=None if correlation is None else correlation.bytes,
        occurrence=row["occurrence"],
        due_us=row["due"],
        look_us=row["look"],
        message_type=row["message_type"],
        message=bytes(row["message"]),
    )
