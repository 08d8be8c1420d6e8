"""What annotations of handlers and appliers say: the message, and the events that come of it."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from actors.errors import InvalidActor
from actors.event import BusinessEvent, DeviceEvent, Payload, SystemEvent

#: Bases of events: an annotation that names one of them says nothing of what is yielded.
_KINDS = (Payload, DeviceEvent, SystemEvent, BusinessEvent)

#: What an annotation may say without saying what is returned.
_UNSAID = (type(None), object, Any)


def taken_and_returned(actor: Any, method: Callable[..., Any]) -> tuple[type, Any]:
    """The class of the message that a method takes, and what it says that it returns. Raises
    InvalidActor for a method that takes no message, or none of one class."""
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


def _is_event(annotation: Any) -> bool:
    """Is it a class of events, or one of their bases?"""
    return (
        isinstance(annotation, type)
        and issubclass(annotation, Payload)
        and hasattr(annotation, "kind")
    )


def is_event_type(annotation: Any) -> bool:
    """Is it a class of events of its own, and none of their bases?"""
    return _is_event(annotation) and annotation not in _KINDS


def single_event(returned: Any) -> type[Payload] | None:
    """The event that is said to be returned, where events are to be yielded."""
    return next((one for one in _alternatives(returned) if _is_event(one)), None)


def yielded_events(returned: Any) -> Iterator[type[Payload]]:
    """The events that a handler yields, as far as its annotation shows them."""
    if get_origin(returned) is None:
        return
    first = get_args(returned)[:1] if get_origin(returned) is not tuple else get_args(returned)
    for annotation in first:
        for one in _alternatives(annotation):
            # What has subclasses is a base of events, which may all be applied.
            if is_event_type(one) and not one.__subclasses__():
                yield one


def mistake_in_returned(returned: Any) -> str | None:
    """What is wrong with an annotation that says a handler returns something else than events."""
    if not isinstance(returned, type) or returned in _UNSAID or are_many(returned):
        return None
    return f"returns {what_instead(returned)}"


def what_instead(kind: type) -> str:
    """What is said of a class that is returned instead of events."""
    if issubclass(kind, Payload):
        return f"{kind.__name__}: yield it instead"
    if issubclass(kind, Exception):
        return f"{kind.__name__}: raise it instead"
    return (
        f"{kind.__name__}, which nobody takes: a handler yields events, and who wants to know "
        "something asks for the state, ref.state()"
    )


def are_many(kind: type) -> bool:
    """May what is of this class be the events of a handler?"""
    return issubclass(kind, Iterable) and not issubclass(kind, str | bytes | Mapping | BaseModel)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union; of anything else itself."""
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)
