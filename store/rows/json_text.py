"""JSON text that reads back from jsonb as it was written.

Postgres keeps JSON numbers as exact decimals and has no NUL in its texts. So: integers
are kept up to the 4,300 digits that Python reads; NaN, infinities and NUL characters are
refused; and a large float is written out with ".0", because jsonb would otherwise hand
1e23 back as an integer that no float equals. An event read live then equals the same event
read from the log. What is nested more deeply than pydantic reads is refused as well: a class
could never be made of it again. And so is the data of a tombstone (tombstones.py) as that of a new
event.
"""

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from actors.event import TOMBSTONE, is_erased
from store.errors import InvalidData

#: An event's data may take this much JSON text; more belongs into an object store.
MAX_EVENT_BYTES = 1024 * 1024

# What shows that a text may hold a value to be looked at: a large float, whose exponent
# newer pydantics write as e+23 (older ones as e23: with those nearly every text is looked
# at), a NUL, NaN, Infinity. A text without their first letters has none: looking for one
# byte takes a tenth of the time of looking for several.
_EXPONENT = b"e+" if b"e+" in to_json(1e23) else b"e"
_PLUS, _BACKSLASH, _N, _I = _EXPONENT[-1], ord("\\"), ord("N"), ord("I")

#: An integer of more digits than this is written by some and read by none.
MAX_DIGITS = 4300
_FIRST_TOO_LONG = 10**MAX_DIGITS
_LAST_TOO_LONG = -_FIRST_TOO_LONG
#: What is left of an event whose data was erased, as it is written here.
_TOMBSTONE = to_json(dict(TOMBSTONE))
#: Of objects and lists in one another, pydantic reads so many and no more.
MAX_DEPTH = 200

_SCALARS = {str, int, float, bool, type(None)}
_NESTS = {dict, list, tuple}
_USUAL = _SCALARS | _NESTS
_TOO_MANY_DIGITS = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1)).search

#: The value of a JSON text, quickly. Raises DecodeError for numbers that `decode_json`
#: knows how to read.
decode_usual_json = msgspec.json.Decoder().decode
DecodeError = msgspec.DecodeError


def encode_payload(event_type: str, payload: BaseModel) -> bytes:
    """A typed payload as JSON text, 1 us. Raises InvalidData."""
    try:
        text = payload.__pydantic_serializer__.to_json(payload)
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidData(event_type, str(error)) from error
    if text == _TOMBSTONE:
        raise _erased(event_type)
    if (_PLUS in text or _BACKSLASH in text or _N in text or _I in text) and (
        _EXPONENT in text or b"\\u0000" in text or b"NaN" in text or b"Infinity" in text
    ):
        return encode_json(event_type, payload.model_dump(mode="json"))
    if len(text) > MAX_DIGITS:
        if len(text) > MAX_EVENT_BYTES:
            raise _too_large(event_type, len(text))
        if _TOO_MANY_DIGITS(text):  # perhaps those of a text, which may have any number
            return encode_json(event_type, payload.model_dump(mode="json"))
    return text


def encode_json(event_type: str, value: Any) -> bytes:
    """Any JSON value as text, every part looked at. Raises InvalidData."""
    try:
        text = (_usual_text(value) or _text(event_type, value, MAX_DEPTH)).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidData(event_type, str(error)) from error
    if len(text) > MAX_EVENT_BYTES:
        raise _too_large(event_type, len(text))
    return text


def encode_data(event_type: str, data: Mapping[str, Any]) -> bytes:
    """The data of an event as text, every part looked at. Raises InvalidData, also for what is left
    of an event that was erased: nobody would be shown it."""
    text = encode_json(event_type, data)
    if text == _TOMBSTONE:
        raise _erased(event_type)
    return text


def check_not_erased(event_type: str, data: Mapping[str, Any]) -> None:
    """Raises InvalidData for data, as it was read, that is what is left of an erased event."""
    if is_erased(data):
        raise _erased(event_type)


def decode_json(text: bytes) -> Any:
    """The value of a JSON text, numbers of any size exactly."""
    try:
        return decode_usual_json(text)
    except DecodeError:
        return json.loads(text)  # numbers that msgspec finds out of range


def _usual_text(value: Any) -> str | None:
    """The text that `_text` makes, where nothing in a value needs a look of its own: a fiftieth of
    the time, which is a host's where any program publishes. None where something may."""
    if type(value) not in _NESTS:
        return None
    nests = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for nest in nests:
            if type(nest) is dict and not set(map(type, nest)) <= {str}:
                return None
            parts = nest.values() if type(nest) is dict else nest
            kinds = set(map(type, parts))
            if not kinds <= _USUAL:
                return None
            if not kinds <= _SCALARS:
                inner += [part for part in parts if type(part) in _NESTS]
        if not (nests := inner):
            break
    else:
        return None  # nested more deeply
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:  # an integer of too many digits, or no number
        return None
    return None if "e+" in text or "\\u0000" in text else text


def _text(event_type: str, value: Any, levels: int) -> str:
    """The text of a value that may be nested so many levels deep."""
    match value:
        case None | bool() | int():
            if value is not None and not _LAST_TOO_LONG < value < _FIRST_TOO_LONG:
                raise InvalidData(event_type, f"an integer of more than {MAX_DIGITS:,} digits")
            return json.dumps(value)
        case float():
            return _number(event_type, value)
        case str():
            if "\x00" in value:
                raise InvalidData(event_type, "Postgres cannot hold NUL characters in jsonb")
            return json.dumps(value, ensure_ascii=False)
        case dict() | list() | tuple() if levels == 0:
            raise InvalidData(event_type, f"it is nested more than {MAX_DEPTH} levels deep")
        case dict():
            members = (
                f"{_key(event_type, key)}:{_text(event_type, member, levels - 1)}"
                for key, member in value.items()
            )
            return "{" + ",".join(members) + "}"
        case list() | tuple():
            return "[" + ",".join(_text(event_type, item, levels - 1) for item in value) + "]"
        case _:
            return _text(event_type, to_jsonable_python(value, inf_nan_mode="constants"), levels)


def _key(event_type: str, key: Any) -> str:
    if not isinstance(key, str):
        (key,) = json.loads(to_json({key: None}, inf_nan_mode="constants"))  # as a payload has it
    return _text(event_type, key, 1)


def _number(event_type: str, value: float) -> str:
    if not math.isfinite(value):
        raise InvalidData(event_type, f"{value} is not a JSON number")
    if abs(value) < 1e16:
        return repr(value)
    return f"{Decimal(value):f}.0"


def _erased(event_type: str) -> InvalidData:
    return InvalidData(
        event_type, "its data is that of an event which was erased, and readers would skip it"
    )


def _too_large(event_type: str, size: int) -> InvalidData:
    return InvalidData(
        event_type, f"its data takes {size:,} bytes, {MAX_EVENT_BYTES:,} are allowed"
    )
