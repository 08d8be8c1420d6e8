"""What drivers and hosts send each other: msgpack, never pickle.

A request is one batch of commands of one driver for one host; a reply is what became
of each. Events travel as encoded rows (store/rows/encoding.py) and are decoded by whoever
looks at them.
"""

from typing import Any

import msgpack
import msgspec

from runtime.errors import InvalidMessage
from runtime.wire.error_codec import EncodedError
from runtime.wire.values import encode, extended_form, plain_form

#: Message types that are not an actor's own: kebab-case names cannot collide with them.
STATE = "$state"
PUBLISH = "$publish"

#: Commands in one request: larger ones gain nothing (docs/performance.md).
MAX_COMMANDS = 2000
#: Bytes of commands in one request, unless a single command is larger.
MAX_BYTES = 4 * 1024 * 1024


class Command(msgspec.Struct, array_like=True, gc=False):
    """One command on the wire."""

    source: str
    message_type: str
    id: bytes
    at_us: int  #: when it happened, Unix microseconds
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
    incarnation: int = 0  #: of the host: its epoch, in the answer to an empty batch


class CommandPacker:
    """Packs commands one by one; not shared by threads."""

    def __init__(self) -> None:
        self._pack = msgpack.Packer(default=plain_form, autoreset=True).pack

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
    unpacker = msgpack.Unpacker()
    unpacker.feed(packed)
    unpacker.read_array_header()
    source: str = unpacker.unpack()  # and nothing else: the data may be anything
    return source


def unpack_request(packed: bytes) -> Request:
    """The Request of its bytes."""
    # Keys may be numbers: what they mean is for the message's own model to say.
    return Request(
        *msgpack.unpackb(packed, ext_hook=extended_form, use_list=True, strict_map_key=False)
    )


def pack_answer(answer: Answer) -> bytes:
    """An Answer as bytes."""
    return encode(answer)


def unpack_answer(packed: bytes) -> Answer:
    """The Answer of its bytes."""
    return _decode_answer(packed)


def introduced(packed: bytes, incarnation: int) -> bytes:
    """The answer to an empty batch, which says who answers."""
    answer = unpack_answer(packed)
    answer.incarnation = incarnation
    return pack_answer(answer)


def refused(error: EncodedError) -> bytes:
    """The answer to a batch of which nothing was run."""
    return pack_answer(Answer({}, 0, set(), 0, 0, [], [], b"", {}, {}, {}, error))


_decode_answer = msgspec.msgpack.Decoder(Answer).decode
