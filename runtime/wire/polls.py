"""What subscriptions ask of the bus, and its answers."""

import msgspec

from runtime.wire.values import encode


class Poll(msgspec.Struct, array_like=True):
    """A subscription's question to the bus: what comes after a position? The answer may
    take `wait_s` where nothing does."""

    subscriber: str
    after: int
    event_types: tuple[str, ...]
    sources: tuple[str, ...]
    wait_s: float


class Polled(msgspec.Struct, array_like=True):
    """The bus's answer. Not `covered`: its buffer does not reach back that far, and the
    log has to be read, up to the position `through`."""

    through: int
    covered: bool
    rows: bytes


def pack_poll(poll: Poll) -> bytes:
    """A poll as bytes."""
    return encode(poll)


def unpack_poll(packed: bytes) -> Poll:
    """The poll of its bytes."""
    return _decode_poll(packed)


def pack_polled(polled: Polled) -> bytes:
    """An answer of the bus as bytes."""
    return encode(polled)


def unpack_polled(packed: bytes) -> Polled:
    """The answer of its bytes."""
    return _decode_polled(packed)


_decode_poll = msgspec.msgpack.Decoder(Poll).decode

_decode_polled = msgspec.msgpack.Decoder(Polled).decode
