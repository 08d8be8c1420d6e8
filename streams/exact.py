"""Sums that are exact, and so do not depend on an order.

A sum of floats depends on the order in which they are added, by a rounding each. Here nothing is
rounded before the end: beside an integer a sum is kept as floats that do not overlap (Shewchuk
1997, as in `math.fsum`), and is as many as it needs, mostly one or two.
"""

from math import fsum, isfinite
from typing import Any

Number = int | float

#: A sum: an integer, as text where it has more than 64 bits, and the floats beside it.
Exact = list[Any]

NOTHING: Exact = [0, []]

_WIDE = 2**63


def checked_number(value: Any) -> Number:
    """A value that can be summed. Raises ValueError for what cannot."""
    kind = type(value)
    if kind is int or (kind is float and isfinite(value)):
        return value  # type: ignore[no-any-return]
    raise ValueError(f"only finite numbers can be summed, not {value!r:.80}")


def plus(exact: Exact, value: Number) -> Exact:
    """A sum with one more number."""
    whole, parts = exact
    if type(value) is int:
        grown = int(whole) + value
        return [grown if -_WIDE <= grown < _WIDE else str(grown), parts]
    return [whole, _grown(parts, value)]


def both(one: Exact, other: Exact) -> Exact:
    """The sum of two."""
    parts = one[1]
    for part in other[1]:
        parts = _grown(parts, part)
    return [_kept(int(one[0]) + int(other[0])), parts]


def total(exact: Exact) -> Number:
    """The sum, rounded once: an integer where only integers were added."""
    whole, parts = int(exact[0]), exact[1]
    return fsum([*_floats(whole), *parts]) if parts else whole


def _kept(whole: int) -> int | str:
    return whole if -_WIDE <= whole < _WIDE else str(whole)


def _floats(whole: int) -> list[float]:
    """Floats whose sum is exactly the integer."""
    found = []
    while whole:
        found.append(float(whole))
        whole -= int(found[-1])
    return found


def _grown(parts: list[float], value: float) -> list[float]:
    grown = []
    for part in parts:
        if abs(value) < abs(part):
            value, part = part, value  # noqa: PLW2901 - the algorithm's own step
        high = value + part
        low = part - (high - value)
        if low:
            grown.append(low)
        value = high
    if not isfinite(value):
        raise ValueError("the sum is beyond the floats")
    grown.append(value)
    return grown
