"""Where the columns of a row stand: everything that knows offsets into encoded rows."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

#: The columns of a row, in the order in which COPY reads and writes them.
COLUMNS = (
    "id", "aggregate_id", "version", "timestamp", "recorded_at", "position",
    "event_type", "kind", "source", "event_data", "vector_clock",
    "correlation_id", "causation_id", "metadata",
)  # fmt: skip

#: What a binary COPY stream starts and ends with (Postgres manual, COPY, "Binary Format").
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)

COPY_TRAILER = b"\xff\xff"

FIELDS = Struct(">6x16s4x16s4xq4xq4xq4xq")  # the fixed-size columns without their lengths

_STAMP = Struct(">qiq")

_STAMP_AT = 70

LENGTH = Struct(">i")

TYPE_AT = FIELDS.size


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows back to back in `data`; `lengths` has the size of each in bytes (uint32)."""

    data: bytes | bytearray
    lengths: "array[int]"

    @classmethod
    def of(cls, rows: list[bytes]) -> "EncodedRows":
        """Join single rows."""
        return cls(b"".join(rows), array("I", map(len, rows)))

    def __len__(self) -> int:
        return len(self.lengths)


def stamp(data: bytearray, lengths: "array[int]", recorded_us: int, first_position: int) -> None:
    """Fill in commit time and positions, in place: the writer's part of a row, 0.2 us."""
    at = _STAMP_AT
    pack_into = _STAMP.pack_into
    for position, length in enumerate(lengths, first_position):
        pack_into(data, at, recorded_us, 8, position)
        at += length


def event_type_at(data: bytes | bytearray, row_start: int) -> bytes:
    """The event type of the row that starts there, without decoding the rest."""
    start = row_start + TYPE_AT + 4
    (length,) = LENGTH.unpack_from(data, start - 4)
    return bytes(data[start : start + length])


def source_at(data: bytes | bytearray, row_start: int) -> bytes:
    """The source of the row that starts there, without decoding the rest."""
    at = row_start + TYPE_AT
    for _ in ("event_type", "kind"):
        at += 4 + LENGTH.unpack_from(data, at)[0]
    (length,) = LENGTH.unpack_from(data, at)
    return bytes(data[at + 4 : at + 4 + length])


def span(data: bytes) -> tuple[int, int]:
    """Where the rows start and end: a COPY stream has a header and a trailer."""
    if data.startswith(COPY_HEADER):
        return len(COPY_HEADER), len(data) - len(COPY_TRAILER)
    return 0, len(data)


def row_starts(rows: EncodedRows) -> Iterator[int]:
    at = 0
    for length in rows.lengths:
        yield at
        at += length


def split_rows(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Rows back to back, or those of a whole COPY stream, one by one, with their event ids."""
    at, stop = span(data)
    unpack = LENGTH.unpack_from
    while at < stop:
        end = at + TYPE_AT
        for _ in COLUMNS[6:]:
            end += 4 + max(unpack(data, end)[0], 0)
        yield data[at + 6 : at + 22], data[at:end]
        at = end
