"""Merges of logs in memory: nothing of them survives the store."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from store.errors import StaleCheckpoint
from store.merges import Leg, Merge, check_consecutive


class MergesInMemory:
    """By the names of their programs."""

    def __init__(self) -> None:
        self._merges: dict[str, tuple[Merge, list[Leg]]] = {}
        self._made = 0

    def of(self, program: str) -> Merge | None:
        """That of a program, if there is one."""
        found = self._merges.get(program)
        return None if found is None else found[0]

    def all(self) -> list[Merge]:
        """By the names of their programs."""
        return [self._merges[name][0] for name in sorted(self._merges)]

    def make(self, program: str, began: Sequence[int]) -> Merge:
        """One, or the one that is there."""
        if program not in self._merges:
            self._made += 1
            merge = Merge(number=self._made, program=program, began=tuple(began))
            self._merges[program] = merge, []
        return self._merges[program][0]

    def extend(self, merge: Merge, legs: Sequence[Leg]) -> bool:
        """By these, where it ends before the first; does it?"""
        check_consecutive(legs)
        there = self._legs(merge)
        if (there[-1].through if there else merge.start) != legs[0].after:
            return False
        there += legs
        return True

    def legs(self, merge: Merge, after: int, limit: int) -> list[Leg]:
        """Those that end behind a place."""
        there = self._legs(merge)
        first = bisect_right(there, after, key=lambda leg: leg.through)
        return there[first : first + limit]

    def last_legs(self, merge: Merge, place: int) -> list[Leg]:
        """Of each log the last one that begins before a place."""
        there = self._legs(merge)
        before = there[: bisect_left(there, place, key=lambda leg: leg.after)]
        return list({leg.partition: leg for leg in before}.values())

    def places(self, merge: Merge, partition: int, positions: Sequence[int]) -> dict[int, int]:
        """Those of positions of one log."""
        theirs = [leg for leg in self._legs(merge) if leg.partition == partition]
        return {
            position: leg.after + position - leg.log_after
            for position in positions
            for leg in theirs
            if leg.log_after < position <= leg.log_through
        }

    def drop(self, program: str) -> None:
        """Forget it."""
        self._merges.pop(program, None)

    def _legs(self, merge: Merge) -> list[Leg]:
        found = self._merges.get(merge.program)
        if found is None or found[0].number != merge.number:
            raise StaleCheckpoint(merge.program, 0)
        return found[1]
