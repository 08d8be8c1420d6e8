"""What an actor class says of itself: handlers, appliers, state; and what is wrong with it.

Whatever cannot work is refused when the class is described, before any command: an event that
a handler yields and nothing applies would leave a wrong state without a word, and a state that
has no JSON would work until its first snapshot.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, JsonSchemaWarningKind

from actors.command import Command
from actors.errors import InvalidActor
from actors.event import BusinessEvent, DeviceEvent, Payload, SystemEvent

Method = Callable[..., Any]

#: Bases of events: an annotation that names one of them says nothing of what is yielded.
_KINDS = (Payload, DeviceEvent, SystemEvent, BusinessEvent)


@dataclass(frozen=True, slots=True)
class Handler:
    """How one message type is decided: its model and the method that takes it."""

    message: type[Command]
    decide: Callable[[Any, Any], Iterable[Payload] | None]
    #: The events that its annotation says it yields; empty where that does not show.
    yields: tuple[type[Payload], ...] = ()


@dataclass(frozen=True, slots=True)
class Applier:
    """How one event type is folded: its model and the method that takes it."""

    payload: type[Payload]
    apply: Callable[[Any, Any], None]


class ActorType:
    """What an actor class says of itself, read once.

    Resolved at first use, not at class creation, so that annotations may name classes
    defined further down. Raises InvalidActor for what is not well formed.
    """

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.name: str = actor.actor_type
        self.handlers: dict[str, Handler] = {}
        self.appliers: dict[str, Applier] = {}
        #: Event types that its state does not depend on, and says so.
        self.ignores = _ignored(actor)
        #: Encodes and decodes the state for snapshots and `state()`.
        self.state_adapter = _state_adapter(actor)
        for method in _marked_methods(actor):
            self._add(method)
        self._check_ignored()
        self._check_replaces()
        self._check_yielded()
        self._check_state()

    def folds(self, event_type: str) -> bool:
        """Does it know what an event of that type means for its state?"""
        return event_type in self.appliers or event_type in self.ignores

    def unfolded(self, event_types: Iterable[str]) -> list[str]:
        """Those of the event types that would be ignored although nobody says so."""
        return sorted(name for name in event_types if not self.folds(name))

    def state_text(self, state: Any) -> str:
        """A state as a snapshot has it. Raises what its serializer does."""
        # json.dumps, not dump_json: an infinity in a state is legal and must come back.
        return json.dumps(self.state_adapter.dump_python(state, mode="json"))

    def _add(self, method: Method) -> None:
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            problem = "is async: an actor decides without waiting; make it a plain `def`"
            raise InvalidActor(self.name, f"{method.__name__} {problem}")
        model, returned = _annotations(self.actor, method)
        if method.__thornback__ == "handles":  # type: ignore[attr-defined]
            self._add_handler(method, model, returned)
        else:
            self._add_applier(method, model)

    def _add_handler(self, method: Method, model: type, returned: Any) -> None:
        if not issubclass(model, Command):
            raise InvalidActor(self.name, f"{method.__name__} handles {model}, not a Command")
        if single := [one for one in _members(returned) if _is_event(one)]:
            name = single[0].__name__
            problem = f"returns {name}: yield it, and annotate `-> Iterator[{name}]`"
            raise InvalidActor(self.name, f"{method.__name__} {problem}")
        self._once(self.handlers, model.message_type, method)
        decide = method if inspect.isgeneratorfunction(method) else _several(method)
        handler = Handler(model, decide, tuple(_yielded(returned)))
        self.handlers[model.message_type] = handler

    def _add_applier(self, method: Method, model: Any) -> None:
        if not _is_event(model) or model in _KINDS:
            raise InvalidActor(
                self.name,
                f"{method.__name__} applies {model}, not a DeviceEvent, SystemEvent "
                "or BusinessEvent",
            )
        if inspect.isgeneratorfunction(method):
            problem = "yields, so it would never run: an applier changes the state"
            raise InvalidActor(self.name, f"{method.__name__} {problem}")
        self._once(self.appliers, model.event_type, method)
        self.appliers[model.event_type] = Applier(model, method)

    def _once(self, known: Mapping[str, object], name: str, method: Method) -> None:
        if name in known:
            raise InvalidActor(self.name, f"{method.__name__}: {name} has a method already")

    def _check_ignored(self) -> None:
        if both := sorted(self.ignores & self.appliers.keys()):
            raise InvalidActor(self.name, f"it applies {both[0]!r}, and ignores it: do one of both")

    def _check_replaces(self) -> None:
        replaces = self.actor.replaces
        if not isinstance(replaces, tuple | list) or not all(
            isinstance(each, str) for each in replaces
        ):
            problem = f"replaces is a tuple of full class names, not {replaces!r:.80}"
            raise InvalidActor(self.name, problem)

    def _check_yielded(self) -> None:
        for handler in self.handlers.values():
            for payload in handler.yields:
                if not self.folds(payload.event_type):
                    method = handler.decide.__name__
                    raise InvalidActor(self.name, f"{method} yields {nothing_applies(payload)}")

    def _check_state(self) -> None:
        try:
            state = self.actor.state_type()
        except Exception as error:
            problem = f"its state is made without arguments, give every field a default: {error}"
            raise InvalidActor(self.name, " ".join(problem.split())) from error
        try:
            self.state_text(state)
        except Exception as error:
            problem = f"its state cannot be written as JSON, even as it begins: {error}"
            raise InvalidActor(self.name, " ".join(problem.split())) from error


def deciding_names(actor: Any) -> tuple[str, ...]:
    """The class's own name, and those of the classes whose place it may take."""
    return (actor.class_name(), *actor.replaces)


def decided_by_another(actor: Any, deciding: str) -> str:
    """What is said of a second class of one actor type."""
    return (
        f"{deciding} decides this actor type, not {actor.class_name()}: give one of them another "
        f"actor_type, or, if that class was moved or renamed to this one, say "
        f"replaces = ({deciding!r},)"
    )


def nothing_applies(payload: type[Payload] | str) -> str:
    """What is wrong with an event that would be ignored, and what to do."""
    name = repr(payload) if isinstance(payload, str) else payload.__name__
    return (
        f"{name}, which nothing applies: give it a method marked @applies, or, if the state "
        f"does not depend on it, say ignores = ({name},)"
    )


def _several(method: Method) -> Method:
    """A handler that is no generator returns its events, or nothing. One event that is
    returned instead of yielded would be gone through field by field, or be taken for none."""

    def decide(actor: Any, message: Any) -> Any:
        events = method(actor, message)
        if isinstance(events, Payload):
            name = type(events).__name__
            raise TypeError(f"{method.__name__} returns {name}: yield it instead")
        return events

    decide.__name__ = method.__name__
    return decide


def _ignored(actor: Any) -> frozenset[str]:
    ignores = actor.ignores
    names: list[str | None] = [None]
    if isinstance(ignores, tuple | list | set | frozenset):
        names = [
            each if isinstance(each, str) else getattr(each, "event_type", None) for each in ignores
        ]
    if None in names:
        problem = f"ignores is a tuple of events, or of their types as texts, not {ignores!r:.80}"
        raise InvalidActor(actor.actor_type, problem)
    return frozenset(name for name in names if name is not None)


class _StateSchema(GenerateJsonSchema):
    """Finds out whether a state's type has a form in JSON; nobody looks at the schema."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """A default that has no JSON is none of our business: states of that type may."""

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        found = super().ser_schema(schema)
        if found is None and schema["type"].startswith("function-"):
            return {}  # a serializer that does not say what it makes
        return found


def _state_adapter(actor: Any) -> TypeAdapter[Any]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(actor.state_type)
        adapter.json_schema(mode="serialization", schema_generator=_StateSchema)
    except (PydanticUserError, NameError) as error:
        problem = f"its state cannot be written as JSON: {str(error).splitlines()[0]}"
        raise InvalidActor(actor.actor_type, problem) from error
    return adapter


def _marked_methods(actor: type) -> list[Method]:
    """Handlers and appliers, a subclass's own instead of those it overrides."""
    found = []
    for attribute in dir(actor):
        method = inspect.getattr_static(actor, attribute)
        if hasattr(method, "__thornback__"):
            found.append(method)
    return found


def _annotations(actor: Any, method: Method) -> tuple[type, Any]:
    """The class of the message that a method takes, and what it says that it returns."""
    parameters = list(inspect.signature(method).parameters)
    if len(parameters) != 2:
        raise InvalidActor(actor.__name__, f"{method.__name__} takes exactly one message")
    try:
        hints = get_type_hints(method)
    except NameError as error:
        raise InvalidActor(
            actor.__name__,
            f"{method.__name__}: {error}; define messages at module level, or leave out "
            "'from __future__ import annotations'",
        ) from error
    model = hints.get(parameters[1])
    if get_origin(model) in (Union, UnionType):
        problem = f"takes {model}: write a method for each, annotate its message with a class"
        raise InvalidActor(actor.__name__, f"{method.__name__} {problem}")
    if not isinstance(model, type):
        raise InvalidActor(actor.__name__, f"{method.__name__}: annotate its message with a class")
    return model, hints.get("return")


def _yielded(returned: Any) -> Iterator[type[Payload]]:
    """The events that a handler yields, as far as its annotation shows them."""
    if get_origin(returned) is None:
        return
    first = get_args(returned)[:1] if get_origin(returned) is not tuple else get_args(returned)
    for annotation in first:
        for one in _members(annotation):
            # What has subclasses is a base of events, which may all be applied.
            if _is_event(one) and one not in _KINDS and not one.__subclasses__():
                yield one


def _members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union; of anything else itself."""
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def _is_event(annotation: Any) -> bool:
    return (
        isinstance(annotation, type)
        and issubclass(annotation, Payload)
        and hasattr(annotation, "kind")
    )
