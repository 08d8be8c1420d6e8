"""Whether what came back is what there was, to the type of each part.

Equality is not enough: a deque without its limit, a dict instead of a defaultdict and 1 instead
of True are equal, and go on otherwise.
"""

import dataclasses
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from enum import Enum
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

from pydantic import BaseModel

_PLAIN = (str, int, float, bool, bytes, type(None))
_SEQUENCES = (list, tuple, deque)


def difference(there: Any, back: Any) -> str | None:
    """What of `back` is another than in `there`, with the way to it; None where all is the same.
    NaN is the same as NaN. Raises RecursionError for what is nested too deeply to look at."""
    return _difference(there, back, "", exactly=True)


def inequality(there: Any, back: Any) -> str | None:
    """What of `back` does not equal its part in `there`, of whatever type, with the way to it. A
    moment equals itself in any zone, also in the hour that a zone has twice."""
    return _difference(there, back, "", exactly=False)


def _difference(there: Any, back: Any, way: str, *, exactly: bool) -> str | None:
    if not exactly and (there == back or _moment(there) == _moment(back) is not None):
        return None
    kind = type(there)
    whole = kind is int and type(back) is float  # in a field of floats
    if kind is not type(back) and not (whole and there == back):
        return f"{way or 'it'} is a {kind.__name__} and comes back as a {type(back).__name__}"
    if kind in _PLAIN:
        return _of_values(there, back, way)
    if kind is dict or isinstance(there, Mapping):
        return _of_mappings(there, back, way, exactly)
    if isinstance(there, _SEQUENCES):
        return _of_sequences(there, back, way, exactly)
    return _of_objects(there, back, way, exactly)


def _of_objects(there: Any, back: Any, way: str, exactly: bool) -> str | None:
    fields = getattr(type(there), "__dataclass_fields__", None)
    if fields is not None:
        one, other = getattr(there, "__dict__", {}), getattr(back, "__dict__", {})
        if fields.keys() <= one.keys() and one == other:
            return _of_equal_parts(one, other, way)
    parts = _parts(there)
    if parts is not None:
        return _of_mappings(parts, _parts(back) or {}, way, exactly)
    return _of_values(there, back, way)


def _of_values(there: Any, back: Any, way: str) -> str | None:
    same = there == back and _zone(there) == _zone(back)
    if same or (there != there and back != back):
        return None
    return f"{way or 'it'} is {there!r:.80} and comes back as {back!r:.80}"


def _of_equal_parts(there: Mapping[str, Any], back: Mapping[str, Any], way: str) -> str | None:
    """What equals may still be of another type. An index looks at each state that it keeps, and
    mostly all is plain: of that the types are all there is to look at."""
    for name, value in there.items():
        if type(value) is not type(back[name]) or type(value) not in _PLAIN:
            at = f"{way}.{name}" if way else name
            if (found := _difference(value, back[name], at, exactly=True)) is not None:
                return found
    return None


def _of_mappings(
    there: Mapping[Any, Any], back: Mapping[Any, Any], way: str, exactly: bool
) -> str | None:
    if isinstance(there, defaultdict) and there.default_factory is not back.default_factory:  # type: ignore[attr-defined]
        return f"{way or 'it'} comes back with another default_factory"
    for key, value in there.items():
        at = f"{way}.{key}" if way else f"{key}"
        if key not in back:
            return f"{at} does not come back"
        if (found := _difference(value, back[key], at, exactly=exactly)) is not None:
            return found
    if len(there) == len(back):
        return None
    return f"{way or 'it'} comes back with more than it has"


def _of_sequences(there: Any, back: Any, way: str, exactly: bool) -> str | None:
    if isinstance(there, deque) and there.maxlen != back.maxlen:
        return f"{way or 'it'} comes back without its maxlen"
    if len(there) != len(back):
        return f"{way or 'it'} has {len(there)} parts and comes back with {len(back)}"
    kinds = set(map(type, there))
    plain = len(kinds) == 1 and kinds.issubset(_PLAIN) and kinds == set(map(type, back))
    if plain and there == back:  # at the speed of C, for what is long
        return None
    for index, (one, other) in enumerate(zip(there, back, strict=True)):
        if (found := _difference(one, other, f"{way}[{index}]", exactly=exactly)) is not None:
            return found
    return None


def _parts(value: Any) -> Mapping[Any, Any] | None:
    """The fields of a model or a dataclass, and of a plain object that has no equality. A member of
    an enumeration is a value: what a Flag keeps of itself leads back to it."""
    if isinstance(value, Enum):
        return None
    if isinstance(value, BaseModel):
        own = {name: value.__dict__.get(name) for name in type(value).model_fields}
        return {**own, **(value.__pydantic_extra__ or {}), **(value.__pydantic_private__ or {})}
    if dataclasses.is_dataclass(value):
        set_beside = getattr(value, "__dict__", {}).items()
        own = {name: part for name, part in set_beside if not _is_cached(value, name)}
        names = (field.name for field in dataclasses.fields(value))
        return {**own, **{name: getattr(value, name, None) for name in names}}
    kind: Any = type(value)
    if kind.__eq__ is object.__eq__ and hasattr(value, "__dict__"):
        return dict(value.__dict__)
    return None


def _is_cached(value: Any, name: str) -> bool:
    return isinstance(getattr(type(value), name, None), cached_property)


def _zone(value: Any) -> Any:
    """The offset of a moment, and whether it is the same on every day."""
    if isinstance(value, datetime | time) and value.tzinfo is not None:
        return value.utcoffset(), value.tzinfo.utcoffset(None) is None
    return None


def _moment(value: Any) -> datetime | None:
    aware = isinstance(value, datetime) and value.utcoffset() is not None
    return value.astimezone(UTC) if aware else None


def changed_fields(before: Any, after: Any) -> list[str]:
    """The fields of two states of one class that are not the same in both; none where it has no
    fields."""
    there, here = _parts(before) or {}, _parts(after) or {}
    names = dict.fromkeys([*there, *here])
    return [name for name in names if difference(there.get(name), here.get(name)) is not None]


def shared_part(first: Any, second: Any) -> str | None:
    """The way to a part that can be changed and that two values share; None where they share
    none."""
    theirs = {id(part) for _, part in _changeable(second, "", set())}
    for way, part in _changeable(first, "", set()):
        if id(part) in theirs:
            return way or "it"
    return None


def _changeable(value: Any, way: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every part of a value that can be changed, and the way to it."""
    if isinstance(value, (*_PLAIN, Enum, type, FunctionType, ModuleType)) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, list | dict | set | deque | bytearray) or _can_be_set(value):
        yield way, value
    if isinstance(value, Mapping):
        members = list(value.items())
    elif isinstance(value, list | tuple | set | frozenset | deque):
        members = list(enumerate(value))
    else:
        members = list((_parts(value) or {}).items())
    for name, member in members:
        yield from _changeable(member, f"{way}.{name}" if way else f"{name}", seen)


def _can_be_set(value: Any) -> bool:
    """Has it fields, and can these be set?"""
    if isinstance(value, BaseModel):
        return not value.model_config.get("frozen")
    parameters = getattr(type(value), "__dataclass_params__", None)
    return hasattr(value, "__dict__") if parameters is None else not parameters.frozen
