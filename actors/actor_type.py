"""What an actor class says of itself: handlers, appliers, state; and what is wrong with it.

Whatever cannot work is refused when the class is described, before any command: an event that
a handler yields and nothing applies would leave a wrong state without a word, and a state that
has no JSON would work until its first snapshot.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from actors.annotations import (
    are_many,
    is_event_type,
    mistake_in_returned,
    single_event,
    taken_and_returned,
    what_instead,
    yielded_events,
)
from actors.applier_code import mistake_in_applier, no_field_in
from actors.class_code import hidden_method
from actors.columns import mistake_in_indexes
from actors.command import Command
from actors.errors import InvalidActor
from actors.event import Event, Payload
from actors.handler_code import mistake_in
from actors.hook_code import mistake_in_hooks
from actors.lifecycle import LIFECYCLE, another_s, taken
from actors.listening import HEARD, EventHeard, Listening, heard_event
from actors.messages import SENT
from actors.openness import message_reader
from actors.schema import EventSchema
from actors.snapshot_mark import SnapshotMark
from actors.state_form import StateForm, check_comes_back
from actors.state_type import check_state, state_adapter
from actors.supervision_code import mistake_in_supervision
from actors.timer_events import TIMER_TYPES, forged, reserved

Method = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Handler:
    """How one message type is decided: its model and the method that takes it."""

    message: type[Command]
    message_type: str
    decide: Callable[[Any, Any], Iterable[Payload] | None]
    #: The events that its annotation says it yields; empty where that does not show.
    yields: tuple[type[Payload], ...] = ()
    #: Makes a message of its data, with which it shares nothing that can be changed.
    read: Callable[[Any], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", message_reader(self.message))


@dataclass(frozen=True, slots=True)
class Listener(Handler):
    """How the events that a method listens to are decided: as commands of a type of its own."""

    listening: Listening = field(kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", heard_event)


@dataclass(frozen=True, slots=True)
class Applier:
    """How one event type is folded: its model and the method that takes it."""

    payload: type[Payload]
    apply: Callable[[Any, Any], None]
    #: Makes an event of the text that the log has, of any schema.
    schema: EventSchema = field(init=False, repr=False, compare=False)
    #: The same of text of the class's own schema, whose version is this.
    read: Callable[[bytes], Any] = field(init=False, repr=False, compare=False)
    version: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        schema = EventSchema(self.payload)
        object.__setattr__(self, "schema", schema)
        object.__setattr__(self, "read", schema.read)
        object.__setattr__(self, "version", schema.version)


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
        self.states = StateForm(state_adapter(actor.state_type, self.name), actor.state_type)
        if mistake := hidden_method(actor) or mistake_in_hooks(actor):
            raise InvalidActor(self.name, mistake)
        if mistake := mistake_in_supervision(actor):
            raise InvalidActor(self.name, mistake)
        for method in _marked_methods(actor):
            self._add(method)
        _check_made(actor)
        self._check_ignored()
        # No state has to depend on messages, on timers, or on what becomes of its actor.
        self.ignores |= {SENT, *TIMER_TYPES, *LIFECYCLE} - self.appliers.keys()
        self._check_replaces()
        self._check_yielded()
        check_state(actor.state_type, self.states.text, self.name)
        check_comes_back(self.states, actor.state_type, self.name)
        self._check_fields()
        #: Fields of its state by which its actors can be found.
        self.indexes = _indexes(actor)

    @property
    def listeners(self) -> list[Listener]:
        """The methods that take events of others."""
        return [each for each in self.handlers.values() if isinstance(each, Listener)]

    @property
    def commands(self) -> list[str]:
        """The types of the messages that anybody may send it."""
        return sorted(name for name in self.handlers if not name.startswith(HEARD))

    def folds(self, event_type: str) -> bool:
        """Does it know what an event of that type means for its state?"""
        return event_type in self.appliers or event_type in self.ignores

    def unfolded(self, event_types: Iterable[str]) -> list[str]:
        """Those of the event types that would be ignored although nobody says so."""
        return sorted(name for name in event_types if not self.folds(name))

    def outgrown(self, schemas: Mapping[str, int]) -> list[tuple[str, int, int]]:
        """Of these event types, those that are of a newer schema than it can read: each with that,
        and with the last one that it can."""
        known = ((name, schema, self.appliers.get(name)) for name, schema in schemas.items())
        return sorted(
            (name, schema, applier.version)
            for name, schema, applier in known
            if applier is not None and schema > applier.version
        )

    @cached_property
    def event_classes(self) -> dict[str, type[Payload]]:
        """The classes of its own events, by event type: of those that it yields as its handlers
        say, and else of those that it applies."""
        found = {name: each.payload for name, each in self.appliers.items()}
        for handler in self.handlers.values():
            found |= {
                each.event_type: each for each in handler.yields if hasattr(each, "event_type")
            }
        ours = {*TIMER_TYPES, *LIFECYCLE}
        return {name: each for name, each in found.items() if name not in ours}

    @cached_property
    def snapshots(self) -> SnapshotMark:
        """What its snapshots say of the schemas that they were made with."""
        reads = {name: applier.version for name, applier in self.appliers.items()}
        return SnapshotMark(self.actor.snapshot_format, self.states.digest(), reads)

    @cached_property
    def own_appliers(self) -> dict[bytes, Applier]:
        """Its appliers, by the event type as the log has it, but for events that mean something for
        every actor. Whoever folds many events looks here first."""
        for_all = {*TIMER_TYPES, *LIFECYCLE}
        return {name.encode(): each for name, each in self.appliers.items() if name not in for_all}

    def _add(self, method: Method) -> None:
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            problem = "is async: an actor decides without waiting; make it a plain `def`"
            raise InvalidActor(self.name, f"{method.__name__} {problem}")
        model, returned = taken_and_returned(self.actor, method)
        if method.__thornback__ == "listens":  # type: ignore[attr-defined]
            self._add_listener(method, model, returned)
        elif method.__thornback__ == "handles":  # type: ignore[attr-defined]
            self._add_handler(method, model, returned)
        else:
            self._add_applier(method, model)

    def _add_listener(self, method: Method, model: type, returned: Any) -> None:
        if model is not Event:
            problem = f"listens, and so takes an Event, not {model}"
            raise InvalidActor(self.name, f"{method.__name__} {problem}")
        decide = self._decide(method, returned)
        message_type = f"{HEARD}{method.__name__}"
        self.handlers[message_type] = Listener(
            EventHeard,
            message_type,
            decide,
            tuple(yielded_events(returned)),
            listening=method.__listening__,  # type: ignore[attr-defined]
        )

    def _add_handler(self, method: Method, model: type, returned: Any) -> None:
        if not issubclass(model, Command):
            raise InvalidActor(self.name, f"{method.__name__} handles {model}, not a Command")
        self._once(self.handlers, model.message_type, method)
        decide = self._decide(method, returned)
        handler = Handler(model, model.message_type, decide, tuple(yielded_events(returned)))
        self.handlers[model.message_type] = handler

    def _decide(self, method: Method, returned: Any) -> Method:
        """What runs it. Raises InvalidActor where it cannot work."""
        if (single := single_event(returned)) is not None:
            name = single.__name__
            problem = f"returns {name}: yield it, and annotate `-> Iterator[{name}]`"
            raise InvalidActor(self.name, f"{method.__name__} {problem}")
        if mistake := mistake_in_returned(returned) or mistake_in(self.actor, method, returned):
            raise InvalidActor(self.name, f"{method.__name__} {mistake}")
        return method if inspect.isgeneratorfunction(method) else _several(method)

    def _add_applier(self, method: Method, model: Any) -> None:
        if not is_event_type(model):
            raise InvalidActor(
                self.name,
                f"{method.__name__} applies {model}, not a DeviceEvent, SystemEvent "
                "or BusinessEvent",
            )
        if inspect.isgeneratorfunction(method):
            problem = "yields, so it would never run: an applier changes the state"
            raise InvalidActor(self.name, f"{method.__name__} {problem}")
        if mistake := mistake_in_applier(self.actor, method):
            raise InvalidActor(self.name, f"{method.__name__} {mistake}")
        if another_s(model):
            raise InvalidActor(self.name, f"{method.__name__} applies {taken(model)}")
        if forged(model):
            raise InvalidActor(self.name, f"{method.__name__} applies {reserved(model.event_type)}")
        self._once(self.appliers, model.event_type, method)
        self.appliers[model.event_type] = Applier(model, method)

    def _once(self, known: Mapping[str, Handler | Applier], name: str, method: Method) -> None:
        if name in known:
            there = known[name]
            before = there.decide if isinstance(there, Handler) else there.apply
            said = f"{method.__name__}: {name} has a method already, {before.__name__}"
            raise InvalidActor(self.name, f"{said}: each takes a message of its own")

    def _check_ignored(self) -> None:
        for each in self.actor.ignores:
            if another_s(each):
                raise InvalidActor(self.name, f"it ignores {taken(each)}")
        if both := sorted(self.ignores & self.appliers.keys()):
            raise InvalidActor(self.name, f"it applies {both[0]!r}, and ignores it: do one of both")

    def _check_replaces(self) -> None:
        replaces = self.actor.replaces
        if not isinstance(replaces, tuple | list) or not all(
            isinstance(each, str) for each in replaces
        ):
            problem = f"replaces is a tuple of full class names, not {replaces!r:.80}"
            raise InvalidActor(self.name, problem)

    def _check_fields(self) -> None:
        for applier in self.appliers.values():
            if mistake := no_field_in(self.actor, applier.apply):
                raise InvalidActor(self.name, f"{applier.apply.__name__} {mistake}")

    def _check_yielded(self) -> None:
        for handler in self.handlers.values():
            for payload in handler.yields:
                if another_s(payload):
                    method = handler.decide.__name__
                    raise InvalidActor(self.name, f"{method} yields {taken(payload)}")
                if forged(payload):
                    said = f"{handler.decide.__name__} yields {reserved(payload.event_type)}"
                    raise InvalidActor(self.name, said)
                if not self.folds(payload.event_type):
                    method = handler.decide.__name__
                    raise InvalidActor(self.name, f"{method} yields {nothing_applies(payload)}")


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
        if events is not None and not are_many(type(events)):
            raise TypeError(f"{method.__name__} returns {what_instead(type(events))}")
        return events

    decide.__name__ = method.__name__
    return decide


def no_event(yielded: Any) -> str:
    """What is said of something that a handler yields and that is no event."""
    said = f"a handler yields events, Tells and timers, not {yielded!r:.200}"
    if isinstance(yielded, Command):
        return f"{said}: send it to an actor, Tell((Type, name), {type(yielded).__name__}(...))"
    if isinstance(yielded, type) and issubclass(yielded, Payload):
        return f"{said}: make one, {yielded.__name__}(...)"
    if isinstance(yielded, Exception):
        return f"{said}: raise it"
    if isinstance(yielded, list | tuple | Iterator):
        return f"{said}: say yield from"
    if isinstance(yielded, Payload):
        name = type(yielded).__name__
        return f"{said}: derive {name} from DeviceEvent, SystemEvent or BusinessEvent"
    return said


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
    for each in ignores:
        if forged(each):
            raise InvalidActor(actor.actor_type, f"it ignores {reserved(each.event_type)}")
    return frozenset(name for name in names if name is not None)


def _indexes(actor: Any) -> tuple[str, ...]:
    said = actor.indexes
    names = (said,) if isinstance(said, str) else said
    if not isinstance(names, tuple | list) or not all(isinstance(each, str) for each in names):
        problem = f"indexes is a tuple of names of fields of its state, not {said!r:.80}"
        raise InvalidActor(actor.actor_type, problem)
    if mistake := mistake_in_indexes(actor.state_type, names):
        raise InvalidActor(actor.actor_type, mistake)
    return tuple(names)


def _check_made(actor: Any) -> None:
    """Can a host make one, with its name?"""
    try:
        inspect.signature(actor).bind("name")
    except TypeError as error:
        problem = (
            f"a host makes it with its name, and its __init__ does not fit ({error}): write "
            "__init__(self, name), and call super().__init__(name)"
        )
        raise InvalidActor(actor.actor_type, problem) from error
    except ValueError:
        return  # it does not say what it takes


def _marked_methods(actor: type) -> list[Method]:
    """Handlers and appliers, a subclass's own instead of those it overrides."""
    found = []
    for attribute in dir(actor):
        method = inspect.getattr_static(actor, attribute)
        if hasattr(getattr(method, "__func__", None), "__thornback__"):
            problem = f"is a {type(method).__name__}: make it a plain method, with self"
            raise InvalidActor(actor.__name__, f"{attribute} {problem}")
        if hasattr(method, "__thornback__"):
            found.append(method)
    return found
