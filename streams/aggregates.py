"""The aggregations that come along. None depends on the order in which items come.

Each reads a value off an item, by the name of a field or by a function; a value that is None does
not count. An accumulator is a few plain values.
"""

from collections.abc import Callable
from typing import Any

from actors.event import Event
from streams.aggregation import reader
from streams.exact import NOTHING, Exact, Number, both, checked_number, plus, total
from streams.plain import not_plain

#: A field's name, or a function of an item.
Of = str | Callable[[Any], Any]


class Count:
    """How many items there are or, of a value, how many have it."""

    def __init__(self, of: Of | None = None) -> None:
        self._read = None if of is None else reader(of)

    def zero(self) -> int:
        """None so far."""
        return 0

    def add(self, so_far: int, item: Any) -> int:
        """One more, if it has the value."""
        return so_far if self._read is not None and self._read(item) is None else so_far + 1

    def merge(self, one: int, other: int) -> int:
        """All of both."""
        return one + other

    def result(self, so_far: int) -> int:
        """The number."""
        return so_far


class Sum:
    """The sum of a value, rounded once; 0 where there is none."""

    def __init__(self, of: Of) -> None:
        self._read = reader(of)

    def zero(self) -> Exact:
        """Nothing so far."""
        return NOTHING

    def add(self, so_far: Exact, item: Any) -> Exact:
        """Raises ValueError for what is no finite number."""
        value = self._read(item)
        return so_far if value is None else plus(so_far, checked_number(value))

    def merge(self, one: Exact, other: Exact) -> Exact:
        """All of both."""
        return both(one, other)

    def result(self, so_far: Exact) -> Number:
        """The sum: an integer where all values are."""
        return total(so_far)


class Mean:
    """The mean of a value; None where there is none."""

    def __init__(self, of: Of) -> None:
        self._read = reader(of)

    def zero(self) -> list[Any]:
        """Nothing so far."""
        return [0, *NOTHING]

    def add(self, so_far: list[Any], item: Any) -> list[Any]:
        """Raises ValueError for what is no finite number."""
        value = self._read(item)
        if value is None:
            return so_far
        return [so_far[0] + 1, *plus(so_far[1:], checked_number(value))]

    def merge(self, one: list[Any], other: list[Any]) -> list[Any]:
        """All of both."""
        return [one[0] + other[0], *both(one[1:], other[1:])]

    def result(self, so_far: list[Any]) -> float | None:
        """The mean."""
        return total(so_far[1:]) / so_far[0] if so_far[0] else None


class _Extreme:
    def __init__(self, of: Of) -> None:
        self._read = reader(of)

    def zero(self) -> Any:
        """None so far."""
        return None

    def add(self, so_far: Any, item: Any) -> Any:
        """Raises TypeError for values that cannot be compared."""
        return self.merge(so_far, self._read(item))

    def merge(self, one: Any, other: Any) -> Any:
        """The one that goes further."""
        if one is None or other is None:
            return other if one is None else one
        if one == other:  # 1 and 1.0 are equal and not the same text: not by who came first
            return other if type(other) is int else one
        return other if self._further(other, one) else one

    def result(self, so_far: Any) -> Any:
        """The extreme; None where there is no value."""
        return so_far

    def _further(self, one: Any, other: Any) -> bool:
        raise NotImplementedError


class Min(_Extreme):
    """The least value: of numbers, or of texts."""

    def _further(self, one: Any, other: Any) -> bool:
        return bool(one < other)


class Max(_Extreme):
    """The greatest value: of numbers, or of texts."""

    def _further(self, one: Any, other: Any) -> bool:
        return bool(one > other)


class Latest:
    """The value of the event with the latest moment; of several of one moment, that of the
    greatest id. The value is plain."""

    def __init__(self, of: Of) -> None:
        self._read = reader(of)

    def zero(self) -> Any:
        """None so far."""
        return None

    def add(self, so_far: Any, item: Any) -> Any:
        """The moment is that of the item, which has to be an event."""
        if not isinstance(item, Event):
            raise ValueError(f"the latest is told by an event's moment; {item!r:.80} has none")
        return self.add_of(so_far, item, item)

    def add_of(self, so_far: Any, item: Any, event: Event) -> Any:
        """The moment is that of the event, whatever the item is."""
        value = self._read(item)
        if value is None:
            return so_far
        if (problem := not_plain(value)) is not None:
            raise ValueError(f"the latest value is kept, so it is plain, and {problem}")
        return self.merge(so_far, [event.timestamp_us, event.id_bytes, value])

    def merge(self, one: Any, other: Any) -> Any:
        """The later one."""
        if one is None or other is None:
            return other if one is None else one
        return one if one[:2] >= other[:2] else other

    def result(self, so_far: Any) -> Any:
        """The value; None where there is none."""
        return None if so_far is None else so_far[2]
