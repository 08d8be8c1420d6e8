"""What PostgreSQL keeps of merges of logs."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from store.errors import StaleCheckpoint
from store.merges import Leg, Merge, check_consecutive
from store.postgres.connections import Connections
from store.postgres.queries import QUERIES


class Merges:
    """The tables `merges` and `merge_legs`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def of(self, program: str) -> Merge | None:
        """That of a program, if there is one."""
        rows = await self._connections.fetch(QUERIES["merge_of"], program)
        return _merge(rows[0]) if rows else None

    async def all(self) -> list[Merge]:
        """By the names of their programs."""
        return [_merge(row) for row in await self._connections.fetch(QUERIES["merges"])]

    async def make(self, program: str, began: Sequence[int]) -> Merge:
        """One, or the one that is there."""
        while (there := await self.of(program)) is None:
            await self._connections.fetch(QUERIES["make_merge"], program, list(began))
        return there

    async def extend(self, merge: Merge, legs: Sequence[Leg]) -> bool:
        """By these, where it ends before the first; does it? One statement, of which all happens
        or nothing: two who see the same end put a leg behind the same place, which the key
        refuses the second one. Raises StaleCheckpoint."""
        check_consecutive(legs)
        columns = zip(*map(_columns, legs), strict=True)
        async with self._connections.use() as connection:
            try:
                made = await connection.fetch(
                    QUERIES["extend_merge"], merge.number, merge.start, *map(list, columns)
                )
            except asyncpg.UniqueViolationError:
                return False
            except asyncpg.ForeignKeyViolationError as error:
                raise StaleCheckpoint(merge.program, 0) from error
        if not made:
            await self._check(merge)
        return bool(made)

    async def legs(self, merge: Merge, after: int, limit: int) -> list[Leg]:
        """Those that end behind a place. Raises StaleCheckpoint."""
        rows = await self._connections.fetch(QUERIES["merge_legs"], merge.number, after, limit)
        if not rows:
            await self._check(merge)
        return [_leg(row) for row in rows]

    async def last_legs(self, merge: Merge, place: int) -> list[Leg]:
        """Of each log the last one that begins before a place. Raises StaleCheckpoint."""
        logs = list(range(len(merge.began)))
        rows = await self._connections.fetch(QUERIES["last_legs"], merge.number, logs, place)
        if not rows:
            await self._check(merge)
        return [_leg(row) for row in rows]

    async def places(
        self, merge: Merge, partition: int, positions: Sequence[int]
    ) -> dict[int, int]:
        """Those of positions of one log."""
        rows = await self._connections.fetch(
            QUERIES["places_in_merge"], merge.number, partition, list(positions)
        )
        return {row["position"]: row["place"] for row in rows}

    async def _check(self, merge: Merge) -> None:
        there = await self.of(merge.program)
        if there is None or there.number != merge.number:
            raise StaleCheckpoint(merge.program, 0)


def _merge(row: Any) -> Merge:
    return Merge(number=row["number"], program=row["program"], began=tuple(row["began"]))


def _columns(leg: Leg) -> tuple[int | None, ...]:
    return (
        leg.after, leg.partition, leg.log_after, leg.length, leg.merged_us, leg.newest_us,
        leg.heard_us,
    )  # fmt: skip


def _leg(row: Any) -> Leg:
    return Leg(
        after=row["after"],
        partition=row["partition"],
        log_after=row["log_after"],
        length=row["length"],
        merged_us=row["merged"],
        newest_us=row["newest"],
        heard_us=row["heard"],
    )
