"""Where a reader of several partitions stands: a position in the log of each."""

from collections.abc import Iterable
from typing import Any, Self


class Positions(tuple[int, ...]):
    """One position for each partition, in their order. It is a tuple: a JSON list of numbers says
    it, too. Between two of them nothing comes first unless each of the one's positions is at most
    the other's: see `reaches`."""

    __slots__ = ()

    @classmethod
    def of(cls, given: Any, partitions: int) -> Self:
        """What somebody gave as such: a list of as many positions as there are partitions, or 0,
        which is where all of them begin. Raises ValueError."""
        if given == 0 and isinstance(given, int) and not isinstance(given, bool):
            return cls([0] * partitions)
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise ValueError(
                f"a position of a system of {partitions} partitions is a list of {partitions} "
                f"numbers, one for each, or 0, where all of them begin: not {given!r:.80}"
            )
        found: list[Any] = list(given)
        if len(found) != partitions or not all(type(one) is int and one >= 0 for one in found):
            raise ValueError(
                f"a position here has a number from 0 on for each of the {partitions} partitions, "
                f"not {given!r:.80}"
            )
        return cls(found)

    def reaches(self, other: "Positions") -> bool:
        """Is it as far as another one, in each partition?"""
        return all(mine >= theirs for mine, theirs in zip(self, other, strict=True))

    def __format__(self, spec: str) -> str:
        """Each in that form, `5,500 and 6,000` by `:,`: where one is shown, these are."""
        return " and ".join(format(each, spec) for each in self) if spec else str(self)

    def __repr__(self) -> str:
        return f"Positions({list(self)})"
