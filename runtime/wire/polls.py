"""What feeds ask of the bus, and its answers."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from actors.event import Kind
from runtime.wire.values import encode

#: As the position of a poll: none yet. The answer says where the log stands, at once.
FROM_NOW: Final = -1


#: Patterns that one subscription may name, and their letters in all: the bus makes an
#: expression of them, and any program may ask it.
MAX_GLOBS, MAX_GLOBS_LENGTH = 1_000, 64 * 1024

_Globs = Annotated[tuple[str, ...], Meta(max_length=MAX_GLOBS)]


class Poll(msgspec.Struct, array_like=True):
    """A feed's question to the bus: what comes after a position? The answer may take
    `wait_s` where nothing does. `subscriber` names the feed; a poll without a name is
    answered and not counted as a subscription."""

    subscriber: str
    after: int
    event_types: _Globs
    sources: _Globs
    kinds: Annotated[tuple[Kind, ...], Meta(max_length=len(Kind))]
    wait_s: float


class Polled(msgspec.Struct, array_like=True):
    """The bus's answer: the selected rows up to the position `through`, which moves also
    over what was not selected. Not `covered`: the bus's buffer does not reach back that
    far, and the log has to be read, up to `through`."""

    through: int
    covered: bool
    rows: bytes


def pack_poll(poll: Poll) -> bytes:
    """A poll as bytes."""
    return encode(poll)


def unpack_poll(packed: bytes) -> Poll:
    """The poll of its bytes. Raises ValueError for bytes that are none, and for more patterns
    than a subscription may have."""
    poll = _decode_poll(packed)
    if max(sum(map(len, globs)) for globs in (poll.event_types, poll.sources)) > MAX_GLOBS_LENGTH:
        raise ValueError(f"the patterns of a poll have at most {MAX_GLOBS_LENGTH} letters")
    return poll


def pack_polled(polled: Polled) -> bytes:
    """An answer of the bus as bytes."""
    return encode(polled)


def unpack_polled(packed: bytes) -> Polled:
    """The answer of its bytes."""
    return _decode_polled(packed)


def pack_names(subscribers: list[str]) -> bytes:
    """The subscribers that leave, as bytes."""
    return encode(subscribers)


def unpack_names(packed: bytes) -> list[str]:
    """The subscribers of their bytes."""
    return _decode_names(packed)


def pack_position(position: int) -> bytes:
    """Up to where something was erased, as bytes."""
    return encode(position)


def unpack_position(packed: bytes) -> int:
    """The position of its bytes. Raises ValueError for bytes that are none."""
    return _decode_position(packed)


_decode_poll = msgspec.msgpack.Decoder(Poll).decode

_decode_polled = msgspec.msgpack.Decoder(Polled).decode

_decode_names = msgspec.msgpack.Decoder(list[str]).decode

_decode_position = msgspec.msgpack.Decoder(int).decode
