"""A Tell as the log has it: the text of its MessageSent."""

from functools import lru_cache
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from actors.actor_type import ActorType, no_event, nothing_applies
from actors.event import Kind, Payload
from actors.lifecycle import LIFECYCLE
from actors.messages import RETURNED, SENT, MessageSent
from actors.openness import message_reader
from actors.sameness import inequality
from actors.tell import Tell
from actors.timer_events import TIMER_TYPES
from store.errors import InvalidData
from store.rows.json_text import encode_json

_reader = lru_cache(256)(message_reader)

#: What JSON gives back as it is.
_PLAIN = frozenset((str, int, float, bool, type(None)))
_EASY = _PLAIN - {float}

#: Bytes of what is looked at in any case.
_LONG = 4096

_encode = msgspec.json.Encoder().encode


def stored_tell(tell: Tell) -> tuple[bytes, MessageSent]:
    """The text of a Tell of an actor, and the event that it makes. Raises InvalidData for a
    message that JSON does not give back."""
    text, data = tell_text(tell)
    return text, MessageSent.model_construct(**data)


def written_tell(tell: Tell) -> tuple[bytes, Tell]:
    """The text of a Tell of an actor that applies none: a third of the time. Raises InvalidData."""
    return tell_text(tell)[0], tell


def tell_text(tell: Tell, *, returns: bool = True) -> tuple[bytes, dict[str, Any]]:
    """The text of a Tell, and its data; `returns` where there is an actor who may have it back.
    Raises InvalidData."""
    message = tell.message
    sent = {
        "to": tell.to,
        "message_type": message.message_type,
        "message": message_data(SENT, message),
        "returns": returns,
    }
    return text_with_message(SENT, sent), sent


def check_yielded(actor: ActorType, payload: Any) -> None:
    """Is it an event that a handler of this type may yield? Raises TypeError."""
    if not isinstance(payload, Payload) or not hasattr(payload, "kind"):
        raise TypeError(no_event(payload))
    if is_message_event(payload.event_type, payload.kind):
        name = type(payload).__name__
        raise TypeError(f"a handler yields no {name}: yield Tell((Type, name), message)")
    if payload.event_type in TIMER_TYPES:
        name = type(payload).__name__
        raise TypeError(f"a handler yields no {name}: yield a Schedule, or Cancel(key)")
    if payload.event_type in LIFECYCLE:
        name = payload.event_type
        raise TypeError(f"a handler yields no {name!r}: the runtime alone says what becomes of it")
    if not actor.folds(payload.event_type):
        raise TypeError(f"a handler yields {nothing_applies(type(payload))}")


def is_message_event(event_type: str, kind: str) -> bool:
    """Do messages alone make events of this type and kind? A user's own may have that type."""
    return kind == Kind.SYSTEM and event_type in (SENT, RETURNED)


def text_with_message(event_type: str, data: dict[str, Any]) -> bytes:
    """The text of an event that has the data of a `message`. Raises InvalidData."""
    return _usual_text(data) or encode_json(event_type, data)


def _usual_text(sent: dict[str, Any]) -> bytes | None:
    """What `encode_json` makes, where the message has texts, integers and truth values alone: a
    tenth of the time. None where it has not, or where that needs a look."""
    if not _EASY.issuperset(map(type, sent["message"].values())):
        return None
    try:
        text = _encode(sent)
    except (ValueError, OverflowError):  # an integer beyond 64 bits, or no Unicode
        return None
    return None if len(text) > _LONG or b"\\u0000" in text else text


def message_data(event_type: str, message: BaseModel) -> dict[str, Any]:
    """A message's data, by the names of its fields, as JSON gives it back: for an event of a type
    that tells of it. Raises InvalidData for a message that JSON does not give back."""
    extra = message.__pydantic_extra__
    members = {**message.__dict__, **extra} if extra else message.__dict__
    if all(value.__class__ in _PLAIN for value in members.values()):
        return dict(members)
    name = type(message).__name__
    try:
        data: dict[str, Any] = to_jsonable_python(members, inf_nan_mode="constants", by_alias=False)
        read = _reader(type(message))(data)
    except ValueError as error:
        raise InvalidData(event_type, f"its {name} cannot be read back: {error}") from error
    if read != message:
        lost = inequality(message, read) or "it is another one"
        raise InvalidData(event_type, f"its {name} would be read back as another: {lost}")
    return data
