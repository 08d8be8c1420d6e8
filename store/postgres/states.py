"""What PostgreSQL keeps of the keys of stream programs."""

from collections.abc import Sequence
from typing import Any

from store.appends import StateChange
from store.postgres.connections import Connections
from store.postgres.queries import QUERIES


class States:
    """The table `program_states`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def load(self, program: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Those that there are, by key."""
        rows = await self._connections.fetch(QUERIES["load_states"], program, list(keys))
        return {row["key"]: bytes(row["data"]) for row in rows}

    async def due(self, program: str, after: str, limit: int) -> list[tuple[str, int]]:
        """The keys that are to be looked at again, and when, in order."""
        rows = await self._connections.fetch(QUERIES["due_states"], program, after, limit)
        return [(row["key"], row["due"]) for row in rows]

    async def drop_program(self, within: Any, program: str) -> bool:
        """Within a transaction: all that a program keeps, and its slots; was there anything?"""
        [row] = await within.fetch(QUERIES["drop_program"], program)
        return bool(row["dropped"])


async def change_states(within: Any, changes: Sequence[StateChange]) -> None:
    """Within the transaction of the checkpoints that they go with."""
    gone = [change for change in changes if change.data is None]
    kept = [change for change in changes if change.data is not None]
    if gone:
        await within.fetch(
            QUERIES["forget_states"],
            [change.program for change in gone],
            [change.key for change in gone],
        )
    if kept:
        kept.sort(key=lambda change: (change.program, change.key))  # side by side in the index
        await within.fetch(
            QUERIES["keep_states"],
            [change.program for change in kept],
            [change.key for change in kept],
            [change.data for change in kept],
            [change.due_us for change in kept],
        )
