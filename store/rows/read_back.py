"""Events as the log gives them back: what is applied is what a later fold will apply.

An event that is applied as it was yielded, and stored as text, gives a state that the log does
not: a NaN in a nested model is stored as null, a part of type Any may be changed after it was
written, a subclass in a field of its base loses what it has beside. So an event of an open
class (actors/openness.py) is applied as it is read back from its own text, and refused where
that is another event or none.
"""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from actors.errors import UnreadableEvent
from actors.event import Payload
from actors.openness import is_closed
from actors.sameness import inequality
from actors.schema import EventSchema, version_of
from store.errors import InvalidData
from store.rows.json_text import encode_payload

Stored = Callable[[Payload], tuple[bytes, Any]]


def open_events(yielded: type[Payload], applied: type[Payload]) -> Stored | None:
    """What makes of an event its text and the event that this gives back, for events of the class
    `yielded` that are folded as those of the class `applied`; it raises InvalidData. None for a
    closed class, whose events are read back as they are: 3 to 7 us an event otherwise."""
    if yielded is applied and is_closed(yielded):
        return None
    name, schema = yielded.event_type, EventSchema(applied)
    version = version_of(yielded)

    def stored(event: Payload) -> tuple[bytes, Any]:
        text = encode_payload(name, event)
        try:
            found = schema.read_stored(text, version)
        except (ValidationError, UnreadableEvent) as error:
            raise InvalidData(name, f"it cannot be read back: {error}") from error
        if yielded is applied and found != event:
            lost = inequality(event, found)
            if lost is not None:
                raise InvalidData(name, f"it would be read back as another event: {lost}")
        return text, found

    return stored


def stored(event: Payload, applied: type[Payload]) -> tuple[bytes, Any]:
    """The text of one event, and what that gives back. Raises InvalidData."""
    found = open_events(type(event), applied)
    return found(event) if found else (encode_payload(event.event_type, event), event)
