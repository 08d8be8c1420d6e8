"""What drivers and hosts send each other: msgpack, never pickle.

A request is one batch of commands of one driver for one host; a reply is what became
of each. Events travel as encoded rows (store/codec.py) and are decoded by whoever
looks at them.
"""

from collections.abc import Iterable
from typing import Any

import msgpack
import msgspec
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from runtime.errors import EncodedError

#: Message types that are not an actor's own: kebab-case names cannot collide with them.
STATE = "$state"
PUBLISH = "$publish"

#: Commands in one request: larger ones gain nothing (docs/performance.md).
MAX_COMMANDS = 2000
#: Bytes of commands in one request, unless a single command is larger.
MAX_BYTES = 4 * 1024 * 1024

_BIG_INTEGER = 1


class Command(msgspec.Struct, array_like=True, gc=False):
    """One command on the wire."""

    source: str
    message_type: str
    id: bytes
    at_us: int  #: when it happened, microseconds since 2000
    data: Any
    correlation_id: bytes | None
    causation_id: bytes | None


class Request(msgspec.Struct, array_like=True):
    """A batch: the driver's `sequence`-th of a generation, with its vector clock."""

    driver: bytes
    generation: int
    sequence: int
    clock: dict[str, int]
    want_events: bool
    commands: list[Any]  #: Command fields as lists: the hot loop unpacks them itself


class Answer(msgspec.Struct, array_like=True):
    """What became of a batch.

    `counts[i]` events of command i stand in `rows`, `sizes[i]` bytes of it; their
    positions go up from `first_position`. A command that is in `elsewhere` has stamped
    rows of its own there (it is a repeat, or ran late), one in `values` has an encoded
    value, one in `errors` an error. With `want_events` off, counts, sizes and rows are
    left out.
    """

    clock: dict[str, int]
    total: int  #: events committed by this batch
    repeats: int  #: commands that had taken effect before
    first_position: int
    recorded_us: int
    counts: list[int]
    sizes: list[int]
    rows: bytes
    elsewhere: dict[int, bytes]
    values: dict[int, bytes]
    errors: dict[int, EncodedError]
    refusal: EncodedError | None = None  #: nothing of the batch was run


class CommandPacker:
    """Packs commands one by one; not shared by threads."""

    def __init__(self) -> None:
        self._pack = msgpack.Packer(default=_plain, autoreset=True).pack

    def pack(self, *fields: Any) -> bytes:
        """One Command from its fields. Raises TypeError or ValueError for data that has
        no msgpack form."""
        packed: bytes = self._pack(fields)
        return packed


def pack_request(
    driver: bytes,
    generation: int,
    sequence: int,
    clock: dict[str, int],
    want_events: bool,
    commands: list[bytes],
) -> bytes:
    """A Request of commands that are packed already."""
    packer = msgpack.Packer()
    return b"".join(
        (
            packer.pack_array_header(6),
            *map(packer.pack, (driver, generation, sequence, clock, want_events)),
            packer.pack_array_header(len(commands)),
            *commands,
        )
    )


def unpack_request(packed: bytes) -> Request:
    """The Request of its bytes."""
    return Request(*msgpack.unpackb(packed, ext_hook=_extended, use_list=True))


def pack_answer(answer: Answer) -> bytes:
    """An Answer as bytes."""
    return _encode_answer(answer)


def unpack_answer(packed: bytes) -> Answer:
    """The Answer of its bytes."""
    return _decode_answer(packed)


def refused(error: EncodedError) -> bytes:
    """The answer to a batch of which nothing was run."""
    return pack_answer(Answer({}, 0, 0, 0, 0, [], [], b"", {}, {}, {}, error))


def pack_value(value: Any) -> bytes:
    """Any msgpack value."""
    packed: bytes = msgpack.packb(value, default=_plain)
    return packed


def unpack_value(packed: bytes) -> Any:
    """The value of its bytes."""
    return msgpack.unpackb(packed, ext_hook=_extended)


_encode_answer = msgspec.msgpack.Encoder().encode
_decode_answer = msgspec.msgpack.Decoder(Answer).decode


def _plain(value: Any) -> Any:
    if isinstance(value, int):  # beyond 64 bits
        return msgpack.ExtType(_BIG_INTEGER, str(value).encode())
    if isinstance(value, BaseModel):
        return value.__dict__
    if isinstance(value, set | frozenset):
        return list(value)
    return to_jsonable_python(value, inf_nan_mode="constants")


def _extended(code: int, data: bytes) -> Any:
    if code == _BIG_INTEGER:
        return int(data)
    raise ValueError(f"unknown msgpack extension {code}")


