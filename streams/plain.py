"""Plain values: what a state is made of, and how what flows through a pipeline becomes some.

They are None, booleans, integers of 64 bits, floats, texts, bytes, lists, and dicts with texts for
keys. Nothing else comes back from where states are kept as what it was.
"""

from collections.abc import Mapping
from typing import Any

from actors.clock import VectorClock
from actors.event import Event, Kind, Payload
from actors.ids import uuid_of
from actors.moments import moment_of
from actors.naming import aggregate_id_of

_EVENT = "\0event"  # no text of an event has a NUL, so no dict of anybody's has this key
_SCALARS = (type(None), bool, float, str, bytes)


def not_plain(value: Any, path: str = "") -> str | None:
    """Where the first part is that is not plain, and what it is; None where all is plain."""
    kind = type(value)
    if kind is int:
        return None if -(2**63) <= value < 2**64 else f"{path or 'it'} is an integer beyond 64 bits"
    if kind is list:
        return _first(not_plain(each, f"{path}[{n}]") for n, each in enumerate(value))
    if kind is dict:
        return _first(_entry(key, each, path) for key, each in value.items())
    return None if kind in _SCALARS else f"{path or 'it'} is a {kind.__name__}: {value!r:.80}"


def _entry(key: Any, value: Any, path: str) -> str | None:
    if type(key) is not str:
        return f"{path or 'it'} has the key {key!r:.80}, which is no text"
    return not_plain(value, f"{path}[{key!r}]")


def _first(problems: Any) -> str | None:
    return next((problem for problem in problems if problem is not None), None)


def value_of(item: Any, field: str) -> Any:
    """The field of an event's data, of a payload or of a dict; None where it has none."""
    if isinstance(item, Event):
        return item.data.get(field)
    if isinstance(item, Mapping):
        return item.get(field)
    return getattr(item, field, None)


def plain_of(item: Any) -> Any:
    """An item that flows through a pipeline as plain values. Raises TypeError for what has no
    such form: a payload, say, whose class nobody would know later."""
    if isinstance(item, Event):
        return {_EVENT: _of_event(item)}
    problem = not_plain(item)
    if problem is None:
        return item
    if isinstance(item, Payload):
        problem = f"it is a payload ({type(item).__name__})"
    raise TypeError(f"what is held back is kept as an event or as plain values, and {problem}")


def item_of(plain: Any) -> Any:
    """The item that `plain_of` has made plain."""
    if type(plain) is dict and _EVENT in plain:
        return _event_of(plain[_EVENT])
    return plain


def _of_event(event: Event) -> list[Any]:
    correlation, causation = event.correlation_id, event.causation_id
    return [
        event.id_bytes, event.event_type, event.kind.value, event.source, event.timestamp_us,
        event.data, correlation and correlation.bytes, causation and causation.bytes,
        dict(event.metadata), dict(event.clock_counts), event.version, event.position,
    ]  # fmt: skip


def _event_of(plain: list[Any]) -> Event:
    id, event_type, kind, source, at_us, data, correlation, causation, metadata, *rest = plain
    counts, version, position = rest
    return Event(
        id=uuid_of(id),
        event_type=event_type,
        kind=Kind(kind),
        source=source,
        aggregate_id=aggregate_id_of(source),
        timestamp=moment_of(at_us),
        data=data,
        correlation_id=correlation and uuid_of(correlation),
        causation_id=causation and uuid_of(causation),
        metadata=metadata,
        vector_clock=VectorClock.adopt(counts),
        version=version,
        position=position,
    )
