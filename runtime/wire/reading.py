"""Requests as a host reads them: checked, whoever sent them.

Whole and well formed, which is what drivers send, a request is decoded in one go, and the
types and ranges of its fields are checked with that. If anything is wrong, it is taken
apart: a bad command is replaced by one that will be answered with what is wrong with it,
and its neighbours are run.
"""

from hashlib import blake2b
from typing import Any

import msgpack
import msgspec

from actors.clock import MAX_COUNT
from actors.errors import InvalidName
from actors.naming import checked_source
from runtime.errors import InvalidMessage
from runtime.wire.commands import (
    INVALID,
    MAX_BYTES,
    MAX_COMMAND_BYTES,
    MAX_COMMANDS,
    SOURCE,
    Command,
    Head,
    Request,
)
from runtime.wire.values import extended_form

#: A request of more bytes is none of a driver's: of its commands, and as many again of its clock.
LARGEST = 2 * (MAX_BYTES + MAX_COMMAND_BYTES)

#: What decoding raises: also what a key that cannot be one, or too deep a nest, comes to.
_UNREADABLE = (msgspec.MsgspecError, TypeError, ValueError, RecursionError)


class _Whole(Request, array_like=True):
    """A request all of whose commands are well formed."""

    commands: list[Command]


_decode_whole = msgspec.msgpack.Decoder(_Whole, ext_hook=extended_form).decode
_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_command = msgspec.msgpack.Decoder(Command, ext_hook=extended_form).decode

_EIGHT, _SEVEN, _SIX, _FIVE = b"\x98", b"\x97", b"\x96", b"\x95"  # headers of arrays of so many


def unpack_request(packed: bytes) -> Request:
    """The Request of its bytes. Raises InvalidMessage for what is none, has a clock that is none,
    or has more commands than drivers send at a time: a host decides a batch in one go."""
    if len(packed) > LARGEST:
        raise _unreadable(f"it has {len(packed):,} bytes, {LARGEST:,} are allowed")
    try:
        request: Request = _decode_whole(packed)
    except _UNREADABLE:
        request = _piece_by_piece(packed)
    else:
        sources = "".join([command[SOURCE] for command in request.commands])
        if not sources.isascii() or "\0" in sources:
            request = _piece_by_piece(packed)
    if len(request.commands) > MAX_COMMANDS:
        count = f"{len(request.commands):,} commands"
        raise _unreadable(f"it has {count}, {MAX_COMMANDS:,} are allowed")
    if "\0" in "".join(request.clock):
        raise _unreadable("a node's name has a NUL")
    return request


def _piece_by_piece(packed: bytes) -> Request:
    try:
        unpacker = msgpack.Unpacker()
        unpacker.feed(packed)
        if packed[:1] not in (_SIX, _SEVEN, _EIGHT):
            raise ValueError("not a request")
        unpacker.read_array_header()
        for _ in range(5):
            unpacker.skip()
        head = _decode_head(_FIVE + packed[1 : unpacker.tell()])
        commands: list[Any] = []
        for _ in range(unpacker.read_array_header()):
            start = unpacker.tell()
            unpacker.skip()
            commands.append(_command(packed[start : unpacker.tell()]))
        again = packed[:1] in (_SEVEN, _EIGHT) and unpacker.unpack()
        shards = unpacker.unpack() if packed[:1] == _EIGHT else 0
        if not isinstance(again, bool) or not _is_version(shards):
            raise ValueError("not a request")
    except (*_UNREADABLE, msgpack.exceptions.UnpackException) as error:
        raise _unreadable(str(error) or type(error).__name__) from error
    return Request(
        head.driver, head.generation, head.sequence, head.clock, head.want_events, commands, again,
        shards,
    )  # fmt: skip


def _is_version(shards: Any) -> bool:
    return type(shards) is int and 0 <= shards <= MAX_COUNT


def _command(packed: bytes) -> Command:
    try:
        command: Any = _decode_command(packed)
        checked_source(command[SOURCE])
    except (*_UNREADABLE, InvalidName) as error:
        return _stand_in(packed, str(error))
    return command  # type: ignore[no-any-return]


def _stand_in(packed: bytes, problem: str) -> Command:
    """A command that is answered with an InvalidMessage. It is nobody's repeat: its id is
    that of its bytes."""
    names = ["?", "?"]
    unpacker = msgpack.Unpacker()
    unpacker.feed(packed)
    try:
        unpacker.read_array_header()
        for place in range(2):
            names[place] = f"{unpacker.unpack()!s:.200}"
    except (ValueError, msgpack.exceptions.UnpackException):
        names[1] += " (unreadable)"  # as far as it could be read
    return (
        INVALID,
        INVALID,
        blake2b(packed, digest_size=16).digest(),
        0,
        [*names, problem],
        None,
        None,
    )


def _unreadable(problem: str) -> InvalidMessage:
    return InvalidMessage("a host", "a request", f"it cannot be read: {problem}")
