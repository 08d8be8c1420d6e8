"""The API in OpenAPI 3.1: made of what the hosts tell of their actor types."""

import json
from collections.abc import Iterable
from typing import Any

from actors.event import Kind
from gateways.tokens import ADMIN, COMMAND, COMMAND_TO, OBSERVE, PUBLISH, READ
from gateways.web.openapi_schemas import SCHEMAS, positions_of_several
from gateways.web.problems import CONTENT_TYPE
from runtime.wire.type_descriptions import TypeDescription
from store.causality import LARGEST_LIMIT, LIMIT


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_NAME = {
    "name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1},
    "description": "The device's name; a slash in it is written %2F.",
}  # fmt: skip
_KEY = {
    "name": "Idempotency-Key", "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
    "description": "A UUID, or any text: a command of one key takes effect once.",
}  # fmt: skip
_AT = {
    "name": "Happened-At", "in": "header", "schema": {"type": "string", "format": "date-time"},
    "description": "When it happened; now, where that is not said.",
}  # fmt: skip
_REASON = {
    "name": "reason", "in": "query", "required": True, "schema": {"type": "string", "minLength": 1},
    "description": "Why its data is to go; the log keeps this.",
}  # fmt: skip
_PREFIX = {
    "name": "prefix", "in": "query", "schema": {"type": "string"},
    "description": "How the names begin that are meant.",
}  # fmt: skip
_AT_LEAST = {
    "name": "at_least", "in": "query", "schema": _reference("After"),
    "description": "A position that what is found has seen; with fields alone.",
}  # fmt: skip
_WHERE = {
    "name": "where", "in": "query", "style": "form", "explode": True,
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
    "description": "Fields that the type indexes, as status=faulted or power_kw__gt=7: the actors "
    "of whose states all of it is true.",
}  # fmt: skip
_PATTERNS = {"type": "array", "items": {"type": "string", "minLength": 1}}
_AFTER = {
    "name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0},
}  # fmt: skip


def _limit(most: int, default: int = 100) -> dict[str, Any]:
    return {
        "name": "limit", "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": most, "default": default},
    }  # fmt: skip


_RESPONSES = {
    "Unauthorized": "A token is asked for, and there is none, or none that may be used.",
    "Forbidden": "The token does not have the scope that it takes, or is for other sources.",
}
_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token, thb_...: `thornback tokens create` makes it. The roles of an "
        "operation are the scopes that it takes; `admin` has all of them within.",
    }
}


def openapi_of(
    types: Iterable[TypeDescription], *, tokens_asked: bool, partitions: int = 1
) -> dict[str, Any]:
    """The document. Actor types come in the order of their names. Where nobody is asked for a
    token it says that one may be left out."""
    paths: dict[str, Any] = dict(_SYSTEM_PATHS)
    schemas = SCHEMAS | (positions_of_several(partitions) if partitions > 1 else {})
    for known in sorted(types, key=lambda each: each.actor_type):
        schemas |= json.loads(known.schemas)
        paths |= _paths_of(known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Thornback",
            "version": "1",
            "description": "Commands, states and events of a fleet of devices.",
        },
        "security": [{"token": []}],
        "paths": paths if tokens_asked else _open(paths),
        "components": {
            "schemas": schemas,
            "responses": {name: _problem(said) for name, said in _RESPONSES.items()},
            "securitySchemes": _SCHEMES,
        },
    }


def _open(paths: dict[str, Any]) -> dict[str, Any]:
    """The same without a token."""
    return {
        path: {
            method: {**operation, "security": [*operation.get("security", []), {}]}
            for method, operation in methods.items()
        }
        for path, methods in paths.items()
    }


def _takes(scope: str) -> list[dict[str, list[str]]]:
    return [{"token": [scope]}]


def _problem(said: str) -> dict[str, Any]:
    return {
        "description": said,
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
        "content": {CONTENT_TYPE: {"schema": _reference("Problem")}},
    }


def _paths_of(known: TypeDescription) -> dict[str, Any]:
    name = known.actor_type
    base = f"/v1/actors/{name}/{{name}}"
    paths: dict[str, Any] = {
        f"/v1/actors/{name}": {
            "get": {
                "tags": [name], "summary": f"Every {name} that has events",
                "operationId": f"{name}.list", "security": _takes(READ),
                "parameters": [
                    {"name": "after", "in": "query", "schema": {"type": "string"}}, _limit(1_000),
                    _PREFIX, _AT_LEAST, _WHERE,
                ],
                "responses": _answers(
                    {"anyOf": [_reference("Listing"), _reference("FoundActors")]}
                ),
            },
        },
        base: {
            "get": {
                "tags": [name], "summary": f"The state of a {name}", "parameters": [_NAME],
                "operationId": f"{name}.state", "security": _takes(READ),
                "responses": _answers({
                    "type": "object",
                    "required": ["source", "version", "state"],
                    "properties": {
                        "source": {"type": "string"},
                        "version": {"type": "integer", "minimum": 0},
                        "state": _reference(known.state),
                    },
                }),
            },
            "delete": {
                "tags": [name], "summary": f"Erase the data of a {name} for good",
                "operationId": f"{name}.erase", "security": _takes(ADMIN),
                "parameters": [_NAME, _REASON], "responses": _answers(_reference("Erased")),
            },
        },
        f"{base}/events": {
            "get": {
                "tags": [name], "summary": f"The history of a {name}",
                "operationId": f"{name}.history", "security": _takes(READ),
                "parameters": [_NAME, _AFTER, _limit(1_000)],
                "responses": _answers(_reference("History")),
            },
        },
    }  # fmt: skip
    for message, schema in sorted(known.messages.items()):
        paths[f"{base}/{message}"] = {
            "post": {
                "tags": [name], "summary": f"{message} to a {name}",
                "operationId": f"{name}.{message}", "security": _takes(COMMAND_TO + name),
                "parameters": [_NAME, _KEY, _AT],
                "requestBody": _body("application/json", _reference(schema)),
                "responses": _answers(_reference("Answer")),
            },
        }  # fmt: skip
    return paths


def _body(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {kind: {"schema": schema}}}


def _answers(schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {
        "200": {"description": "It is done.", "content": {kind: {"schema": schema}}},
        "401": {"$ref": "#/components/responses/Unauthorized"},
        "403": {"$ref": "#/components/responses/Forbidden"},
        "default": {
            "description": "It is not: why.",
            "content": {CONTENT_TYPE: {"schema": _reference("Problem")}},
        },
    }


def _looked_at(operation: str, scope: str, summary: str, schema: str) -> dict[str, Any]:
    return {
        "get": {
            "tags": ["system"],
            "operationId": operation,
            "security": _takes(scope),
            "summary": summary,
            "responses": _answers(_reference(schema)),
        }
    }


_CLOUD_EVENT = {
    "type": "object",
    "required": ["source", "id", "type"],
    "properties": {
        "specversion": {"enum": ["1.0"]},
        "source": {"type": "string", "minLength": 1},
        "id": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "time": {"type": "string", "format": "date-time"},
        "data": {},
    },
}

_SYSTEM_PATHS: dict[str, Any] = {
    "/v1/commands": {
        "post": {
            "tags": ["system"],
            "operationId": "commands",
            "security": _takes(COMMAND),
            "summary": "Many commands, a line each; answered line by line as they commit",
            "parameters": [_KEY],
            "requestBody": _body("application/x-ndjson", {"type": "string"}),
            "responses": _answers({"type": "string"}, "application/x-ndjson"),
        }
    },
    "/v1/events": {
        "get": {
            "tags": ["system"],
            "operationId": "events",
            "security": _takes(READ),
            "summary": "Events after a position and then live, as server-sent events",
            "parameters": [
                {"name": "types", "in": "query", "schema": _PATTERNS},
                {"name": "sources", "in": "query", "schema": _PATTERNS},
                {
                    "name": "kinds",
                    "in": "query",
                    "schema": {"type": "array", "items": {"enum": [str(kind) for kind in Kind]}},
                },
                {"name": "after", "in": "query", "schema": _reference("After")},
                {"name": "Last-Event-ID", "in": "header", "schema": _reference("LastEventId")},
            ],
            "responses": _answers({"type": "string"}, "text/event-stream"),
        },
        "post": {
            "tags": ["system"],
            "operationId": "report",
            "security": _takes(PUBLISH),
            "summary": "A CloudEvent of a device",
            "requestBody": _body("application/cloudevents+json", _CLOUD_EVENT),
            "responses": _answers(_reference("Answer")),
        },
    },
    "/v1/events/{id}/explanation": {
        "get": {
            "tags": ["system"],
            "operationId": "explanation",
            "security": _takes(READ),
            "summary": "What has caused an event, and what it has caused",
            "parameters": [
                {
                    "name": "id",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string", "format": "uuid"},
                    "description": "Of an event, or of a command, which stands for its first one.",
                },
                _limit(LARGEST_LIMIT, LIMIT),
            ],
            "responses": _answers(_reference("Explanation")),
        },
    },
    "/v1/types": _looked_at(
        "types", READ, "The actor types, with the counts of their actors and events", "Types"
    ),
    "/v1/system": _looked_at("processes", OBSERVE, "Every process, as it says it is", "System"),
    "/v1/settings": _looked_at(
        "settings", OBSERVE, "The system's settings, and where each came from", "Settings"
    ),
    "/v1/failures": _looked_at(
        "failures", OBSERVE, "What was rejected or failed since the hosts began", "Failures"
    ),
    "/livez": {
        "get": {
            "tags": ["system"],
            "operationId": "alive",
            "security": [],
            "summary": "Does the gateway run?",
            "responses": _answers({"type": "object"}),
        }
    },
    "/readyz": {
        "get": {
            "tags": ["system"],
            "operationId": "ready",
            "security": [],
            "summary": "Does it reach the hosts and the database?",
            "responses": _answers({"type": "object"}),
        }
    },
}
