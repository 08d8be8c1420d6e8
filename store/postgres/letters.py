"""What PostgreSQL keeps of the dead letters of stream programs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from store.dead_letters import DeadLetter, LetterChange, Parked, ParkedHead, ParkedQueue
from store.postgres.connections import Connections, transaction
from store.postgres.queries import QUERIES


class Letters:
    """The table `dead_letters`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def heads(self, program: str) -> list[ParkedHead]:
        """Those with a reason."""
        rows = await self._connections.fetch(QUERIES["parked_heads"], program)
        return [
            ParkedHead(row["by_source"], row["name"], row["position"], row["slots"]) for row in rows
        ]

    async def of(self, parked: Parked, after: int, limit: int) -> list[DeadLetter]:
        """Some of something that is parked, by position."""
        rows = await self._connections.fetch(QUERIES["dead_letters"], *parked, after, limit)
        return [_letter(row) for row in rows]

    async def queues(self, program: str | None) -> list[ParkedQueue]:
        """What is parked."""
        rows = await self._connections.fetch(QUERIES["parked_queues"], program)
        return [ParkedQueue(first=_letter(row), letters=row["letters"]) for row in rows]

    async def drop(self, program: str, parked: Parked | None, epoch: int) -> int:
        """Forget some, and have whoever works for the program find out."""
        by_source, name = (None, None) if parked is None else parked[1:]
        [found] = await self._connections.fetch(QUERIES["any_letters"], program, by_source, name)
        if not found["any"]:
            return 0
        async with self._connections.use() as connection, transaction(connection):
            # First, in a statement of its own: it waits for an append that is under way, whose
            # letters the next one sees.
            await connection.fetch(QUERIES["reopen_slots"], program, epoch)
            return len(await connection.fetch(QUERIES["drop_letters"], program, by_source, name))


async def change_letters(within: Any, changes: Sequence[LetterChange]) -> None:
    """Within the transaction of the checkpoints that they go with; none is there twice."""
    gone = [change for change in changes if change.gone]
    waiting = [change for change in changes if not change.gone]
    if gone:
        columns = *_places(gone), [change.slots for change in gone]
        await within.fetch(QUERIES["forget_letters"], *columns)
        await within.fetch(QUERIES["pay_letters"], *columns)
    if waiting:
        await within.fetch(
            QUERIES["keep_letters"],
            *_places(waiting),
            [UUID(bytes=change.event_id) for change in waiting],
            [change.slots for change in waiting],
            [change.watermark_us for change in waiting],
            [change.reason for change in waiting],
            ["\n".join(change.frames) for change in waiting],
            [change.tries for change in waiting],
        )


def _places(changes: Sequence[LetterChange]) -> tuple[list[Any], ...]:
    return (
        [change.parked.program for change in changes],
        [change.parked.by_source for change in changes],
        [change.parked.name for change in changes],
        [change.position for change in changes],
    )


def _letter(row: Any) -> DeadLetter:
    return DeadLetter(
        parked=Parked(row["program"], row["by_source"], row["name"]),
        position=row["position"],
        event_id=row["event_id"].bytes,
        slots=row["slots"],
        watermark_us=row["watermark"],
        reason=row["reason"],
        frames=tuple(row["frames"].splitlines()),
        tries=row["tries"],
        parked_at=row["parked_at"],
    )
