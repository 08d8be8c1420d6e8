"""Actors: state plus handlers.

`@handles` methods take a message and yield payloads (decide); `@applies` methods fold
a payload into the state (evolve). The state changes only after a handler has finished,
so a handler that fails or refuses half-way leaves no trace. This is the decider of
Chassaing's "Functional Event Sourcing Decider", spelled as a class.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind

from actors.errors import InvalidActor
from actors.event import Payload
from actors.moments import moment_of
from actors.naming import checked_type_name, kebab_case, source_of

S = TypeVar("S")
Method = TypeVar("Method", bound=Callable[..., Any])


class Command(BaseModel):
    """A typed request to one actor. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_type: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "message_type" not in cls.__dict__:
            cls.message_type = kebab_case(cls.__name__)
        checked_type_name(cls.message_type)


@dataclass(frozen=True, slots=True)
class Handler:
    """How one message type is decided: its model and the method that takes it."""

    message: type[Command]
    decide: Callable[[Any, Any], Iterable[Payload] | None]


@dataclass(frozen=True, slots=True)
class Applier:
    """How one event type is folded: its model and the method that takes it."""

    payload: type[Payload]
    apply: Callable[[Any, Any], None]


def handles(method: Method) -> Method:
    """Mark a method as the handler of the command its first argument is annotated with."""
    method.__thornback__ = "handles"  # type: ignore[attr-defined]
    return method


def applies(method: Method) -> Method:
    """Mark a method as what folds the payload its first argument is annotated with."""
    method.__thornback__ = "applies"  # type: ignore[attr-defined]
    return method


class _StateSchema(GenerateJsonSchema):
    """Finds out whether a state's type has a form in JSON; nobody looks at the schema."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """A default that has no JSON is none of our business: states of that type may."""

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        found = super().ser_schema(schema)
        if found is None and schema["type"].startswith("function-"):
            return {}  # a serializer that does not say what it makes
        return found


class ActorType:
    """What an actor class says of itself, read once: handlers, appliers, state.

    Resolved at first use, not at class creation, so that annotations may name classes
    defined further down. Raises InvalidActor for what is not well formed.
    """

    def __init__(self, actor: "type[Actor[Any]]") -> None:
        self.actor = actor
        self.name = actor.actor_type
        self.handlers: dict[str, Handler] = {}
        self.appliers: dict[str, Applier] = {}
        #: Encodes and decodes the state for snapshots and `state()`.
        self.state_adapter = self._state_adapter()
        for method in _marked_methods(actor):
            self._add(method)

    def _state_adapter(self) -> TypeAdapter[Any]:
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(self.actor.state_type)
            adapter.json_schema(mode="serialization", schema_generator=_StateSchema)
        except (PydanticUserError, NameError) as error:
            problem = f"its state cannot be written as JSON: {str(error).splitlines()[0]}"
            raise InvalidActor(self.name, problem) from error
        return adapter

    def _add(self, method: Callable[..., Any]) -> None:
        model = _message_model(self.actor, method)
        if method.__thornback__ == "handles":  # type: ignore[attr-defined]
            if not issubclass(model, Command):
                raise InvalidActor(self.name, f"{method.__name__} handles {model}, not a Command")
            self._once(self.handlers, model.message_type, method)
            self.handlers[model.message_type] = Handler(model, method)
        else:
            if not issubclass(model, Payload) or not hasattr(model, "kind"):
                raise InvalidActor(
                    self.name,
                    f"{method.__name__} applies {model}, not a DeviceEvent, SystemEvent "
                    "or BusinessEvent",
                )
            self._once(self.appliers, model.event_type, method)
            self.appliers[model.event_type] = Applier(model, method)

    def _once(self, known: Mapping[str, object], name: str, method: Callable[..., Any]) -> None:
        if name in known:
            raise InvalidActor(self.name, f"{method.__name__}: {name} has a method already")


class Actor(Generic[S]):
    """State of type S plus handlers. One instance lives in one host at a time.

    `actor_type` is a stable kebab-case name, by default the class name. `state_type` is
    read from `Actor[S]`; it is constructed without arguments, and is anything pydantic
    can validate (a model or a dataclass). `snapshot_format` is to be raised when old
    snapshots no longer mean the same; they are then ignored and the log is folded.
    """

    __slots__ = ("at_us", "name", "state")

    actor_type: ClassVar[str]
    state_type: ClassVar[type]
    snapshot_format: ClassVar[int] = 1

    name: str  #: the device's name: the source without its actor type
    at_us: int  #: when the message in hand happened, Unix microseconds (moments.py)
    state: S

    def __init__(self, name: str) -> None:
        self.name = name
        self.at_us = 0
        self.state = self.state_type()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "actor_type" not in cls.__dict__:
            cls.actor_type = kebab_case(cls.__name__)
        checked_type_name(cls.actor_type)
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is Actor and not isinstance(get_args(base)[0], TypeVar):
                cls.state_type = get_args(base)[0]

    @classmethod
    def described(cls) -> ActorType:
        """This class's ActorType, made once. Raises InvalidActor."""
        known = cls.__dict__.get("_described")
        if known is None:
            if not hasattr(cls, "state_type"):
                raise InvalidActor(cls.actor_type, "say its state type: class X(Actor[XState])")
            known = ActorType(cls)
            cls._described = known  # type: ignore[attr-defined]
        return known

    @property
    def now(self) -> datetime:
        """When the message in hand happened (aware). Actors read no clock."""
        return moment_of(self.at_us)

    @property
    def source(self) -> str:
        """This actor's name in the log."""
        return source_of(self.actor_type, self.name)


def _marked_methods(actor: type) -> list[Callable[..., Any]]:
    """Handlers and appliers, a subclass's own instead of those it overrides."""
    found = []
    for attribute in dir(actor):
        method = inspect.getattr_static(actor, attribute)
        if hasattr(method, "__thornback__"):
            found.append(method)
    return found


def _message_model(actor: type, method: Callable[..., Any]) -> type:
    parameters = list(inspect.signature(method).parameters)
    if len(parameters) != 2:
        raise InvalidActor(actor.__name__, f"{method.__name__} takes exactly one message")
    try:
        model = get_type_hints(method).get(parameters[1])
    except NameError as error:
        raise InvalidActor(
            actor.__name__,
            f"{method.__name__}: {error}; define messages at module level, or leave out "
            "'from __future__ import annotations'",
        ) from error
    if not isinstance(model, type):
        raise InvalidActor(actor.__name__, f"{method.__name__}: annotate its message with a class")
    return model
