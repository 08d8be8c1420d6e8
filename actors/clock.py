"""Vector clocks: which event could have caused which.

A clock counts, for each node in an event's past, how many events of that node are
in that past (Fidge 1988, Mattern 1989). A node is one process, so a clock has as
many entries as there are processes in its past, never one a device. A node that is
not named counts zero; clocks that differ in zeros only are equal.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

#: What a clock from outside may be: so many nodes, with names of so many characters, each of
#: which has counted so far. Beyond the numbers of any system, and within those of the log.
MAX_NODES = 10_000
MAX_NODE_NAME = 1_200
MAX_COUNT = 2**62


class CausalRelation(StrEnum):
    """How one event stands to another, read off their clocks."""

    SAME = "same"
    HAPPENED_BEFORE = "happened-before"
    HAPPENED_AFTER = "happened-after"
    #: Neither could have caused the other, but they share a part of their past.
    CONCURRENT = "concurrent"
    #: Concurrent with no common past: no event precedes (or is) both.
    CAUSALLY_INDEPENDENT = "causally-independent"


class Comparisons:
    """How many clocks this process has compared: a counter for the metrics."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


comparisons = Comparisons()


class VectorClock(Mapping[str, int]):
    """An immutable vector clock: node name -> count of its events in the past."""

    __slots__ = ("_counts",)
    _counts: dict[str, int]

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts = dict(counts) if counts else {}
        if any(count < 0 for count in self._counts.values()):
            raise ValueError(f"a clock counts from zero up: {self._counts}")

    @classmethod
    def adopt(cls, counts: dict[str, int]) -> "VectorClock":
        """Wrap a dict that the caller gives away: no copy, no check (the decoder's path)."""
        clock = object.__new__(cls)
        clock._counts = counts
        return clock

    @property
    def counts(self) -> Mapping[str, int]:
        """The entries, to be read in a hurry: a view of this mapping goes through Python."""
        return self._counts

    def __getitem__(self, node: str) -> int:
        return self._counts[node]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"VectorClock({self._counts!r})"

    def __reduce__(self) -> tuple[type["VectorClock"], tuple[dict[str, int]]]:
        return VectorClock, (self._counts,)

    def count(self, node: str) -> int:
        """The entry of `node`; zero when it is not named."""
        return self._counts.get(node, 0)

    def tick(self, node: str) -> "VectorClock":
        """This clock with one more event of `node`."""
        return VectorClock.adopt({**self._counts, node: self._counts.get(node, 0) + 1})

    def update(self, other: "VectorClock") -> "VectorClock":
        """The least clock at or above both: the entry-wise maximum."""
        merged = dict(self._counts)
        for node, count in other._counts.items():
            if count > merged.get(node, 0):
                merged[node] = count
        return VectorClock.adopt(merged)

    def happens_before(self, other: "VectorClock") -> bool:
        """At or below `other` in every entry, and below it in one."""
        return self <= other and not other._at_most(self)

    def concurrent_with(self, other: "VectorClock") -> bool:
        """Neither clock is at or below the other."""
        return not self <= other and not other._at_most(self)

    def _at_most(self, other: "VectorClock") -> bool:
        theirs = other._counts
        return all(count <= theirs.get(node, 0) for node, count in self._counts.items())

    def __le__(self, other: "VectorClock") -> bool:
        comparisons.total += 1
        return self._at_most(other)

    def __lt__(self, other: "VectorClock") -> bool:
        return self.happens_before(other)

    def __ge__(self, other: "VectorClock") -> bool:
        return other <= self

    def __gt__(self, other: "VectorClock") -> bool:
        return other.happens_before(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VectorClock):
            return NotImplemented
        if self._counts == other._counts:
            return True
        return self._at_most(other) and other._at_most(self)

    def __hash__(self) -> int:
        return hash(frozenset(item for item in self._counts.items() if item[1]))


def checked_counts(counts: Mapping[Any, Any]) -> dict[str, int]:
    """The entries of a clock from outside. Raises ValueError, which says what was expected."""
    found = dict(counts)
    if len(found) > MAX_NODES:
        raise ValueError(f"a clock names at most {MAX_NODES:,} nodes, not {len(found):,}")
    for node, count in found.items():
        if not isinstance(node, str) or not 0 < len(node) <= MAX_NODE_NAME or "\0" in node:
            raise ValueError(
                f"a node's name is a text of up to {MAX_NODE_NAME:,} characters without NUL, "
                f"not {node!r:.80}"
            )
        if type(count) is not int or not 0 <= count <= MAX_COUNT:
            raise ValueError(f"a clock counts from 0 to 2**62, not {count!r:.80}, at {node:.80}")
    return found


def causal_relation(first: VectorClock, second: VectorClock) -> CausalRelation:
    """How the event stamped `first` stands to the event stamped `second`.

    Guaranteed by G6: an event that causally precedes another has the smaller clock.
    The converse holds between processes, not within one: two events of one node are
    ordered by that node's clock whether or not one caused the other.
    """
    if first <= second:
        return CausalRelation.SAME if second <= first else CausalRelation.HAPPENED_BEFORE
    if second <= first:
        return CausalRelation.HAPPENED_AFTER
    if any(count and second.count(node) for node, count in first.items()):
        return CausalRelation.CONCURRENT
    return CausalRelation.CAUSALLY_INDEPENDENT
