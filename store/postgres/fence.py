"""The fence of a commit: counters move in the present epochs, or nothing is committed."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from store.errors import StaleEpoch
from store.event_store import CounterMove

#: What the SQL functions raise, with the name of whoever was replaced as its detail.
EPOCH_OVER = "TB001"

#: Where a row of a table stands: its page, and its number there.
Place = tuple[int, int]
_NOWHERE = (0, 0)


class Move(NamedTuple):
    """One counter move, as the SQL functions take it: a counter_move."""

    name: str
    epoch: int
    counter: int
    old: int | None  #: the counter that the writer must have had
    attempt: int
    place: Place  #: where the row was seen last


def stale(moves: Sequence[Move], error: asyncpg.PostgresError) -> StaleEpoch:
    """Whose epoch turned out to be over."""
    name = str(error.detail)
    return StaleEpoch(name, next(move.epoch for move in moves if move.name == name))


class Fence:
    """Remembers where the rows of the fence stand.

    Each commit leaves a dead version of them behind, and an index leads through all that
    nobody could clean up yet: behind a long snapshot, a dump say, those of every commit since
    it began. A row that is looked for where it was seen last is found at once.
    """

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def moves(
        self, writer: CounterMove, nodes: Sequence[CounterMove], *, count: int, attempt: int
    ) -> list[Move]:
        """The moves of a commit of `count` rows."""
        place = self._places.get
        return [
            Move(
                move.name,
                move.epoch,
                move.counter,
                move.counter - count if move is writer else None,
                attempt if move is writer else 0,
                place(move.name, _NOWHERE),
            )
            for move in sorted((writer, *nodes), key=lambda move: move.name)  # one lock order
        ]

    def moved(self, moves: Sequence[Move], places: Sequence[Place]) -> None:
        """The commit happened: its rows stand at these places now."""
        self._places.update(zip((move.name for move in moves), places, strict=True))
