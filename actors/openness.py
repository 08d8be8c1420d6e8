"""Which models are closed: JSON gives back what was written of them, and nobody can change it.

An event is applied as the log gives it back, so that a state in memory is the one that the log
says. To read every event back costs 1 to 2 us; a closed class needs none of that, because what
is read back of it equals what was written (tests/properties/test_read_back.py). So it is
decided once, when a class is described, and on the side of doubt: a model is closed where
pydantic's own schema of it has nothing but what stands here.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, SchemaValidator

#: Of each kind of schema that is closed by itself: what of JSON it is written as. Moments are
#: not among them: a zone comes back as an offset, and an offset without its seconds.
_LEAVES = {"str": "text", "uuid": "text", "int": "integer", "float": "float", "bool": "bool",
           "none": "null"}  # fmt: skip

#: What a schema may say beside its kind without changing what is read back.
_HARMLESS = {
    "type", "metadata", "ref", "strict", "gt", "ge", "lt", "le", "multiple_of", "allow_inf_nan",
    "min_length", "max_length", "pattern", "regex_engine", "coerce_numbers_to_str", "version",
    "default", "schema", "choices", "mode", "auto_collapse", "items_schema", "variadic_item_index",
    "expected", "cls", "members", "sub_type", "missing", "frozen",
}  # fmt: skip


def is_closed(model: type[BaseModel]) -> bool:
    """Does every instance of a model read back as an equal one, which shares nothing with it
    that can be changed? False is always right, and costs time."""
    model.model_rebuild()
    schema: Any = model.__pydantic_core_schema__
    config = model.model_config
    if not isinstance(schema, dict) or schema.get("type") != "model":
        return False
    plain = not (schema.get("custom_init") or schema.get("root_model") or "post_init" in schema)
    written = config.get("frozen") and config.get("ser_json_inf_nan") == "constants"
    return (
        bool(plain and written and config.get("extra", "ignore") != "allow")
        and "serialization" not in schema
        and _closed_fields(schema["schema"])
    )


def _closed_fields(schema: Mapping[str, Any]) -> bool:
    if schema["type"] != "model-fields" or schema.get("computed_fields"):
        return False
    return all(
        field.keys() <= {"type", "schema", "metadata", "frozen"} and _written_as(field["schema"])
        for field in schema["fields"].values()
    )


def _written_as(schema: Mapping[str, Any]) -> set[str]:
    """What of JSON the values of a closed schema are written as; empty for one that is open."""
    kind = schema["type"]
    if not schema.keys() <= _HARMLESS:
        return set()
    if kind in _LEAVES:
        return {_LEAVES[kind]}
    return _OTHERS[kind](schema) if kind in _OTHERS else set()


def _of_default(schema: Mapping[str, Any]) -> set[str]:
    # A default is not validated: one of another type comes back as another.
    inner, default = _written_as(schema["schema"]), schema.get("default")
    try:
        validated = SchemaValidator(schema["schema"]).validate_python(default, strict=True)
    except ValidationError:
        return set()
    return inner if type(validated) is type(default) and validated == default else set()


def _of_nullable(schema: Mapping[str, Any]) -> set[str]:
    inner = _written_as(schema["schema"])
    return inner | {"null"} if inner else set()


def _of_union(schema: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    for choice in schema["choices"]:
        one = _written_as(choice[0] if isinstance(choice, tuple) else choice)
        if not one or one & found:
            return set()  # which of two texts it was does not show
        found |= one
    return found if not {"integer", "float"} <= found else set()


def _of_tuple(schema: Mapping[str, Any]) -> set[str]:
    return {"list"} if all(map(_written_as, schema["items_schema"])) else set()


def _of_literal(schema: Mapping[str, Any]) -> set[str]:
    return {"text"} if {type(value) for value in schema["expected"]} == {str} else set()


def _of_enum(schema: Mapping[str, Any]) -> set[str]:
    kinds = {type(member.value) for member in schema["members"]}
    return {"text"} if kinds == {str} else {"integer"} if kinds == {int} else set()


_OTHERS: dict[str, Callable[[Mapping[str, Any]], set[str]]] = {
    "default": _of_default, "nullable": _of_nullable, "union": _of_union, "tuple": _of_tuple,
    "literal": _of_literal, "enum": _of_enum,
}  # fmt: skip


#: Schemas whose values are made anew of what they are read from, part by part.
_MAKE_ANEW = {
    *_LEAVES, *_OTHERS, "model", "model-fields", "model-field", "list", "dict", "set", "frozenset",
    "datetime", "date", "time", "timedelta", "decimal", "bytes", "dataclass", "dataclass-args",
    "dataclass-field", "url", "ip", "complex",
}  # fmt: skip
#: What of a schema is no schema.
_NO_SCHEMA = {
    "fields",
    "metadata",
    "config",
    "default",
    "expected",
    "members",
    "cls",
    "serialization",
}


def message_reader(model: type[BaseModel]) -> Callable[[Any], Any]:
    """What makes messages of plain data: by the names of fields, which is how they travel. A
    message shares nothing with its data that can be changed. Raises pydantic's ValidationError.
    """
    model.model_rebuild()
    read = model.__pydantic_validator__.validate_python
    kinds, aliases = set[str](), list[Any]()
    _look_through(model.__pydantic_core_schema__, kinds, aliases)
    by_name = partial(read, by_alias=False, by_name=True) if aliases else read
    if kinds <= _MAKE_ANEW:
        return by_name

    def read_apart(data: Any) -> Any:
        # A part of type Any is kept as it is: it would be changed for whoever reads it again.
        return by_name(_copied(model, data))

    return read_apart


def event_reader(model: type[BaseModel]) -> Callable[[bytes], Any]:
    """What makes events of their JSON text, by the names of fields or by their aliases: as they
    may have been written. Raises pydantic's ValidationError."""
    read = model.__pydantic_validator__.validate_json
    return read if is_closed(model) else partial(read, by_alias=True, by_name=True)


def _look_through(schema: Any, kinds: set[str], aliases: list[Any]) -> None:
    """Every kind of schema in a schema, and every alias."""
    if isinstance(schema, dict):
        if isinstance(kind := schema.get("type"), str):
            kinds.add("any" if _leaves_open(schema) else kind)
        if "validation_alias" in schema:
            aliases.append(schema["validation_alias"])
        members = [member for name, member in schema.items() if name not in _NO_SCHEMA]
        fields = schema.get("fields", [])  # by names that are their users', not pydantic's
        members += fields.values() if isinstance(fields, dict) else fields
    elif isinstance(schema, list | tuple):
        members = list(schema)
    else:
        return
    for member in members:
        _look_through(member, kinds, aliases)


def _leaves_open(schema: Mapping[str, Any]) -> bool:
    """Does it take parts of any type, without a schema for them?"""
    if (schema.get("config") or {}).get("extra_fields_behavior") == "allow":
        return True
    parts = {"list": "items_schema", "dict": "values_schema"}.get(schema["type"])
    return parts is not None and parts not in schema


def _copied(model: type[BaseModel], data: Any) -> Any:
    try:
        return _copy(data)
    except RecursionError as error:
        too_deep = PydanticCustomError("nested", "it is nested too deeply")
        details = InitErrorDetails(type=too_deep, loc=(), input=None)
        raise ValidationError.from_exception_data(model.__name__, [details]) from error


def _copy(value: Any) -> Any:
    if value.__class__ is dict:
        return {key: _copy(member) for key, member in value.items()}
    if value.__class__ is list:
        return [_copy(member) for member in value]
    return value
