"""The events of an explanation as trees: each below its cause, and the first ones below what they
name as theirs."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from actors.event import Event
from store.causality import Explanation, first_event_of

NO_CAUSE = "no cause is named"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a tree."""

    depth: int  #: 0 at the root
    event: Event | None = None  #: None at the root
    origin: str = ""  #: what the root is


def lines(explanation: Explanation) -> Iterator[Line]:
    """All events of an explanation, each after its cause and before what follows that."""
    effects: dict[UUID, list[Event]] = defaultdict(list)
    roots: dict[UUID | None, list[Event]] = defaultdict(list)
    for event in explanation.events:
        cause = explanation.causes.get(event.id)
        if cause is None:
            roots[event.causation_id].append(event)
        else:
            effects[cause].append(event)
    for origin, begun in roots.items():
        yield Line(0, origin=_said(origin, begun))
        yield from _below(begun, effects)


def _below(begun: list[Event], effects: dict[UUID, list[Event]]) -> Iterator[Line]:
    waiting = [(1, event) for event in reversed(begun)]
    while waiting:
        depth, event = waiting.pop()
        yield Line(depth, event)
        waiting += [(depth + 1, effect) for effect in reversed(effects[event.id])]


def _said(origin: UUID | None, begun: list[Event]) -> str:
    if origin is None:
        return NO_CAUSE
    first = first_event_of(origin)
    known = any(event.id == first for event in begun)
    return f"command {origin}" if known else f"{origin}, which is no event in this explanation"


def beside(explanation: Explanation) -> dict[UUID, str]:
    """How those events stand to the one that is explained that neither caused it nor follow from
    it, in a word."""
    linked = {event.id for event in (*explanation.ancestors, *explanation.descendants)}
    return {
        event.id: explanation.event.relation_to(event).value
        for event in explanation.correlated
        if event.id not in linked and event.id != explanation.event.id
    }
