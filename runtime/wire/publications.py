"""A published event as it travels: the data of a command to the host of its source."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.errors import InvalidName
from actors.naming import MAX_SOURCE_BYTES, checked_event_type
from actors.schema import SCHEMA, UNKNOWN, schema_of
from runtime.errors import PublishRefused
from runtime.wire.commands import Counts
from store.errors import InvalidData
from store.rows.json_text import MAX_EVENT_BYTES, check_not_erased, decode_json, encode_json

#: What shows that a text, which may be anybody's, may hold what PostgreSQL would not give back
#: as it is read here: an exponent, which it writes out, more digits than a float has, which are
#: read as an infinity, a character that it does not hold, what is no number; or what is nested
#: more deeply than readers can follow. Drivers send nothing of the kind, but for the exponents
#: of small numbers.
_UNUSUAL = re.compile(rb"[0-9][eE]|[0-9]{300}|\\u|NaN|Infinity").search
_NESTED = 100

Text = Annotated[str, Meta(min_length=1, max_length=MAX_SOURCE_BYTES)]


class Publication(msgspec.Struct, frozen=True):
    """What of an event is not a field of its command."""

    event_type: Text
    kind: Literal["device", "system", "business"]
    data: Annotated[bytes, Meta(max_length=MAX_EVENT_BYTES)]  #: JSON text
    metadata: dict[str, str]
    clock: Counts


def read_publication(source: str, data: object) -> Publication:
    """The publication that a command's data is, whoever sent it. Raises PublishRefused for
    data that is none, InvalidData for what the log cannot hold."""
    try:
        found = msgspec.convert(data, Publication)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise PublishRefused(source, str(error)) from error
    try:
        checked_event_type(found.event_type)
    except InvalidName as error:
        raise InvalidData("a published event", str(error)) from error
    if schema_of(found.metadata) == UNKNOWN:
        problem = f"{found.metadata[SCHEMA]!r:.40} is no schema version: 1, 2 and so on are"
        raise InvalidData(found.event_type, problem)
    if "\0" in "".join(found.clock):
        raise InvalidData("a published event", "Postgres cannot hold NUL characters")
    try:
        value = decode_json(found.data)
    except (ValueError, RecursionError) as error:
        raise InvalidData(found.event_type, f"its data is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidData(found.event_type, "its data is not a JSON object")
    check_not_erased(found.event_type, value)
    if _UNUSUAL(found.data) or found.data.count(b"[") + found.data.count(b"{") > _NESTED:
        # Every part is looked at, and written as the log will give it back.
        return msgspec.structs.replace(found, data=encode_json(found.event_type, value))
    return found
