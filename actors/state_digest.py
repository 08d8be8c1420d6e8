"""A digest of the schema of states: equal where the same states are written the same way.

It is made of pydantic's JSON schema, which has what a state is written as: fields, types, and with
what they begin. What does not change that is left out, so that a class which was renamed or
described anew keeps its snapshots.
"""

import json
import warnings
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

#: Of a schema: what is said about it, and changes nothing.
_SAID = frozenset(("title", "description", "examples", "deprecated"))
#: Of a schema: what has names of users for keys.
_BY_NAME = frozenset(("properties", "patternProperties", "dependentSchemas"))
#: Of a schema: what is a value, and no schema.
_VALUES = frozenset(("default", "const", "enum"))
_DEFINITIONS = "#/$defs/"


def schema_digest(adapter: TypeAdapter[Any]) -> str:
    """Sixteen letters; "none" of a type that has no JSON schema."""
    try:
        with warnings.catch_warnings():  # of defaults that JSON does not have
            warnings.simplefilter("ignore")
            schema = adapter.json_schema(mode="serialization", by_alias=False)
    except (PydanticUserError, RecursionError):
        return "none"
    text = json.dumps(_Bare(schema.get("$defs", {})).whole(schema), sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


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
