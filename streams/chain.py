"""Operators without a state, and what it is to run several, one after the other."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from actors.event import Event, Payload


class Operator(NamedTuple):
    """What makes items of items, and where it stands in its pipeline."""

    place: str  #: as "step 2, map(minutes)"
    run: Callable[[list[Any]], list[Any]]


def mapped(function: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    """Of each item another one."""
    return lambda items: [function(item) for item in items]


def filtered(function: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    """Those items of which it is true."""
    return lambda items: [item for item in items if function(item)]


def flat_mapped(function: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    """Of each item as many as there are."""
    return lambda items: [each for item in items for each in several(function(item))]


def several(found: Any) -> Iterable[Any]:
    """What a function gave that gives any number of things. Raises TypeError for a single one."""
    if isinstance(found, Iterable) and not isinstance(found, (str, bytes, dict, Payload, Event)):
        return found
    raise TypeError(f"gives {found!r:.80}, and it is to give any number of things: a list, say")


class Chain:
    """Operators, one after the other. An error that a function raises says in which step."""

    def __init__(self, program: str, operators: Iterable[Operator]) -> None:
        self._program, self._operators = program, tuple(operators)

    def __call__(self, items: list[Any]) -> list[Any]:
        for place, run in self._operators:
            try:
                items = run(items)
            except Exception as error:
                error.add_note(f"in {place} of the pipeline {self._program}")
                raise
        return items


def shown(function: Any) -> str:
    """A function's name, for those who read errors."""
    if isinstance(function, str):
        return repr(function)
    return getattr(function, "__name__", None) or type(function).__name__
