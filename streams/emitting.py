"""The end of a pipeline: what makes outputs of items."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from actors.event import Event, Kind, Payload
from actors.naming import checked_type_name
from actors.tell import Tell
from streams.program import Fact


def emitted(what: Any) -> Callable[[list[Any]], list[Any]]:
    """What an `emit` does: see EventPipeline. Raises ValueError, or InvalidName, for what it cannot
    do."""
    if isinstance(what, str):
        event_type = checked_type_name(what)
        return lambda items: [Fact(event_type, Kind.BUSINESS, data_of(item)) for item in items]
    if isinstance(what, type) and issubclass(what, Payload):
        if not hasattr(what, "kind"):
            raise ValueError(
                f"{what.__name__} has no kind: derive it from a DeviceEvent, SystemEvent or "
                "BusinessEvent"
            )
        validate = what.model_validate
        return lambda items: [validate(data_of(item)) for item in items]
    if not callable(what):
        raise ValueError(f"it takes an event type, a class or a function, not {what!r:.80}")
    return lambda items: [each for item in items for each in _each(what(item))]


def data_of(item: Any) -> Any:
    """The data of an event, of a result, or of a payload; a dict is its own. Raises TypeError for
    what has none."""
    if isinstance(item, Mapping):
        return dict(item)
    if isinstance(item, Payload):
        return item.model_dump(mode="json")
    data = getattr(item, "data", None)
    if isinstance(data, Mapping):
        return dict(data)
    raise TypeError(f"{item!r:.80} has no data by names: let emit have a function")


def _each(found: Any) -> Iterable[Any]:
    """A function may give one output, several, or none."""
    if found is None:
        return ()
    if isinstance(found, (Payload, Fact, Event, Tell)):
        return (found,)
    if isinstance(found, Iterable) and not isinstance(found, (str, bytes, dict)):
        return found
    return (found,)  # which is no output, and is told so where it would leave
