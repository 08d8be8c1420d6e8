"""Actors that listen: methods that take events of others, chosen by their types, for the actor
whose name the event says.

    @listens("flight-departed", name=lambda event: event.data["origin"])
    def departed(self, event: Event) -> Iterator[Payload | Tell]: ...

Where the type is run (`system.run(Airport)`), each such event comes to the mailbox of the actor of
that name as a command of its own, once in effect; what it yields has the event for its cause.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import isfunction
from typing import Any, TypeVar
from uuid import UUID

from actors.clock import VectorClock
from actors.command import Command
from actors.event import Event, Kind
from actors.ids import uuid_of
from actors.moments import microseconds, moment_of
from actors.naming import aggregate_id_of
from actors.patterns import matcher

Method = TypeVar("Method", bound=Callable[..., Any])

#: What chooses the actor of an event: its name, or several, or none.
Names = Callable[[Event], str | Iterable[str] | None]

#: Before the name of a method: the message type of an event that comes to it. No command of a
#: user's has one like it.
HEARD = "$heard."


class EventHeard(Command):
    """An event on its way to an actor that listens."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What a method listens to."""

    event_types: tuple[str, ...]  #: patterns
    sources: tuple[str, ...]  #: patterns; none stands for all
    name: Names

    def wants(self, event: Event) -> bool:
        """Is it one of those?"""
        wants_type, wants_source = matcher(self.event_types), matcher(self.sources)
        return wants_type(event.event_type) and wants_source(event.source)

    def names(self, event: Event) -> tuple[str, ...]:
        """The actors that it comes to."""
        said = self.name(event)
        if said is None:
            return ()
        return (said,) if isinstance(said, str) else tuple(dict.fromkeys(said))


def listens(
    *event_types: str, name: Names, sources: str | Iterable[str] = ()
) -> Callable[[Method], Method]:
    """Mark a method as what takes the events of these types (patterns, as those of a subscription),
    of all sources or of those; `name` says of an event which actor has it: a name, several, or
    None for nobody. Raises TypeError for what is no method, and ValueError where no type is said.
    """
    patterns = (sources,) if isinstance(sources, str) else tuple(sources)
    said: tuple[object, ...] = (*event_types, *patterns)
    if not event_types or not all(isinstance(each, str) and each for each in said):
        raise ValueError('@listens says which events it wants: @listens("flight-*", name=...)')
    if not callable(name):
        raise TypeError("@listens says whose an event is: name=lambda event: event.data[...]")
    listening = Listening(event_types, patterns, name)

    def mark(method: Method) -> Method:
        if isinstance(method, type) or not isfunction(method):
            raise TypeError(f"@listens(...) stands above a plain method, not {method!r:.80}")
        method.__thornback__ = "listens"  # type: ignore[attr-defined]
        method.__listening__ = listening  # type: ignore[attr-defined]
        return method

    return mark


def told_event(event: Event) -> dict[str, Any]:
    """An event as a command's data: plain values."""
    return {
        "id": event.id_bytes,
        "event_type": event.event_type,
        "kind": event.kind.value,
        "source": event.source,
        "at_us": event.timestamp_us,
        "recorded_us": None if event.recorded_at is None else microseconds(event.recorded_at),
        "data": event.data,
        "correlation": _bytes(event.correlation_id),
        "causation": _bytes(event.causation_id),
        "metadata": dict(event.metadata),
        "clock": dict(event.clock_counts),
        "version": event.version,
        "position": event.position,
    }


def heard_event(told: Mapping[str, Any]) -> Event:
    """The event of a command's data; it shares nothing with that which can be changed."""
    return Event(
        id=uuid_of(told["id"]),
        event_type=told["event_type"],
        kind=Kind(told["kind"]),
        source=told["source"],
        aggregate_id=aggregate_id_of(told["source"]),
        timestamp=moment_of(told["at_us"]),
        recorded_at=None if told["recorded_us"] is None else moment_of(told["recorded_us"]),
        data=_copy(told["data"]),
        correlation_id=_uuid(told["correlation"]),
        causation_id=_uuid(told["causation"]),
        metadata=dict(told["metadata"]),
        vector_clock=VectorClock(told["clock"]),
        version=told["version"],
        position=told["position"],
    )


def _bytes(id: UUID | None) -> bytes | None:
    return None if id is None else id.bytes


def _uuid(raw: bytes | None) -> UUID | None:
    return None if raw is None else uuid_of(raw)


def _copy(value: Any) -> Any:
    if value.__class__ is dict:
        return {key: _copy(member) for key, member in value.items()}
    return [_copy(member) for member in value] if value.__class__ is list else value
