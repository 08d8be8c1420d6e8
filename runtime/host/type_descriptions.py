"""JSON schemas of what an actor type takes, yields and is: for programs without its class."""

import logging
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind
from pydantic_core import to_json

from actors.actor import ActorType
from runtime.host.resident import FAILURES
from runtime.topology.status import TypeCode
from runtime.wire.type_descriptions import TypeDescription

logger = logging.getLogger("thornback.host")


class _Schemas(GenerateJsonSchema):
    """Of what has no schema it says nothing, instead of failing: whatever it is, the actor's
    own model will judge it."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Nobody could do anything about it here."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}


def describe(known: ActorType, code: TypeCode, packed: bytes | None) -> TypeDescription:
    """The description of a type; `packed` is its code as it was sent, if it was. Where its
    models do not give schemas, these are empty."""
    prefix = f"{known.name}."
    messages = {name: f"{prefix}message.{name}" for name in known.commands}
    events = {name: f"{prefix}event.{name}" for name in known.appliers}
    state = f"{prefix}state"
    try:
        schemas = to_json(_schemas_of(known, prefix))
    except FAILURES as error:  # code of the models runs, and may do anything
        logger.warning("%s has no schemas: %s", known.actor.class_name(), error)
        schemas = to_json({name: {} for name in (*messages.values(), *events.values(), state)})
    return TypeDescription(
        actor_type=known.name,
        class_name=code.class_name,
        fingerprint=code.fingerprint,
        messages=messages,
        events=events,
        state=state,
        schemas=schemas,
        code=packed,
    )


def _schemas_of(known: ActorType, prefix: str) -> dict[str, Any]:
    wanted: dict[str, tuple[Any, str]] = {}
    for name in known.commands:
        message = known.handlers[name].message
        wanted[f"{prefix}message.{name}"] = message.__pydantic_core_schema__, "validation"
    for name, applier in known.appliers.items():
        core = applier.payload.__pydantic_core_schema__
        wanted[f"{prefix}event.{name}"] = core, "serialization"
    wanted[f"{prefix}state"] = known.states.adapter.core_schema, "serialization"
    template = f"#/components/schemas/{prefix}{{model}}"
    inputs = [(name, mode, core) for name, (core, mode) in wanted.items()]
    by_key, shared = _Schemas(by_alias=False, ref_template=template).generate_definitions(inputs)  # type: ignore[arg-type]
    schemas: dict[str, Any] = {f"{prefix}{name}": schema for name, schema in shared.items()}
    for (name, _), schema in by_key.items():
        schemas[name] = schema
    return schemas
