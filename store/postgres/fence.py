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


class Moves(NamedTuple):
    """The counter moves of a commit, as the arrays that the SQL functions take."""

    names: list[str]
    epochs: list[int]
    counters: list[int]
    olds: list[int | None]  #: the counter that the writer must have had
    attempts: list[int]
    places: list[Place]  #: where the rows were seen last

    def stale(self, error: asyncpg.PostgresError) -> StaleEpoch:
        """Whose epoch turned out to be over."""
        name = str(error.detail)
        return StaleEpoch(name, self.epochs[self.names.index(name)])


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
    ) -> Moves:
        """The moves of a commit of `count` rows."""
        moves = sorted((writer, *nodes), key=lambda move: move.name)  # one lock order
        return Moves(
            [move.name for move in moves],
            [move.epoch for move in moves],
            [move.counter for move in moves],
            [move.counter - count if move is writer else None for move in moves],
            [attempt if move is writer else 0 for move in moves],
            [self._places.get(move.name, _NOWHERE) for move in moves],
        )

    def moved(self, moves: Moves, places: Sequence[Place]) -> None:
        """The commit happened: its rows stand at these places now."""
        self._places.update(zip(moves.names, places, strict=True))
