"""What the answers of the API look like that are the same for every actor type, as JSON Schema."""

from typing import Any

from actors.clock import CausalRelation

_MOMENT = {"type": "string", "format": "date-time"}
_ID = {"type": "string", "format": "uuid"}

_POSITION = {"$ref": "#/components/schemas/Position"}

SCHEMAS: dict[str, Any] = {
    "Position": {"type": "integer", "minimum": 0, "description": "how far the log was read"},
    "After": {"type": "integer", "minimum": 0},
    "LastEventId": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    "Event": {
        "type": "object",
        "required": ["position", "source", "version", "kind", "event_type", "data", "event_id"],
        "properties": {
            "position": {"type": "integer", "minimum": 1},
            "source": {"type": "string"},
            "version": {"type": "integer", "minimum": 1},
            "kind": {"enum": ["device", "system", "business"]},
            "event_type": {"type": "string"},
            "data": {"type": "object"},
            "happened_at": _MOMENT,
            "recorded_at": _MOMENT,
            "event_id": {"type": "string", "format": "uuid"},
            "correlation_id": {"type": ["string", "null"], "format": "uuid"},
            "causation_id": {"type": ["string", "null"], "format": "uuid"},
            "vector_clock": {"type": "object", "additionalProperties": {"type": "integer"}},
            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
    "Answer": {
        "type": "object",
        "required": ["source", "repeat", "events"],
        "properties": {
            "source": {"type": "string"},
            "repeat": {"type": "boolean", "description": "The command had taken effect before."},
            "events": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}},
        },
    },
    "Erased": {
        "type": "object",
        "description": "The receipt of an erasure, as `thornback verify --receipt` takes it.",
        "required": ["source", "reason", "version", "position", "events", "digest"],
        "properties": {
            "source": {"type": "string"},
            "reason": {"type": "string"},
            "keys": {"type": "array", "items": {"type": "string"}},
            "version": {"type": "integer", "minimum": 1},
            "position": {"type": "integer", "minimum": 1},
            "events": {"type": "integer", "minimum": 0},
            "digest": {"type": "string"},
            **{
                counted: {"type": "integer", "minimum": 0}
                for counted in ("snapshots", "timers", "states", "rows", "dead_letters", "outputs")
            },
        },
    },
    "History": {
        "type": "object",
        "required": ["source", "events", "next"],
        "properties": {
            "source": {"type": "string"},
            "events": {"type": "array", "items": {"$ref": "#/components/schemas/Event"}},
            "next": {"type": ["integer", "null"], "description": "`after` of the next page"},
        },
    },
    "Explanation": {
        "type": "object",
        "required": [
            "event",
            "origin",
            "ancestors",
            "descendants",
            "concurrent",
            "events",
            "left_out",
        ],
        "properties": {
            "event": _ID,
            "origin": {
                "type": ["string", "null"],
                "format": "uuid",
                "description": "what the first cause names as its own and is no event: a command",
            },
            "ancestors": {
                "type": "array",
                "items": _ID,
                "description": "the causes, the first one first",
            },
            "descendants": {
                "type": "array",
                "items": _ID,
                "description": "the effects, and theirs",
            },
            "concurrent": {
                "type": "array",
                "items": _ID,
                "description": "of its correlation",
            },
            "events": {
                "type": "array",
                "description": "all that are named here, and the rest of its correlation",
                "items": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Event"},
                        {
                            "type": "object",
                            "required": ["cause", "relation"],
                            "properties": {
                                "cause": {"type": ["string", "null"], "format": "uuid"},
                                "relation": {
                                    "enum": [relation.value for relation in CausalRelation],
                                    "description": "how it stands to the event, by their clocks",
                                },
                            },
                        },
                    ]
                },
            },
            "left_out": {
                "type": "array",
                "items": {"type": "string"},
                "description": "a sentence each",
            },
        },
    },
    "Listing": {
        "type": "object",
        "required": ["type", "actors", "next"],
        "properties": {
            "type": {"type": "string"},
            "actors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "version", "event_type", "recorded_at"],
                    "properties": {
                        "name": {"type": "string"},
                        "version": {"type": "integer", "minimum": 1},
                        "event_type": {"type": "string", "description": "of its last event"},
                        "recorded_at": _MOMENT,
                    },
                },
            },
            "next": {"type": ["string", "null"], "description": "`after` of the next page"},
        },
    },
    "FoundActors": {
        "type": "object",
        "required": ["type", "actors", "position", "next"],
        "properties": {
            "type": {"type": "string"},
            "actors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "fields"],
                    "properties": {
                        "name": {"type": "string"},
                        "fields": {"type": "object", "description": "those that are indexed"},
                    },
                },
            },
            "position": _POSITION,
            "next": {"type": ["string", "null"], "description": "`after` of the next page"},
        },
    },
    "Types": {
        "type": "object",
        "required": ["through", "complete", "types"],
        "properties": {
            "through": _POSITION,
            "complete": {"type": "boolean", "description": "Is that the end of the log?"},
            "types": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["type", "known", "actors", "events", "event_types"],
                    "properties": {
                        "type": {"type": "string"},
                        "known": {"type": "boolean", "description": "Do hosts know its class?"},
                        "actors": {"type": "integer", "description": "that have events"},
                        "events": {"type": "integer"},
                        "event_types": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {
                                    "event_type": {"type": "string"},
                                    "events": {"type": "integer"},
                                    "last_position": {"type": "integer"},
                                    "last_recorded_at": _MOMENT,
                                },
                            },
                        },
                    },
                },
            },
        },
    },
    "System": {
        "type": "object",
        "required": ["namespace", "asked_at", "processes"],
        "properties": {
            "namespace": {"type": "string"},
            "asked_at": _MOMENT,
            "processes": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "kind"],
                    "properties": {
                        "name": {"type": "string"},
                        "kind": {"type": "string"},
                        "away": {"type": "string", "description": "why it does not answer"},
                        "node": {"type": "string", "description": "its name in vector clocks"},
                        "machine": {"type": "string"},
                        "restarted": {"type": "boolean"},
                        "pid": {"type": "integer"},
                        "up_s": {"type": "number"},
                        "rss_bytes": {"type": "integer"},
                        "private_bytes": {"type": "integer"},
                        "trouble": {"type": ["string", "null"]},
                        "through_ray": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "whom it calls through Ray although calls are to go "
                            "past it, each with why",
                        },
                        "facts": {"type": ["object", "null"], "description": "by its kind"},
                    },
                },
            },
        },
    },
    "Settings": {
        "type": "object",
        "required": ["settings"],
        "properties": {
            "settings": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["key", "value", "from"],
                    "properties": {
                        "key": {"type": "string"},
                        "value": {"description": "passwords are ***"},
                        "from": {"type": "string"},
                    },
                },
            },
        },
    },
    "Failures": {
        "type": "object",
        "required": ["failures", "silent"],
        "properties": {
            "silent": {
                "type": "array",
                "description": "hosts that did not answer: what failed at them is missing",
                "items": {
                    "type": "object",
                    "required": ["name", "reason"],
                    "properties": {"name": {"type": "string"}, "reason": {"type": "string"}},
                },
            },
            "failures": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["type", "message", "name", "outcome", "count", "last_at"],
                    "properties": {
                        "type": {"type": "string"},
                        "message": {"type": "string"},
                        "name": {"type": "string", "description": "of the error"},
                        "outcome": {"enum": ["rejected", "failed", "not run"]},
                        "count": {"type": "integer", "minimum": 1},
                        "first_at": _MOMENT,
                        "last_at": _MOMENT,
                        "source": {"type": "string", "description": "of the last one"},
                        "text": {"type": "string", "description": "what that one said"},
                        "frames": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "where in its user's code: file:line, in function",
                        },
                    },
                },
            },
        },
    },
    "Problem": {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "outcome": {"enum": ["open"], "description": "The command may still take effect."},
        },
    },
}


def positions_of_several(partitions: int) -> dict[str, Any]:
    """What is otherwise where a system has several partitions: a position of each."""
    one = "[0-9]{1,18}"
    said = {
        "type": "string",
        "pattern": f"^({one}|{one}(,{one}){{{partitions - 1}}})$",
        "description": f"{partitions} positions, one for each partition, with commas between them; "
        "0: from the beginning; of a stream whose sources are of one partition, the position there",
    }
    return {
        "Position": {
            "type": "array",
            "items": SCHEMAS["Position"],
            "minItems": partitions,
            "maxItems": partitions,
        },
        "After": said,
        "LastEventId": said,
    }
