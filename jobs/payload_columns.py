"""What events say, as columns: for event types whose class is known here.

Each type gets one column of its name, which has the fields that are plain: numbers, texts, truth
values and moments. Anything else is in the JSON of `data`, as everything is; where a value does not
fit its field's type, as of an older event, the column has none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib import import_module
from types import UnionType
from typing import Any, Union, get_args, get_origin

from actors.event import Payload
from jobs.parquet import arrow
from runtime.errors import NotPossible
from store.rows.json_text import decode_json

#: By name: what kind of value it is.
Fields = dict[str, str]

_KINDS: dict[Any, str] = {
    int: "whole", float: "number", bool: "truth", str: "text", datetime: "moment",
}  # fmt: skip
_LARGEST = 2**63


def fields_of_types(modules: Iterable[str]) -> dict[str, Fields]:
    """The event types that classes of these modules have, and of the devices that come along, each
    with its plain fields. Raises NotPossible for a module that cannot be imported."""
    for module in (*modules, "actors.devices"):
        try:
            import_module(module)
        except ImportError as error:
            raise NotPossible(f"the module {module!r} cannot be imported here: {error}") from error
    found = {payload.event_type: _fields(payload) for payload in _payloads(Payload)}
    return {event_type: fields for event_type, fields in sorted(found.items()) if fields}


def struct_of(fields: Fields) -> Any:
    """The type of such a column."""
    pa = arrow()
    types = {
        "whole": pa.int64(), "number": pa.float64(), "truth": pa.bool_(), "text": pa.string(),
        "moment": pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    return pa.struct([(name, types[kind]) for name, kind in fields.items()])


def values_of(
    event_type: str, fields: Fields, columns: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any] | None]:
    """The column of an event type: None for events of others."""
    found: list[dict[str, Any] | None] = []
    for theirs, text in zip(columns["event_type"], columns["data"], strict=True):
        if theirs != event_type:
            found.append(None)
            continue
        data = decode_json(text.encode())
        found.append({name: _value(kind, data.get(name)) for name, kind in fields.items()})
    return found


def _fields(payload: type[Payload]) -> Fields:
    kinds = {name: _kind(field.annotation) for name, field in payload.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _kind(annotation: Any) -> str | None:
    """Of a plain annotation, which may allow None, too."""
    if get_origin(annotation) in (Union, UnionType):
        others = [each for each in get_args(annotation) if each is not type(None)]
        annotation = others[0] if len(others) == 1 else None
    return _KINDS.get(annotation)


def _value(kind: str, value: Any) -> Any:
    match kind, value:
        case "whole", int() if not isinstance(value, bool) and -_LARGEST <= value < _LARGEST:
            return value
        case "number", int() | float() if not isinstance(value, bool):
            return float(value)
        case "truth", bool():
            return value
        case "text", str():
            return value
        case "moment", str():
            return _moment(value)
    return None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _payloads(base: type[Payload]) -> Iterator[type[Payload]]:
    for derived in base.__subclasses__():
        if "event_type" in derived.__dict__ and hasattr(derived, "kind"):
            yield derived
        yield from _payloads(derived)
