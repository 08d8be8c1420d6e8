"""The fewest faults that still matter (delta debugging, Zeller 1999)."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def fewest(faults: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """As few of these as still lead to the same."""
    parts = 2
    while len(faults) >= 1:
        size = max(len(faults) // parts, 1)
        for start in range(0, len(faults), size):
            rest = faults[:start] + faults[start + size :]
            if fails(rest):
                faults, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(faults))
    return faults
