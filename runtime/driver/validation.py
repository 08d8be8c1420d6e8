"""What callers give, checked where they give it: messages, ids and moments of commands."""

from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from actors.actor import Command
from actors.event import Payload
from actors.moments import checked_us
from runtime.errors import InvalidMessage
from runtime.wire.values import check_keys, members

_SIMPLE = (
    str, int, float, bool, bytes, type(None), UUID, Decimal, date, datetime, time, timedelta
)  # fmt: skip

#: What has a form of its own on the wire, wherever it stands.
_PLAIN = (str, int, float, bool, type(None))


class _Fields(Enum):
    """What the fields of a class of messages may hold."""

    PLAIN = "texts, numbers, truth values"
    SIMPLE = "values that are no mappings"
    ANY = "mappings, too"


_fields: dict[type[Command], _Fields] = {}


def check_message(message: Any, source: str) -> bool:
    """Raises InvalidMessage for a mapping with keys that have no form on the wire. It is
    looked for in messages only whose fields may hold mappings. Returns whether they hold
    texts, numbers and truth values alone."""
    fields = _fields.get(message.__class__)
    if fields is _Fields.PLAIN:
        return True
    if fields is None:
        fields = _fields[type(message)] = _fields_of(message, source)
    if fields is _Fields.ANY:
        try:
            check_keys(members(message))
        except (ValueError, RecursionError) as error:
            raise InvalidMessage(source, message.message_type, str(error)) from error
    return fields is _Fields.PLAIN


def _fields_of(message: Any, source: str) -> _Fields:
    kind: type[Any] = type(message)
    if not issubclass(kind, Command) or kind is Command:
        raise InvalidMessage(source, *_no_command(message))
    if kind.model_config.get("extra") == "allow":
        return _Fields.ANY
    annotations = [field.annotation for field in kind.model_fields.values()]
    if all(annotation in _PLAIN for annotation in annotations):
        return _Fields.PLAIN
    return _Fields.SIMPLE if all(map(_is_simple, annotations)) else _Fields.ANY


def _no_command(message: Any) -> tuple[str, str]:
    """What to call something that is no command, and what to do."""
    if isinstance(message, type):
        name = message.__name__
        return f"the class {name}", f"send an instance of it: {name}(...)"
    name = type(message).__name__
    if type(message) is Command:
        return "a bare Command", "derive a class of its own from Command, and send that"
    if isinstance(message, Payload):
        return f"the event {name}", "an actor yields events; send a command that it handles"
    return f"a {name}", f"send an instance of a class derived from Command, not {message!r:.80}"


def id_bytes(value: UUID | bytes, source: str, message_type: str, what: str = "id") -> bytes:
    """The 16 bytes of an id. Raises InvalidMessage."""
    if isinstance(value, UUID):
        return value.bytes
    if type(value) is bytes and len(value) == 16:
        return value
    raise InvalidMessage(
        source,
        message_type,
        f"its {what} is a UUID or 16 bytes, not {value!r:.80}: {_id_instead(value)}",
    )


def _id_instead(value: object) -> str:
    if isinstance(value, str):
        with suppress(ValueError):
            return f"uuid.UUID({str(UUID(value))!r})"
    return "uuid.uuid5 makes one of a name"


def moment_us(value: datetime | int, source: str, message_type: str) -> int:
    """The Unix microseconds of a moment. Raises InvalidMessage."""
    try:
        return checked_us(value)
    except ValueError as error:
        raise InvalidMessage(source, message_type, f"when it happened: {error}") from error


def _is_simple(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Literal:
        return True
    if origin in (Union, UnionType):
        return all(map(_is_simple, get_args(annotation)))
    return isinstance(annotation, type) and (annotation in _SIMPLE or issubclass(annotation, Enum))
