"""Where the columns of a row stand: everything that knows offsets into encoded rows."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from actors.moments import FIRST_US, LAST_US
from store.slots import slot_of

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

# Commit time and position with the length between them: what `stamp` fills in, and where.
_STAMP = Struct(">qiq")
_STAMP_AT = 70

_POSITION = Struct(">q")
_POSITION_AT = 82  # the last of the fixed-size columns

LENGTH = Struct(">i")  #: before each column; -1 for NULL

TYPE_AT = FIELDS.size  #: where the first column of no fixed size begins, with its length

# The number of columns, the lengths of the fixed-size ones, and the moment of an event.
_FRAME = Struct(">hi16xi16xi8xiqi8xi8x")

#: From the Unix epoch, which everybody else counts from, to 2000-01-01, from which Postgres
#: does and therefore rows do.
POSTGRES_EPOCH_US = 946_684_800_000_000

#: The moments that a datetime can hold, the years 1 to 9999, as rows have them. Postgres holds
#: more, which nobody could read.
FIRST_MOMENT = FIRST_US - POSTGRES_EPOCH_US
LAST_MOMENT = LAST_US - POSTGRES_EPOCH_US


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

    def problem(self) -> str | None:
        """Why these are no rows that the log could hold, as far as their fixed-size columns
        tell: 0.25 us each. None for rows as an encoder makes them.

        Whoever takes rows from elsewhere asks; the rest of a row is Postgres' to judge.
        """
        if sum(self.lengths) != len(self.data):
            return "the lengths of the rows do not add up"
        if self.lengths and min(self.lengths) < TYPE_AT:
            return "a row ends before its first columns do"
        at, unpack = 0, _FRAME.unpack_from
        for length in self.lengths:
            columns, id_, aggregate, version, time, moment, recorded, position = unpack(
                self.data, at
            )
            if (
                columns != 14 or id_ != 16 or aggregate != 16
                or version != 8 or time != 8 or recorded != 8 or position != 8
            ):  # fmt: skip
                return "a row does not begin with the columns of an event"
            if not FIRST_MOMENT <= moment <= LAST_MOMENT:
                return f"no calendar has the moment {moment + POSTGRES_EPOCH_US} us after 1970"
            at += length
        return None


def stamp(data: bytearray, lengths: "array[int]", recorded_us: int, first_position: int) -> None:
    """Fill in commit time and positions, in place: the writer's part of a row, 0.2 us."""
    at, recorded = _STAMP_AT, recorded_us - POSTGRES_EPOCH_US
    pack_into = _STAMP.pack_into
    for position, length in enumerate(lengths, first_position):
        pack_into(data, at, recorded, 8, position)
        at += length


def id_at(data: bytes | bytearray, row_start: int) -> bytes:
    """The event id of the row that starts there, without decoding the rest."""
    event_id: bytes = FIELDS.unpack_from(data, row_start)[0]
    return event_id


def aggregate_at(data: bytes | bytearray, row_start: int) -> bytes:
    """The aggregate id of the row that starts there, without decoding the rest."""
    aggregate: bytes = FIELDS.unpack_from(data, row_start)[1]
    return aggregate


def position_at(data: bytes | bytearray, row_start: int) -> int:
    """The position of the row that starts there."""
    position: int = FIELDS.unpack_from(data, row_start)[5]
    return position


def at_position(row: bytes, position: int) -> bytes:
    """The same row, at another position."""
    return row[:_POSITION_AT] + _POSITION.pack(position) + row[TYPE_AT:]


def moment_at(data: bytes | bytearray, row_start: int) -> int:
    """When the event of the row that starts there has happened, Unix microseconds."""
    moment: int = FIELDS.unpack_from(data, row_start)[3]
    return moment + POSTGRES_EPOCH_US


def event_type_at(data: bytes | bytearray, row_start: int) -> bytes:
    """The event type of the row that starts there, without decoding the rest."""
    start = row_start + TYPE_AT + 4
    (length,) = LENGTH.unpack_from(data, start - 4)
    return bytes(data[start : start + length])


def kind_at(data: bytes | bytearray, row_start: int) -> bytes:
    """The kind of the row that starts there, without decoding the rest."""
    at = row_start + TYPE_AT
    start = at + 4 + LENGTH.unpack_from(data, at)[0] + 4
    (length,) = LENGTH.unpack_from(data, start - 4)
    return bytes(data[start : start + length])


def source_at(data: bytes | bytearray, row_start: int) -> bytes:
    """The source of the row that starts there, without decoding the rest."""
    at = row_start + TYPE_AT
    for _ in ("event_type", "kind"):
        at += 4 + LENGTH.unpack_from(data, at)[0]
    (length,) = LENGTH.unpack_from(data, at)
    return bytes(data[at + 4 : at + 4 + length])


def causes_at(data: bytes | bytearray, row_start: int) -> tuple[bytes | None, bytes | None]:
    """The correlation and the causation id of the row that starts there."""
    at = row_start + TYPE_AT
    for _ in COLUMNS[6:11]:
        at += 4 + LENGTH.unpack_from(data, at)[0]
    ids: list[bytes | None] = []
    for _ in COLUMNS[11:13]:
        size = LENGTH.unpack_from(data, at)[0]
        ids.append(None if size < 0 else bytes(data[at + 4 : at + 4 + size]))
        at += 4 + max(size, 0)
    return ids[0], ids[1]


def topics(data: bytes, starts: Iterable[int]) -> list[bytes]:
    """What each of the rows that start there is about: its event type, kind and source as
    they stand in the row, in one piece (`topic_parts`). Equal ones are one object. Readers
    are told apart by it, so this is the bus's hot loop: 0.3 us a row."""
    unpack = LENGTH.unpack_from
    known: dict[bytes, bytes] = {}
    found = []
    for start in starts:
        at = start + TYPE_AT
        end = at + 4 + unpack(data, at)[0]
        end += 4 + unpack(data, end)[0]
        end += 4 + unpack(data, end)[0]
        topic = data[at:end]
        found.append(known.setdefault(topic, topic))
    return found


def topic_parts(topic: bytes) -> tuple[bytes, bytes, bytes]:
    """The event type, the kind and the source of a topic."""
    end = 4 + LENGTH.unpack_from(topic, 0)[0]
    kind_end = end + 4 + LENGTH.unpack_from(topic, end)[0]
    return topic[4:end], topic[end + 4 : kind_end], topic[kind_end + 4 :]


def joined(pages: Iterable[bytes]) -> bytes:
    """The rows of several, back to back; each is that already, or a whole COPY stream."""
    return b"".join(data[slice(*span(data))] for data in pages)


def span(data: bytes) -> tuple[int, int]:
    """Where the rows start and end: a COPY stream has a header and a trailer."""
    if data.startswith(COPY_HEADER):
        return len(COPY_HEADER), len(data) - len(COPY_TRAILER)
    return 0, len(data)


def row_starts(rows: EncodedRows) -> Iterator[int]:
    """Where each of the rows begins."""
    at = 0
    for length in rows.lengths:
        yield at
        at += length


class RowPlace(NamedTuple):
    """Where a row stands in the log."""

    aggregate_id: bytes
    version: int
    position: int


def last_row(data: bytes) -> RowPlace:
    """Where the last of these rows stands. They are of a COPY that was cut: its header may
    be there, its trailer is not."""
    at = len(COPY_HEADER) if data.startswith(COPY_HEADER) else 0
    last = at
    while at < len(data):
        last, at = at, _end_of_row(data, at)
    _, aggregate, version, _, _, position = FIELDS.unpack_from(data, last)
    return RowPlace(aggregate, version, position)


def _end_of_row(data: bytes, at: int) -> int:
    end = at + TYPE_AT
    for _ in COLUMNS[6:]:
        end += 4 + max(LENGTH.unpack_from(data, end)[0], 0)
    return end


def rows_of_slots(data: bytes, passed: Mapping[int, int]) -> bytes:
    """Of rows back to back, or of a whole COPY stream, those of these slots (store/slots.py), each
    above a position."""
    found: list[bytes] = []
    fields = FIELDS.unpack_from
    at, stop = span(data)
    while at < stop:
        _, aggregate, _, _, _, position = fields(data, at)
        end = _end_of_row(data, at)
        if passed.get(slot_of(aggregate), position) < position:
            found.append(data[at:end])
        at = end
    return b"".join(found)


def split_rows(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Rows back to back, or those of a whole COPY stream, one by one, with their event ids."""
    at, stop = span(data)
    while at < stop:
        end = _end_of_row(data, at)
        yield data[at + 6 : at + 22], data[at:end]
        at = end
