"""A handler: a class that reacts to events with events, and remembers nothing.

    class Alarms(Handler):
        event_types = ("temperature-reported",)

        def handle(self, event: Event) -> Iterator[Payload]:
            if event.data["celsius"] > 80:
                yield Overheated(celsius=event.data["celsius"])

What it yields becomes events of `NAME/SOURCE`, where SOURCE is that of the event it reacts to, and
has the moment of that event.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from actors.errors import InvalidName
from actors.event import Event, Kind, Payload
from actors.naming import checked_type_name, kebab_case
from actors.patterns import matcher, selection_problem
from actors.supervision_code import says_supervision
from actors.tell import Tell
from streams.errors import InvalidProgram
from streams.failures import OnFailure, failures_of
from streams.outputs import WHAT_LEAVES, output_of
from streams.program import Change, Fact, Output, Stretch

LEAST_PRIORITY, HIGHEST_PRIORITY = 0, 255


class Handler:
    """Derive from it, say which events it wants, and define `handle`.

    It says so by `event_types`, patterns as those of a subscription, or by `can_handle`, or both;
    `sources` says whose events, `kinds` of which kinds. The name, made of the class's name where
    none is given, is its identity: ids of its events derive from it. It is one object a process,
    made without arguments, and keeps nothing from one event to the next: a pipeline has a state,
    and an actor.
    Its own events never come to it.
    """

    name: str = ""
    event_types: Sequence[str] = ()
    sources: Sequence[str] = ()
    kinds: Sequence[Kind] = ()
    #: 0 to 255: among handlers that run together (streams/handlers.py, which says what that
    #: promises), an event comes to the one with the higher priority first. Handlers that run by
    #: themselves do not wait for one another.
    priority: int = 100
    #: What becomes of an event at which it fails (streams/failures.py); None: what the system says.
    on_failure: OnFailure | None = None
    tries: int | None = None
    backoff: timedelta | None = None

    disorder_us: int = 0
    keeps_state: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = kebab_case(cls.__name__)
        for patterns in ("event_types", "sources"):
            if isinstance(said := getattr(cls, patterns), str):
                setattr(cls, patterns, (said,))

    def can_handle(self, event_type: str) -> bool:
        """Does it want events of this type? By default those of `event_types`."""
        return matcher(self.event_types)(event_type)

    def handle(self, event: Event) -> Iterable[Payload | Fact | Event | Tell] | None:
        """React to an event: yield payloads and Tells, or return them, or nothing."""
        raise NotImplementedError

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """See Program: the key of an event is its source."""
        if not self.can_handle(event.event_type) or event.source.startswith(f"{self.name}/"):
            return ()  # its own events among these: it would never come to an end
        return ((event.source, None),)

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """See Program: what `handle` yields has the moment of the event."""
        yielded: object = self.handle(event)
        if yielded is None:
            return Change()
        if (
            isinstance(yielded, (str, bytes, dict))
            or not isinstance(yielded, Iterable)
            or (isinstance(yielded, (Payload, Event, Tell)))
        ):
            problem = f"handle returns {yielded!r:.120}; it yields {WHAT_LEAVES}, or a list of such"
            raise InvalidProgram(self.name, problem)
        at_us = event.timestamp_us
        outputs: list[Output] = [output_of(self.name, each, at_us) for each in yielded]
        return Change(outputs=outputs)

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        """See Program: it waits for nothing."""
        return Change()

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        """See Program: it asks for nothing again."""
        return Change()


def described(handler: type[Handler] | Handler) -> Handler:
    """A handler that can be run, of a class or of an object of one. Raises InvalidProgram, which
    says what is wrong with the class."""
    cls = handler if isinstance(handler, type) else type(handler)
    for check in (_check_name, _check_selection, _check_priority, _check_failures, _check_methods):
        problem = check(cls)
        if problem is not None:
            raise InvalidProgram(cls.name or cls.__name__, problem)
    return _made(cls) if isinstance(handler, type) else handler


def _check_name(cls: type[Handler]) -> str | None:
    try:
        checked_type_name(cls.name)
    except (InvalidName, TypeError) as error:
        return f"its name cannot be one: {error}"
    return None


def _check_selection(cls: type[Handler]) -> str | None:
    if (problem := selection_problem(cls)) is not None:
        return problem
    if not cls.event_types and not cls.kinds and cls.can_handle is Handler.can_handle:
        return (
            "says of no event that it wants it: give it event_types, "
            '("*",) for all, or define can_handle(self, event_type)'
        )
    return None


def _check_priority(cls: type[Handler]) -> str | None:
    said: object = cls.priority
    if type(said) is int and LEAST_PRIORITY <= said <= HIGHEST_PRIORITY:
        return None
    return f"its priority is a number from {LEAST_PRIORITY} to {HIGHEST_PRIORITY}, not {said!r:.40}"


def _check_failures(cls: type[Handler]) -> str | None:
    if (name := says_supervision(cls)) is not None:
        return f"{name} never applies: supervision is of actors, a handler says on_failure, tries"
    return failures_of(cls).problem()


def _check_methods(cls: type[Handler]) -> str | None:
    if cls.handle is Handler.handle:
        return "does nothing: define handle(self, event), which yields payloads"
    return _misfit(cls.handle, "handle", "event") or _misfit(
        cls.can_handle, "can_handle", "event_type"
    )


def _misfit(method: Callable[..., Any], name: str, argument: str) -> str | None:
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        return f"{name} is async; a handler waits for nothing, so it is a plain function"
    try:
        inspect.signature(method).bind(None, None)
    except TypeError:
        return f"{name} takes one argument: def {name}(self, {argument})"
    return None


def _made(cls: type[Handler]) -> Handler:
    try:
        return cls()
    except TypeError as error:
        problem = f"it is made without arguments, and its __init__ does not allow that: {error}"
        raise InvalidProgram(cls.name, problem) from error
