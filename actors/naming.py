"""Names: sources, stable kebab-case type names, and the ids derived from them.

A source is `"<actor type>/<name>"` and is the aggregate's name in the log. Its aggregate
id is the source itself when that is a UUID, otherwise UUIDv5 of it.
"""

import re
from hashlib import sha1
from uuid import UUID, uuid5

from actors.errors import InvalidName

#: Namespace of aggregate ids: UUIDv5 of the DNS namespace and "thornback".
AGGREGATES = UUID("d674e6d3-c22b-53b0-bf6e-a8e5c7e8f068")

_NAMESPACE = AGGREGATES.bytes

MAX_SOURCE_BYTES = 1024

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: Control characters, and what ends a line or a paragraph; NUL is told elsewhere.
_CONTROL = re.compile("[\x01-\x1f\x7f-\x9f\u2028\u2029]").search
_TYPE_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-.][a-z0-9]+)*")


#: What returned messages are events of, and what their delivery's place in the log is called.
OURS = "messages"
#: What the place in the log of whoever fires timers is called.
TIMERS = "thornback.timers"


def kebab_case(class_name: str) -> str:
    """`TemperatureReported` -> `temperature-reported`."""
    return _WORD_START.sub("-", class_name.lstrip("_")).replace("_", "-").lower()


def checked_type_name(name: str) -> str:
    """Return `name`; raises InvalidName unless it is kebab-case (dots allowed)."""
    if not _TYPE_NAME.fullmatch(name):
        raise InvalidName(name, "a type name is kebab-case, like temperature-reported")
    return name


def check_not_ours(name: str) -> None:
    """Raises InvalidName for the names under which messages between actors are delivered, and
    timers fire."""
    if name == TIMERS:
        raise InvalidName(name, "timers fire under this name: take another one")
    if name == OURS:
        problem = "messages between actors are delivered under this name: take another one"
        raise InvalidName(name, problem)


def checked_source(source: str) -> str:
    """Return `source`; raises InvalidName for what no log or key can hold."""
    return _checked_text(source, "a source")


def checked_new_source(source: str) -> str:
    """Return the source of an event that is to be stored; raises InvalidName for what no log can
    hold, and for a UUID in another spelling than its own. All spellings are one aggregate, which
    has one source; a log may have events under others, and they can be read."""
    _check_one_line(checked_source(source))
    if "/" in source:
        return source  # no UUID is written with a slash
    try:
        canonical = str(UUID(source))
    except ValueError:
        return source
    if source != canonical:
        raise InvalidName(source, f"this UUID is written {canonical}")
    return source


def checked_event_type(name: str) -> str:
    """Return the event type of an event from outside, which need not be kebab-case; raises
    InvalidName for what no log can hold."""
    return _checked_text(name, "an event type")


def _checked_text(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise InvalidName(repr(text)[:40], f"{what} is a text")
    if not text or text.isspace():
        raise InvalidName(text, f"{what} is not empty")
    if "\x00" in text:
        raise InvalidName(text, "Postgres cannot hold NUL characters")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidName(text, f"{what} is valid Unicode") from error
    if size > MAX_SOURCE_BYTES:
        raise InvalidName(text[:40] + "...", f"{what} has at most {MAX_SOURCE_BYTES} bytes")
    return text


def source_of(actor_type: str, name: str) -> str:
    """The source of the actor `name` of a type; raises InvalidName."""
    if isinstance(name, type):
        problem = f"the class comes first, and then the name of the device: {name.__name__}, 'name'"
        raise InvalidName(f"the class {name.__name__}", problem)
    if not isinstance(name, str) and name is not None:
        raise InvalidName(f"{name!r:.80}", f"the name of a device is a text: str({name!r:.80})")
    if not name:
        raise InvalidName(f"{actor_type}/", "the name of a device is not empty")
    _check_one_line(name)
    return checked_source(f"{actor_type}/{name}")


def _check_one_line(name: str) -> None:
    """A name stands in lines of logs, on terminals and in URLs. Raises InvalidName for one that
    would end a line there, or be an order to a terminal."""
    if found := _CONTROL(name):
        raise InvalidName(
            name, f"it has {found.group()!r}: a name is one line of characters that can be seen"
        )


def actor_type_of(source: str) -> str:
    """The actor type a source belongs to: what stands before its first slash."""
    return source.partition("/")[0]


def aggregate_id_of(source: str) -> UUID:
    """The source itself when it is a UUID, otherwise UUIDv5 of it."""
    try:
        return UUID(source)
    except ValueError:
        return uuid5(AGGREGATES, source)


def aggregate_key_of(source: str) -> bytes:
    """The 16 bytes of `aggregate_id_of`; a quarter of its time, which is what a host pays
    for every actor that it meets."""
    if "/" not in source:  # it may be a UUID: none is written with a slash
        return aggregate_id_of(source).bytes
    digest = bytearray(sha1(_NAMESPACE + source.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # version 5
    digest[8] = digest[8] & 0x3F | 0x80  # of RFC 9562
    return bytes(digest)
