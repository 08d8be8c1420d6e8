"""The shape of an event type: which fields its data has, and what they are written as.

A schema version says what data means, and only if somebody has counted it up. Its class says of its
fields what nobody has to think of: one that is gone, or is not read as what it was written as, has
changed the schema, whether or not somebody has said so. One that was added has not, as older events
are read with its default; nor has one that takes more than before. What a number means, nobody
sees.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import AliasChoices, AliasPath

#: By the path of each field (`place.city`, `readings[]`, `tags.*`), as what it is written: names of
#: JSON's types, with their format behind a colon, or values in JSON where these can be counted.
Shape = Mapping[str, Sequence[str]]

_DEFINITIONS = "#/$defs/"
_ANY = "any"
_TYPES: dict[type, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null",
}  # fmt: skip


def shape_of(model: Any) -> Shape:
    """That of a class of events; empty for one that has no JSON schema."""
    return _shape_of(model)


@lru_cache(256)
def _shape_of(model: Any) -> Shape:
    try:
        with warnings.catch_warnings():  # of defaults that JSON does not have
            warnings.simplefilter("ignore")
            schema = model.model_json_schema(mode="serialization", by_alias=False)
    except Exception:  # of types that are the user's: whatever describing them comes to
        return {}
    found = _Found(schema.get("$defs", {}))
    found.add("", schema, ())
    return {path: sorted(tokens) for path, tokens in found.tokens.items() if path}


def names_read(model: Any) -> set[str]:
    """Under which names the fields of a class of events are read."""
    found: set[str] = set()
    for name, info in model.model_fields.items():
        found.add(name)
        alias = info.validation_alias
        for each in alias.choices if isinstance(alias, AliasChoices) else [alias]:
            if isinstance(each, AliasPath):
                found.add(str(each.path[0]))
            elif each is not None:
                found.add(each)
    return found


def changed_fields(model: Any, noted: Shape) -> list[str]:
    """Of fields that events of this type and version were written with: what has become of those
    that this class does not read any more, or not as what they were."""
    here = shape_of(model)
    if not here and model.model_fields:
        return []  # nobody knows
    names, found = names_read(model), []
    for path, before in sorted(noted.items()):
        now = here.get(path)
        if now is None:
            if _is_gone(path, here, names):
                found.append(f"{path!r} is gone")
        elif lost := [token for token in before if not _reads(now, token)]:
            found.append(f"{path!r} was {_said(lost)} and is {_said(now)}")
    return found


class _Found:
    """What a JSON schema says of each path."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions
        self.tokens: dict[str, set[str]] = {}

    def add(self, path: str, schema: Any, within: tuple[str, ...]) -> None:
        """Take in what is written at a path; `within` names the classes around it."""
        tokens = self.tokens.setdefault(path, set())
        if not isinstance(schema, dict):
            tokens.add(_ANY)
            return
        if (reference := schema.get("$ref")) is not None:
            name = reference.removeprefix(_DEFINITIONS)
            if name in within:  # it has itself in it: what there is to say has been said
                tokens.add("object")
                return
            self.add(path, self._definitions.get(name), (*within, name))
            return
        branches = [each for key in ("anyOf", "oneOf", "allOf") for each in schema.get(key, ())]
        for branch in branches:
            self.add(path, branch, within)
        if branches:
            return
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        if values:
            tokens.update(json.dumps(value, sort_keys=True) for value in values)
            return
        kind = schema.get("type", _ANY)
        tokens.add(f"{kind}:{schema['format']}" if "format" in schema else str(kind))
        self._add_parts(path, schema, within)

    def _add_parts(self, path: str, schema: dict[str, Any], within: tuple[str, ...]) -> None:
        dot = f"{path}." if path else ""
        for name, each in schema.get("properties", {}).items():
            self.add(f"{dot}{name}", each, within)
        if isinstance(more := schema.get("additionalProperties"), dict):
            self.add(f"{dot}*", more, within)
        if "items" in schema:
            self.add(f"{path}[]", schema["items"], within)


def _is_gone(path: str, here: Shape, names: set[str]) -> bool:
    """Or is it read as a part of something else, or was what it was in said to be gone?"""
    parent, dot, name = path.rpartition(".")
    if not dot and not path.endswith("[]"):
        return path not in names
    if path.endswith("[]") or name == "*":
        return False  # what it was in is written otherwise
    siblings = [each for each in here if each.startswith(f"{parent}.")]
    return bool(siblings) and f"{parent}.*" not in siblings


def _reads(now: Sequence[str], token: str) -> bool:
    """Is what was written so read by what takes this now?"""
    if token in now or _ANY in now:
        return True
    kind = token.partition(":")[0]
    if token[0] in '"-0123456789[{' or token in ("true", "false", "null"):
        kind = _TYPES.get(type(json.loads(token)), _ANY)
    return kind in now or (kind == "integer" and "number" in now)


def _said(tokens: Sequence[str]) -> str:
    return " or ".join(tokens[:3]) + (" ..." if len(tokens) > 3 else "")
