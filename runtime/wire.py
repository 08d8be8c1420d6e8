"""What drivers and hosts send each other: msgpack, never pickle.

A request is one batch of commands of one driver for one host; a reply is what became
of each. Events travel as encoded rows (store/codec.py) and are decoded by whoever
looks at them.
"""

from array import array
from typing import Any

import msgpack
import msgspec
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from runtime.errors import EncodedError, InvalidMessage
from store.codec import EncodedRows
from store.writer import Acknowledged, Append, Commit

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

    Command i's events are the rows from number `numbers[i]` to `numbers[i + 1]`, at the
    bytes from `offsets[i]` to `offsets[i + 1]` of `rows`; row n has the position
    `first_position` + n. A command that is in `elsewhere` has stamped rows of its own
    there (it is a repeat, or ran late), one in `values` has an encoded value, one in
    `errors` an error. With `want_events` off, numbers, offsets and rows are left out.
    """

    clock: dict[str, int]
    total: int  #: events committed by this batch
    repeats: set[int]  #: which commands had taken effect before
    first_position: int
    recorded_us: int
    numbers: list[int]
    offsets: list[int]
    rows: bytes
    elsewhere: dict[int, bytes]
    values: dict[int, bytes]
    errors: dict[int, EncodedError]
    refusal: EncodedError | None = None  #: nothing of the batch was run


class AppendCall(msgspec.Struct, array_like=True):
    """A host's append on its way to the writer (store/writer.py, Append)."""

    node: str
    epoch: int
    generation: int
    sequence: int
    tick: int
    types: dict[str, int]
    lengths: bytes
    rows: bytes


class CommitCall(msgspec.Struct, array_like=True):
    """A commit on its way from the writer to the bus."""

    first_position: int
    types: dict[str, int]
    lengths: bytes
    rows: bytes


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


class CommandPacker:
    """Packs commands one by one; not shared by threads."""

    def __init__(self) -> None:
        self._pack = msgpack.Packer(default=_plain, autoreset=True).pack

    def pack(self, fields: tuple[Any, ...]) -> bytes:
        """One Command from its fields. Raises InvalidMessage for data that has no form on
        the wire."""
        try:
            packed: bytes = self._pack(fields)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidMessage(fields[0], fields[1], str(error)) from error
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


def source_of_command(packed: bytes) -> str:
    """Whom a packed command is for."""
    source: str = unpack_value(packed)[0]
    return source


def unpack_request(packed: bytes) -> Request:
    """The Request of its bytes."""
    # Keys may be numbers: what they mean is for the message's own model to say.
    return Request(
        *msgpack.unpackb(packed, ext_hook=_extended, use_list=True, strict_map_key=False)
    )


def pack_answer(answer: Answer) -> bytes:
    """An Answer as bytes."""
    return _encode(answer)


def unpack_answer(packed: bytes) -> Answer:
    """The Answer of its bytes."""
    return _decode_answer(packed)


def pack_append(append: Append) -> bytes:
    """An append as one piece: each argument of a Ray call costs what a hundred rows do."""
    rows = append.rows
    return _encode(
        AppendCall(
            append.node,
            append.epoch,
            append.generation,
            append.sequence,
            append.tick,
            dict(append.types),
            rows.lengths.tobytes(),
            bytes(rows.data),
        )
    )


def unpack_append(packed: bytes) -> Append:
    """The append of its bytes."""
    call = _decode_append(packed)
    return Append(
        node=call.node,
        epoch=call.epoch,
        generation=call.generation,
        sequence=call.sequence,
        tick=call.tick,
        rows=EncodedRows(call.rows, array("I", call.lengths)),
        types=call.types,
    )


def pack_commit(commit: Commit) -> bytes:
    """A commit as one piece."""
    rows = commit.rows
    return _encode(
        CommitCall(
            commit.first_position, dict(commit.types), rows.lengths.tobytes(), bytes(rows.data)
        )
    )


def unpack_commit(packed: bytes) -> Commit:
    """The commit of its bytes."""
    call = _decode_commit(packed)
    rows = EncodedRows(call.rows, array("I", call.lengths))
    return Commit(first_position=call.first_position, rows=rows, types=call.types)


def pack_poll(poll: Poll) -> bytes:
    """A poll as bytes."""
    return _encode(poll)


def unpack_poll(packed: bytes) -> Poll:
    """The poll of its bytes."""
    return _decode_poll(packed)


def pack_polled(polled: Polled) -> bytes:
    """An answer of the bus as bytes."""
    return _encode(polled)


def unpack_polled(packed: bytes) -> Polled:
    """The answer of its bytes."""
    return _decode_polled(packed)


def pack_acknowledgement(done: Acknowledged | EncodedError) -> bytes:
    """(first position, commit time), or a refusal by name."""
    if isinstance(done, Acknowledged):
        return _encode((done.first_position, done.recorded_us))
    return _encode(done)


def unpack_acknowledgement(packed: bytes) -> Acknowledged | EncodedError:
    """What the writer answered."""
    first, second = _decode_any(packed)
    if isinstance(first, str):
        return first, second
    return Acknowledged(first_position=first, recorded_us=second)


def refused(error: EncodedError) -> bytes:
    """The answer to a batch of which nothing was run."""
    return pack_answer(Answer({}, 0, set(), 0, 0, [], [], b"", {}, {}, {}, error))


def pack_value(value: Any) -> bytes:
    """Any msgpack value."""
    packed: bytes = msgpack.packb(value, default=_plain)
    return packed


def unpack_value(packed: bytes) -> Any:
    """The value of its bytes."""
    return msgpack.unpackb(packed, ext_hook=_extended)


_encode = msgspec.msgpack.Encoder().encode
_decode_any = msgspec.msgpack.Decoder().decode
_decode_append = msgspec.msgpack.Decoder(AppendCall).decode
_decode_commit = msgspec.msgpack.Decoder(CommitCall).decode
_decode_poll = msgspec.msgpack.Decoder(Poll).decode
_decode_polled = msgspec.msgpack.Decoder(Polled).decode
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
