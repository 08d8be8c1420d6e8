"""How errors travel: as a name and plain arguments, never pickled.

Whatever is raised can be encoded, and whatever was encoded can be decoded: a value that has
no form on the wire travels as its text. The errors of this project arrive as they were. A
rejection arrives as the class that was raised where the caller knows that class, and
otherwise as a Rejected that has its name, its reason and its facts. Anything else arrives
as a HostFailed that says what it was.
"""

import reprlib
from collections.abc import Iterator
from itertools import islice
from types import ModuleType
from typing import Any

from pydantic_core import to_jsonable_python

import actors.errors
import runtime.errors
import store.errors
from actors.errors import Rejected, ThornbackError, name_and_facts, restored
from runtime.errors import HostFailed
from runtime.wire.values import encode

EncodedError = tuple[str, list[Any]]

#: An error that takes more than this on the wire loses its facts, and the end of its texts.
MAX_BYTES = 64 * 1024

#: What looking at an error may raise: anything, because its text and its facts are code of a
#: user's, like the handler that raised it. Nothing is awaited here, so no cancellation is among it.
ANY = (BaseException,)

_MAX_TEXT = 8 * 1024
_MAX_DEPTH = 8
_MAX_ITEMS = 1_000
#: Parts that are looked at in all: more than that do not fit into MAX_BYTES anyway, and facts that
#: name one part often can have more of them than anybody could go through.
_MAX_PARTS = 20_000
_LEFT_OUT = "..."

_shortly = reprlib.Repr()
_shortly.maxstring = _shortly.maxother = _MAX_TEXT


def _errors_of(module: ModuleType) -> Iterator[tuple[str, type[ThornbackError]]]:
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, ThornbackError):
            yield name, value


_BY_NAME: dict[str, type[ThornbackError]] = {
    name: error
    for module in (actors.errors, runtime.errors, store.errors)
    for name, error in _errors_of(module)
}


def encode_error(error: BaseException) -> EncodedError:
    """An error as plain values; never raises."""
    try:
        return _rejection(error) if isinstance(error, Rejected) else _other(error)
    except ANY:  # an error that defies being looked at
        return HostFailed.__name__, ["the host", type(error).__name__]


def decode_error(encoded: EncodedError) -> Exception:
    """The error that was encoded; never raises."""
    name, arguments = encoded
    try:
        if name == Rejected.__name__ and len(arguments) == 4:
            return _rejected(*arguments)
        return _BY_NAME[name](*arguments)
    except Exception:  # of another release, or of nobody
        return HostFailed("the host", f"{name}: {', '.join(map(str, arguments))}")


def text_of_error(error: BaseException) -> str:
    """The name of an error's class, and what it says."""
    return f"{type(error).__name__}: {message_of_error(error)}"


def message_of_error(error: BaseException) -> str:
    """What an error says, also where its own text cannot be had."""
    return cut(_text(error, str))


def cut(text: str) -> str:
    """A text that is short enough to travel."""
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " ..."


def _other(error: BaseException) -> EncodedError:
    name = type(error).__name__
    arguments: list[Any]
    if _BY_NAME.get(name) is not type(error):
        name, arguments = HostFailed.__name__, ["the host", text_of_error(error)]
    else:
        arguments = [_plain(argument) for argument in error.args]
    if not _fits((name, arguments)):
        arguments = [one if isinstance(one, int | float) else cut(str(one)) for one in arguments]
    return name, arguments


def _rejection(error: Rejected) -> EncodedError:
    reason = error.__dict__.get("reason")
    name, facts = name_and_facts(error)
    if type(error) is Rejected and not facts and isinstance(reason, str) and reason.isascii():
        return Rejected.__name__, [cut(reason)]
    if reason is None:
        reason = error  # its class did not give one to Rejected
    if not isinstance(reason, str):
        reason = _text(reason, str) or _text(reason, repr)
    reason = _valid(reason)
    encoded = (Rejected.__name__, [reason, name, _plain(list(error.args)), _plain(facts)])
    if _fits(encoded):
        return encoded
    return Rejected.__name__, [cut(reason), name, [cut(reason)], {}]


def _rejected(reason: str, name: str, arguments: list[Any], facts: dict[str, Any]) -> Rejected:
    for known in _subclasses(Rejected):
        if known.named() == name:
            return restored(known, tuple(arguments), {**facts, "reason": reason})
    error = Rejected(reason)
    error.arrived_as(name, facts)
    return error


def _subclasses(kind: type[Rejected]) -> Iterator[type[Rejected]]:
    """It and all that derive from it, those defined last first."""
    for derived in reversed(kind.__subclasses__()):
        yield from _subclasses(derived)
    yield kind


def _fits(encoded: EncodedError) -> bool:
    return len(encode(encoded)) <= MAX_BYTES


def _plain(value: Any) -> Any:
    """A value in what the wire knows; as its text where it has no other form."""
    return _plain_part(value, 0, [_MAX_PARTS])


def _plain_part(value: Any, depth: int, room: list[int]) -> Any:
    plain: Any
    room[0] -= 1
    match value:
        case _ if room[0] < 0:
            plain = _LEFT_OUT
        case None | bool():
            plain = value
        case int():
            plain = int(value) if -(1 << 63) <= value < 1 << 64 else hex(value)
        case float():
            plain = float(value)
        case bytes():
            plain = bytes(value)
        case str():
            plain = _valid(value)
        case _ if depth >= _MAX_DEPTH:
            plain = _text(value, _shortly.repr)
        case list() | tuple() | set() | frozenset():
            plain = [_plain_part(one, depth + 1, room) for one in islice(value, _MAX_ITEMS)]
        case dict():
            members = islice(value.items(), _MAX_ITEMS)
            plain = {_text(key, str): _plain_part(one, depth + 1, room) for key, one in members}
        case _:
            plain = _jsonable(value, room)
    return plain


def _jsonable(value: Any, room: list[int]) -> Any:
    try:
        plain = to_jsonable_python(value, inf_nan_mode="constants")
        return _plain_part(plain, _MAX_DEPTH - 1, room)
    except ANY:
        return _text(value, repr)


def _text(value: Any, how: Any) -> str:
    try:
        return _valid(how(value))
    except ANY:
        return f"a {type(value).__name__} that does not say what it is"


def _valid(text: str) -> str:
    """A text without what UTF-8 cannot hold; of a str's subclass a str."""
    return text.encode("utf-8", "backslashreplace").decode()
