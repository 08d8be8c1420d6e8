"""What the items of a window come to: the seam, and how several go side by side."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from actors.event import Event
from streams.plain import value_of
from streams.windows import TAKEN


@runtime_checkable
class Aggregation(Protocol):
    """What users may define, too. The accumulator, `so_far`, is of plain values, and none of the
    methods changes one that it was given. The order in which items come must not matter to the
    result, and merging two accumulators must come to what all their items together come to: then
    the last revisions of windows are right however events come.
    """

    def zero(self) -> Any:
        """The accumulator before the first item."""

    def add(self, so_far: Any, item: Any) -> Any:
        """The accumulator with one more item."""

    def merge(self, one: Any, other: Any) -> Any:
        """The accumulator of all the items of two: sessions that meet are merged."""

    def result(self, so_far: Any) -> Any:
        """What comes out: JSON values."""


class Gathering(Protocol):
    """An aggregation as windows use it: knows of the event that an item came of."""

    def zero(self) -> Any: ...
    def add_of(self, so_far: Any, item: Any, event: Event) -> Any: ...
    def merge(self, one: Any, other: Any) -> Any: ...
    def result(self, so_far: Any) -> Any: ...


class _One:
    """An aggregation that does not ask for the event."""

    def __init__(self, of: Aggregation) -> None:
        self.zero, self.merge, self.result = of.zero, of.merge, of.result
        self._add = of.add

    def add_of(self, so_far: Any, item: Any, event: Event) -> Any:
        return self._add(so_far, item)


class Together:
    """Several aggregations by name; the result is a dict."""

    def __init__(self, named: Mapping[str, Gathering]) -> None:
        self._names = tuple(named)
        self._all = tuple(named.values())
        self._adds = tuple(each.add_of for each in self._all)

    def zero(self) -> list[Any]:
        """See Aggregation."""
        return [each.zero() for each in self._all]

    def add_of(self, so_far: list[Any], item: Any, event: Event) -> list[Any]:
        """See Gathering."""
        return [add(part, item, event) for add, part in zip(self._adds, so_far, strict=True)]

    def merge(self, one: list[Any], other: list[Any]) -> list[Any]:
        """See Aggregation."""
        pairs = zip(self._all, one, other, strict=True)
        return [each.merge(mine, theirs) for each, mine, theirs in pairs]

    def result(self, so_far: list[Any]) -> dict[str, Any]:
        """See Aggregation."""
        parts = zip(self._names, self._all, so_far, strict=True)
        return {name: each.result(part) for name, each, part in parts}


def gathering(aggregate: Aggregation | Mapping[str, Aggregation]) -> Gathering:
    """One aggregation, or several by name. Raises ValueError, which says what is none."""
    if not isinstance(aggregate, Mapping):
        return _gathering(aggregate, "what a window comes to")
    if not aggregate:
        raise ValueError("a window comes to something: name at least one aggregation")
    said: Iterable[object] = aggregate
    for name in said:
        if not isinstance(name, str) or name in TAKEN:
            taken = ", ".join(sorted(TAKEN))
            raise ValueError(f"{name!r:.80} is no name of a value; a result has {taken} itself")
    return Together({name: _gathering(each, repr(name)) for name, each in aggregate.items()})


def _gathering(aggregate: Any, what: str) -> Gathering:
    if isinstance(aggregate, type):
        raise ValueError(f"{what} is an aggregation: {aggregate.__name__}(), not the class")
    if not isinstance(aggregate, Aggregation):
        raise ValueError(
            f"{what} is an aggregation, with zero, add, merge and result, not {aggregate!r:.80}"
        )
    found: Any = aggregate
    return found if hasattr(found, "add_of") else _One(aggregate)


def reader(of: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What reads a value off an item: a field's name, or a function."""
    if isinstance(of, str):
        field = of

        def read(item: Any) -> Any:
            return item.data.get(field) if item.__class__ is Event else value_of(item, field)

        return read
    if not callable(of):
        raise ValueError(f"a value is named by its field or read by a function, not {of!r:.80}")
    return of
