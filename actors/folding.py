"""How an actor comes of its past: rules that hosts, states of the past, indexes, checks and
scenarios share.

An actor begins by its name alone (`begun`), and does so anew after its actor-erased, whatever it
was. An event is applied by the method that its class names for the type; where there is none, the
class has to say that no state depends on it, or else the state would be wrong without a word
(`applier_of`). The data is read by the schema that it is of (`Applier.schema`), also by those who
apply no more; and while an event is applied, its moment is the actor's (`apply_past`).

Whoever folds knows which events are the actor's own and which of them were erased, keeps the
version, and decides what comes of an event that fails: a host breaks that actor alone, a state of
the past says why there is none, an index stands still, and a check goes on with the next event.
"""

from typing import Any

from actors.actor_type import ActorType, Applier, nothing_applies


class Unapplied(Exception):
    """An event that its actor's class neither applies nor ignores; as a text it says what to do."""

    def __init__(self, event_type: str) -> None:
        super().__init__(event_type)
        self.event_type = event_type

    def __str__(self) -> str:
        return nothing_applies(self.event_type)


def begun(described: ActorType, source: str) -> Any:
    """An actor without a past. Raises whatever its `__init__` does."""
    return described.actor(source.partition("/")[2])


def applier_of(described: ActorType, event_type: str) -> Applier | None:
    """What applies events of that type; None where no state depends on them. Raises Unapplied."""
    applier = described.appliers.get(event_type)
    if applier is None and event_type not in described.ignores:
        raise Unapplied(event_type)
    return applier


def apply_past(applier: Applier, actor: Any, payload: Any, at_us: int) -> object:
    """Have an actor take an event that was read and that happened then, in Unix microseconds.
    Raises whatever the applier does, and leaves a state that nobody is to use. What an applier
    returns has no effect; it is given back for those who say so."""
    actor.at_us = at_us
    returned: object = applier.apply(actor, payload)  # type: ignore[func-returns-value]
    return returned
