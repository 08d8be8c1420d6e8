"""What a host tells of an actor type to a program that has no class of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeDescription:
    """An actor type as one host knows it: plain values and bytes, nothing of the class itself.

    The schemas are JSON Schema (2020-12) of OpenAPI 3.1, as JSON text. They refer to one another
    as `#/components/schemas/<name>`, and every name begins with that of the actor type.
    """

    actor_type: str
    class_name: str
    fingerprint: str  #: of its code
    messages: dict[str, str] = field(repr=False)  #: by message type: the name of its schema
    events: dict[str, str] = field(repr=False)  #: by event type: the name of its schema
    state: str = field(repr=False)  #: the name of its state's schema
    schemas: bytes = field(repr=False)  #: a JSON object: all of them by name
    #: The code as a driver sent it (an ActorCode), for hosts that do not have it. None: every
    #: host imports this class itself.
    code: bytes | None = field(repr=False)
