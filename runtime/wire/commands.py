"""What drivers and hosts send each other: msgpack, never pickle.

A request is one batch of commands of one driver for one host; a reply is what became
of each. Events travel as encoded rows (store/rows/encoding.py) and are decoded by whoever
looks at them.

Any program may send bytes to a host. So a request is checked while it is decoded (0.35 us a
command, less than decoding it without a look took); a command that is none costs its sender
an answer and nobody else (reading.py).
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgpack
import msgspec
from msgspec import Meta

from actors.clock import MAX_COUNT, MAX_NODE_NAME, MAX_NODES
from actors.moments import FIRST_US, LAST_US
from actors.naming import MAX_SOURCE_BYTES
from runtime.errors import InvalidMessage
from runtime.wire.error_codec import EncodedError
from runtime.wire.values import encode, plain_form

#: Message types that are not an actor's own: kebab-case names cannot collide with them.
STATE = "$state"
PUBLISH = "$publish"
#: A timer whose time has come; its data is a Wanted (runtime/host/firing.py).
FIRE = "$fire"
#: Whose data is a reason: the actor takes commands again, or takes none from now on.
START = "$start"
STOP = "$stop"
#: Whose data is a reason: the actor is over. What is to be done with its data is not the host's.
ERASE = "$erase"
#: What stands in for a command that could not be read; its data says whose it was and why.
INVALID = "$invalid"

#: What is said of them where somebody is told.
_TOLD = {
    STATE: "the question for its state",
    PUBLISH: "a publication",
    FIRE: "a timer",
    START: "a start",
    STOP: "a stop",
    ERASE: "an erasure",
}


def message_type_of(command: Any) -> str:
    """Of the message that a command has; of one that a timer fires, the timer's."""
    if command[MESSAGE_TYPE] == FIRE and isinstance(data := command[DATA], list) and len(data) > 3:
        return str(data[3])
    return str(command[MESSAGE_TYPE])


def told(message_type: str) -> str:
    """A message type as an error names it: what has none of its own, in words."""
    return _TOLD.get(message_type, message_type)


#: Commands in one request: larger ones gain nothing (docs/performance.md).
MAX_COMMANDS = 2000
#: Bytes of commands in one request, unless a single command is larger.
MAX_BYTES = 4 * 1024 * 1024
#: Bytes of one command. What is larger belongs into an object store.
MAX_COMMAND_BYTES = 16 * 1024 * 1024

#: Where the fields of a command stand. The hot loop of a host unpacks them by hand.
SOURCE, MESSAGE_TYPE, ID, AT_US, DATA, CORRELATION_ID, CAUSATION_ID = range(7)

_Id = Annotated[bytes, Meta(min_length=16, max_length=16)]

#: One command on the wire: its source, its message type, its id, when it happened (Unix
#: microseconds), its data, and the ids of what it correlates with and what caused it.
Command = tuple[
    Annotated[str, Meta(min_length=1, max_length=MAX_SOURCE_BYTES)],
    Annotated[str, Meta(max_length=MAX_SOURCE_BYTES)],
    _Id,
    Annotated[int, Meta(ge=FIRST_US, le=LAST_US)],
    Any,
    _Id | None,
    _Id | None,
]

#: A vector clock from outside.
Counts = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=MAX_NODE_NAME)],
        Annotated[int, Meta(ge=0, le=MAX_COUNT)],
    ],
    Meta(max_length=MAX_NODES),
]

_Number = Annotated[int, Meta(ge=0, le=MAX_COUNT)]


class Head(msgspec.Struct, array_like=True):
    """What a request says of itself."""

    driver: Annotated[bytes, Meta(max_length=64)]
    generation: _Number
    sequence: _Number
    clock: Counts
    want_events: bool


class Request(Head, array_like=True):
    """A batch: the driver's `sequence`-th of a generation, with its vector clock."""

    commands: list[Any]  #: of Commands
    again: bool = False  #: it was sent before, and no answer came
    shards: _Number = 0  #: the version of the table of shards by which its host was found


class Answer(msgspec.Struct, array_like=True):
    """What became of a batch.

    Command i's events are the rows from number `numbers[i]` to `numbers[i + 1]`, at the
    bytes from `offsets[i]` to `offsets[i + 1]` of `rows`; row n has the position
    `first_position` + n. A command that is in `elsewhere` has stamped rows of its own
    there (it is a repeat, or was run apart), one in `values` has an encoded value, one in
    `errors` an error. With `want_events` off, numbers, offsets and rows are left out.
    """

    clock: dict[str, int]
    total: int  #: events committed by this batch
    repeats: set[int]  #: which commands had taken effect before
    first_position: int
    recorded_us: int  #: Unix microseconds
    numbers: list[int]
    offsets: list[int]
    rows: bytes
    elsewhere: dict[int, bytes]
    values: dict[int, bytes]
    errors: dict[int, EncodedError]
    turned_away: EncodedError | None = None  #: nothing of the batch was run
    incarnation: int = 0  #: of the host: its epoch, in the answer to an empty batch


class CommandPacker:
    """Packs commands one by one; not shared by threads."""

    def __init__(self) -> None:
        self._pack = msgpack.Packer(default=plain_form, autoreset=True).pack

    def pack(self, fields: tuple[Any, ...]) -> bytes:
        """One Command from its fields. Raises InvalidMessage for data that has no form on
        the wire, and for more of it than a command may have."""
        try:
            packed: bytes = self._pack(fields)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise InvalidMessage(fields[SOURCE], fields[MESSAGE_TYPE], str(error)) from error
        return self._checked(packed, fields)

    def pack_plain(self, fields: tuple[Any, ...]) -> bytes:
        """What `pack` does, for data of texts, numbers and truth values alone: half the time."""
        try:
            packed = encode(fields)
        except (TypeError, ValueError, OverflowError):  # an integer beyond 64 bits, say
            return self.pack(fields)
        return self._checked(packed, fields)

    def _checked(self, packed: bytes, fields: tuple[Any, ...]) -> bytes:
        if len(packed) > MAX_COMMAND_BYTES:
            problem = f"it takes {len(packed):,} bytes, {MAX_COMMAND_BYTES:,} are allowed"
            raise InvalidMessage(fields[SOURCE], fields[MESSAGE_TYPE], problem)
        return packed


def pack_request(
    driver: bytes,
    generation: int,
    sequence: int,
    clock: Mapping[str, int],
    want_events: bool,
    commands: list[bytes],
    again: bool = False,
    shards: int = 0,
) -> bytes:
    """A Request of commands that are packed already."""
    packer = msgpack.Packer()
    return b"".join(
        (
            packer.pack_array_header(8 if shards else 7 if again else 6),
            *map(packer.pack, (driver, generation, sequence, clock, want_events)),
            packer.pack_array_header(len(commands)),
            *commands,
            *([packer.pack(again)] if again or shards else ()),
            *([packer.pack(shards)] if shards else ()),
        )
    )


def stand_in(source: str) -> bytes:
    """A command that nobody decides, in the place of one whose class its host has refused."""
    fields = (source, INVALID, bytes(16), 0, [source, "a command", "it was held back"], None, None)
    return CommandPacker().pack(fields)


def source_of_command(packed: bytes) -> str:
    """Whom a packed command is for."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(packed)
    unpacker.read_array_header()
    source: str = unpacker.unpack()  # and nothing else: the data may be anything
    return source


def name_of_command(packed: bytes) -> tuple[str, str]:
    """Whom a packed command is for, and its message type."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(packed)
    unpacker.read_array_header()
    return unpacker.unpack(), unpacker.unpack()


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


def turned_away(error: EncodedError) -> bytes:
    """The answer to a batch of which nothing was run."""
    return pack_answer(Answer({}, 0, set(), 0, 0, [], [], b"", {}, {}, {}, error))


_decode_answer = msgspec.msgpack.Decoder(Answer).decode
