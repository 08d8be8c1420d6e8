"""What the class of a state has to be: made without arguments, and of a form in JSON.

A state that has no JSON would work until its first snapshot, and one that needs arguments could
not begin. So both are tried when its actor's class is described.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind

from actors.errors import InvalidActor


class _StateSchema(GenerateJsonSchema):
    """Finds out whether a state's type has a form in JSON; nobody looks at the schema."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """A default that has no JSON is none of our business: states of that type may."""

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        found = super().ser_schema(schema)
        if found is None and schema["type"].startswith("function-"):
            return {}  # a serializer that does not say what it makes
        return found


def state_adapter(state_type: Any, actor_type: str) -> TypeAdapter[Any]:
    """What encodes and decodes states of a type. Raises InvalidActor for one that has no JSON."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(state_type)
        adapter.json_schema(mode="serialization", schema_generator=_StateSchema)
    except (PydanticUserError, NameError, AttributeError, TypeError) as error:
        if not isinstance(get_origin(state_type) or state_type, type):
            raise InvalidActor(actor_type, _no_class(state_type)) from error
        if not _is_data(state_type):
            problem = (
                f"its state {state_type.__name__} must be a dataclass (@dataclass), or a pydantic "
                "model, whose fields have annotations and defaults"
            )
            raise InvalidActor(actor_type, problem) from error
        raise InvalidActor(actor_type, _no_json(state_type, str(error))) from error
    return adapter


def check_state(state_type: Any, text: Callable[[Any], str], actor_type: str) -> None:
    """Make a state and write it with `text`. Raises InvalidActor where either fails."""
    try:
        state = state_type()
    except Exception as error:
        needed = _without_default(state_type)
        why = f"{needed} of {state_type.__name__} has none" if needed else str(error)
        problem = f"its state is made without arguments, give every field a default: {why}"
        raise InvalidActor(actor_type, " ".join(problem.split())) from error
    try:
        text(state)
    except Exception as error:
        problem = f"its state cannot be written as JSON, even as it begins: {error}"
        raise InvalidActor(actor_type, " ".join(problem.split())) from error


def _no_class(state_type: Any) -> str:
    shown = getattr(state_type, "__forward_arg__", None) or f"{state_type!r:.80}"
    return f"its state is a class, not {shown!r}: define it above, and say Actor[ItsName]"


def _no_json(state_type: type, why: str) -> str:
    if "not fully defined" in why:
        return f"an annotation of its state {state_type.__name__} names what is not defined there"
    return (
        f"its state cannot be written as JSON: {why.splitlines()[0].partition('. ')[0]}; fields of "
        "a state are numbers, texts, lists, dicts, dataclasses and pydantic models"
    )


def _is_data(state_type: Any) -> bool:
    """Is it a class with fields, or one that pydantic knows without any?"""
    if dataclasses.is_dataclass(state_type) or get_origin(state_type) is not None:
        return True
    return issubclass(state_type, BaseModel) or state_type.__module__ == "builtins"


def _without_default(state_type: Any) -> str:
    """The fields of a state that would have to be given."""
    if isinstance(state_type, type) and issubclass(state_type, BaseModel):
        needed = [name for name, field in state_type.model_fields.items() if field.is_required()]
    elif dataclasses.is_dataclass(state_type):
        missing = dataclasses.MISSING
        needed = [
            field.name
            for field in dataclasses.fields(state_type)
            if field.init and field.default is missing and field.default_factory is missing
        ]
    else:
        needed = []
    return ", ".join(needed)
