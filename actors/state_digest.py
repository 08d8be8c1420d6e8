"""A digest of the schema of states: equal where the same states are written the same way.

It is made of pydantic's JSON schema, which has what a state is written as: fields, types, and with
what they begin. What does not change that is left out, so that a class which was renamed or
described anew keeps its snapshots. What a `default_factory` makes is in no schema: so it is called,
and what it makes each time is a part of the digest, unless that is empty, as of most of them.
"""

import dataclasses
import json
import warnings
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError

#: Of a schema: what is said about it, and changes nothing.
_SAID = frozenset(("title", "description", "examples", "deprecated"))
#: Of a schema: what has names of users for keys.
_BY_NAME = frozenset(("properties", "patternProperties", "dependentSchemas"))
#: Of a schema: what is a value, and no schema.
_VALUES = frozenset(("default", "const", "enum"))
_DEFINITIONS = "#/$defs/"


def schema_digest(adapter: TypeAdapter[Any], state_type: Any, text: Callable[[Any], str]) -> str:
    """Sixteen letters; "none" of a type that has no JSON schema. `text` writes a state."""
    try:
        with warnings.catch_warnings():  # of defaults that JSON does not have
            warnings.simplefilter("ignore")
            schema = adapter.json_schema(mode="serialization", by_alias=False)
    except (PydanticUserError, RecursionError):
        return "none"
    said: list[Any] = [bare_schema(schema)]
    if made := _made(state_type, text):
        said.append(made)
    shown = json.dumps(said if made else said[0], sort_keys=True)
    return sha256(shown.encode()).hexdigest()[:16]


def _made(state_type: Any, text: Callable[[Any], str]) -> dict[str, Any]:
    """What the factories of a state's fields make, if that is the same twice, and not empty."""
    names = _with_factory(state_type)
    if not names:
        return {}
    first, second = (json.loads(text(state_type())) for _ in range(2))
    values = {name: _unordered(first.get(name)) for name in names}
    return {
        name: value
        for name, value in values.items()
        if value and value == _unordered(second.get(name))
    }


def _with_factory(state_type: Any) -> list[str]:
    if isinstance(state_type, type) and issubclass(state_type, BaseModel):
        fields = state_type.model_fields
        return [name for name, each in fields.items() if each.default_factory is not None]
    if dataclasses.is_dataclass(state_type):
        missing = dataclasses.MISSING
        fields_of = dataclasses.fields(state_type)
        return [each.name for each in fields_of if each.default_factory is not missing]
    return []


def bare_schema(schema: dict[str, Any]) -> list[Any]:
    """A JSON schema without what changes nothing, and each that it refers to."""
    return _Bare(schema.get("$defs", {})).whole(schema)


class _Bare:
    """A schema without names of classes: each is known by the order in which it comes."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions
        self._numbers: dict[str, int] = {}

    def whole(self, schema: dict[str, Any]) -> list[Any]:
        """The schema, and each that it refers to."""
        found = [self._bare(schema)]
        while len(found) <= len(self._numbers):  # which grows meanwhile
            name = list(self._numbers)[len(found) - 1]
            found.append(self._bare(self._definitions.get(name)))
        return found

    def _bare(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._bare(each) for each in schema]
        if not isinstance(schema, dict):
            return self._reference(schema) if isinstance(schema, str) else schema
        return {
            key: self._member(key, value)
            for key, value in schema.items()
            if key not in _SAID and key != "$defs"
        }

    def _member(self, key: str, value: Any) -> Any:
        if key in _BY_NAME and isinstance(value, dict):
            return {name: self._bare(each) for name, each in value.items()}
        return _unordered(value) if key in _VALUES else self._bare(value)

    def _reference(self, text: str) -> str:
        if not text.startswith(_DEFINITIONS):
            return text
        name = text[len(_DEFINITIONS) :]
        return f"#{self._numbers.setdefault(name, len(self._numbers))}"


def _unordered(value: Any) -> Any:
    """A value whose lists are in one order: a set has another one in each process."""
    if isinstance(value, list):
        return sorted(map(_unordered, value), key=lambda each: json.dumps(each, sort_keys=True))
    if isinstance(value, dict):
        return {key: _unordered(each) for key, each in value.items()}
    return value
