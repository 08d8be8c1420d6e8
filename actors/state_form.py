"""How a state is written and read again, and what of one JSON does not give back.

A snapshot is a shortcut: what it brings back has to be what the log says. A state that JSON does
not give back as it is has no snapshot, and a class whose states never come back is refused when
it is described.
"""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from actors.errors import InvalidActor
from actors.sameness import difference, inequality, shared_part
from actors.state_digest import schema_digest


class NotGivenBack(ValueError):
    """A state is another one when it is read from its own JSON; the message says where."""

    def __init__(self, lost: str) -> None:
        super().__init__(lost)
        self.lost = lost

    def __str__(self) -> str:
        return (
            f"{self.lost}; annotate the field with the type that it has, one that JSON brings back"
        )


class StateForm:
    """The states of one class, as JSON text."""

    __slots__ = ("adapter", "state_type")

    def __init__(self, adapter: TypeAdapter[Any], state_type: Any) -> None:
        self.adapter, self.state_type = adapter, state_type

    def text(self, state: Any) -> str:
        """A state as a snapshot has it. Raises what its serializer does."""
        # json.dumps, not dump_json: an infinity in a state is legal and must come back. Without
        # pydantic's warnings: whoever holds it against what it was says it in one line.
        plain = self.adapter.dump_python(state, mode="json", round_trip=True, warnings=False)
        return json.dumps(plain)

    def read(self, text: str | bytes) -> Any:
        """The state of a text, by the names of fields or by their aliases: as they may have been
        written. Raises pydantic's ValidationError."""
        return self.adapter.validate_json(text, by_alias=True, by_name=True)

    def plain(self, state: Any) -> Any:
        """A state in JSON's types, as `state()` sends it. Raises what its serializer does, and
        NotGivenBack where that would be another state."""
        found = self.adapter.dump_python(state, mode="json", warnings=False)
        if lost := self._lost(state, self.text(state), inequality):
            raise NotGivenBack(lost)
        return found

    def of_plain(self, plain: Any) -> Any:
        """The state of what `plain` has made. Raises pydantic's ValidationError."""
        return self.read(json.dumps(plain))

    def snapshot(self, state: Any) -> str:
        """The text of a state that its text gives back, to the type of each part. Raises
        NotGivenBack, and what the state's serializer does."""
        text = self.text(state)
        if lost := self._lost(state, text, difference):
            raise NotGivenBack(lost)
        return text

    def digest(self) -> str:
        """What tells the schema of these states from any other: fields, types, and what they are
        to begin with. The names of classes, and what is said about them, do not count."""
        return schema_digest(self.adapter, self.state_type, self.text)

    def _lost(self, state: Any, text: str, compare: Callable[[Any, Any], str | None]) -> str | None:
        try:
            return compare(state, self.read(text))
        except (ValueError, RecursionError) as error:
            return f"it cannot be read back: {' '.join(str(error).split())}"


def check_comes_back(form: StateForm, state_type: Any, actor_type: str) -> None:
    """Raises InvalidActor for a class of states that has fields which are not written, whose
    states do not come back even as they begin, or share a part that can be changed."""
    if unwritten := _unwritten(form.adapter.core_schema, state_type):
        problem = f"its state would not come back out of a snapshot: {unwritten}"
        raise InvalidActor(actor_type, problem)
    state = state_type()
    try:
        form.snapshot(state)
    except NotGivenBack as error:
        problem = f"its state would not come back out of a snapshot: {error}"
        raise InvalidActor(actor_type, problem) from error
    if shared := shared_part(state, state_type()):
        problem = f"its actors would share {shared} of their states: give it a default_factory"
        raise InvalidActor(actor_type, problem)


def _unwritten(schema: Any, state_type: Any) -> str | None:
    """A field, anywhere in a state's type, that is left out when it is written or read."""
    if isinstance(schema, list | tuple):
        return next(filter(None, (_unwritten(one, state_type) for one in schema)), None)
    if not isinstance(schema, dict):
        return None
    if (found := _of_class(schema)) or (found := _of_fields(schema)):
        return found
    members = (one for name, one in schema.items() if name not in ("metadata", "default"))
    return next(filter(None, (_unwritten(one, state_type) for one in members)), None)


def _of_class(schema: dict[str, Any]) -> str | None:
    kind = schema.get("cls")
    if not isinstance(kind, type):
        return None
    if issubclass(kind, BaseModel) and kind.__private_attributes__:
        name = next(iter(kind.__private_attributes__))
        return f"{kind.__name__}.{name} is private: make it a field"
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            if not field.init:
                return f"{kind.__name__}.{field.name} has init=False: leave that out"
    return None


def _of_fields(schema: dict[str, Any]) -> str | None:
    if schema.get("type") not in ("model-fields", "typed-dict", "dataclass-args"):
        return None
    fields = schema["fields"]
    named = fields.items() if isinstance(fields, dict) else ((one["name"], one) for one in fields)
    for name, field in named:
        if field.get("serialization_exclude") or "serialization_exclude_if" in field:
            return f"{name} is excluded when it is written: leave exclude out"
    return None
