"""The one wire format: an event as a row of Postgres' binary COPY.

A host encodes an event once; the writer fills in position and commit time and copies
the bytes into the log; the bus forwards them; a subscriber decodes them here, and so
does whoever reads the log, because a binary COPY out of it gives the same rows.

A row starts with its fixed-size columns, so that position and commit time can be
patched and the event type be read at constant offsets.
"""

import gc
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from struct import Struct
from typing import Any
from uuid import UUID

import msgspec

from actors.clock import VectorClock
from actors.event import Event, Kind
from actors.ids import uuid_of
from actors.moments import EPOCH, microseconds, moment_of
from store.json_text import DecodeError, decode_json, decode_usual_json, encode_json

#: The columns of a row, in the order in which COPY reads and writes them.
COLUMNS = (
    "id", "aggregate_id", "version", "timestamp", "recorded_at", "position",
    "event_type", "kind", "source", "event_data", "vector_clock",
    "correlation_id", "causation_id", "metadata",
)  # fmt: skip

#: What a binary COPY stream starts and ends with (Postgres manual, COPY, "Binary Format").
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"

_HEAD = b"\0\x0e\0\0\0\x10"  #: the number of columns, the length of the id
_FIELDS = Struct(">6x16s4x16s4xq4xq4xq4xq")  # the fixed-size columns without their lengths
_VERSION_AND_TIME = Struct(">iqiq")
_OPEN = (b"\0\0\0\x08" + bytes(8)) * 2  #: commit time and position, for `stamp` to fill in
_STAMP = Struct(">qiq")
_STAMP_AT = 70
_LENGTH = Struct(">i")
_JSONB = Struct(">ib")
_NULL = b"\xff\xff\xff\xff"
_UUID_LENGTH = b"\0\0\0\x10"
_TYPE_AT = _FIELDS.size

#: The columns of an event's causes, of correlation and causation id, without metadata.
CAUSES = b"\0\0\0\x10%b\0\0\0\x10%b\xff\xff\xff\xff"
_CAUSES_SIZE = 44
#: The vector clock's column, of `clock_prefix` and the node's own tick. The tick has a
#: fixed width, blanks before it, so that the column's length is known beforehand.
CLOCK = b"%b%19d}"

_KINDS = {kind.value.encode(): kind for kind in Kind}


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


def text_field(text: str) -> bytes:
    """A text column, encoded."""
    raw = text.encode()
    return _LENGTH.pack(len(raw)) + raw


def type_fields(event_type: str, kind: str) -> bytes:
    """The columns event_type and kind: constant per payload class, encoded once."""
    return text_field(event_type) + text_field(kind)


def cause_fields(
    correlation_id: bytes | None,
    causation_id: bytes | None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The columns correlation_id, causation_id and metadata; empty metadata is NULL."""
    return b"".join(
        (
            _UUID_LENGTH + correlation_id if correlation_id else _NULL,
            _UUID_LENGTH + causation_id if causation_id else _NULL,
            _jsonb_field(encode_json("metadata", dict(metadata))) if metadata else _NULL,
        )
    )


def clock_prefix(text: bytes) -> bytes:
    """What CLOCK begins with: `text` is a clock's JSON up to its last entry's count."""
    return _JSONB.pack(len(text) + 19 + 1 + 1, 1) + text


def _jsonb_field(text: bytes) -> bytes:
    return _JSONB.pack(len(text) + 1, 1) + text


def encode_row(
    event_id: bytes,
    aggregate_id: bytes,
    version: int,
    timestamp_us: int,
    types: bytes,
    source: bytes,
    data: bytes,
    clock: bytes,
    tail: bytes,
) -> bytes:
    """One row with position and commit time still open. The hot path of a host: 1 us.

    `data` is JSON text; `types`, `source`, `clock` and `tail` are whole encoded columns.
    """
    return b"".join(
        (
            _HEAD,
            event_id,
            _UUID_LENGTH,
            aggregate_id,
            _VERSION_AND_TIME.pack(8, version, 8, timestamp_us),
            _OPEN,
            types,
            source,
            _JSONB.pack(len(data) + 1, 1),
            data,
            clock,
            tail,
        )
    )


def encode_event(event: Event) -> bytes:
    """A whole Event as a row; raises InvalidData for what the log cannot hold."""
    tail = cause_fields(
        event.correlation_id.bytes if event.correlation_id else None,
        event.causation_id.bytes if event.causation_id else None,
        event.metadata,
    )
    return encode_row(
        event.id.bytes,
        event.aggregate_id.bytes,
        event.version or 0,
        microseconds(event.timestamp),
        type_fields(event.event_type, event.kind.value),
        text_field(event.source),
        encode_json(event.event_type, event.data),
        _jsonb_field(encode_json(event.event_type, dict(event.vector_clock))),
        tail,
    )


def stamp(data: bytearray, lengths: "array[int]", recorded_us: int, first_position: int) -> None:
    """Fill in commit time and positions, in place: the writer's part of a row, 0.2 us."""
    at = _STAMP_AT
    pack_into = _STAMP.pack_into
    for position, length in enumerate(lengths, first_position):
        pack_into(data, at, recorded_us, 8, position)
        at += length


def event_type_at(data: bytes | bytearray, row_start: int) -> bytes:
    """The event type of the row that starts there, without decoding the rest."""
    start = row_start + _TYPE_AT + 4
    (length,) = _LENGTH.unpack_from(data, start - 4)
    return bytes(data[start : start + length])


def source_at(data: bytes | bytearray, row_start: int) -> bytes:
    """The source of the row that starts there, without decoding the rest."""
    at = row_start + _TYPE_AT
    for _ in ("event_type", "kind"):
        at += 4 + _LENGTH.unpack_from(data, at)[0]
    (length,) = _LENGTH.unpack_from(data, at)
    return bytes(data[at + 4 : at + 4 + length])


class Decoder:
    """Turns rows into Events, 4 us each. Keeps the texts that recur.

    Threads may share one: what they both add to its tables is equal.
    """

    MAX_CACHED = 50_000
    LARGE = 64 * 1024  #: bytes; the events of less are not worth holding a collection back

    def __init__(self) -> None:
        self._types: dict[bytes, tuple[str, Kind]] = {}
        self._sources: dict[bytes, tuple[str, UUID]] = {}

    def events(
        self, data: bytes, *, first_position: int | None = None, recorded_us: int | None = None
    ) -> list[Event]:
        """The events of back-to-back rows, or of a whole COPY stream.

        `first_position` and `recorded_us` stand in for rows that do not carry them yet.
        """
        if len(self._sources) > self.MAX_CACHED:
            self._sources.clear()
        with _no_collection() if len(data) > self.LARGE else nullcontext():
            try:
                return self._decoded(data, first_position, recorded_us, decode_usual_json)
            except DecodeError:
                return self._decoded(data, first_position, recorded_us, decode_json)

    def _decoded(
        self,
        data: bytes,
        first_position: int | None,
        recorded_us: int | None,
        decode: Callable[[bytes], Any],
    ) -> list[Event]:
        types, sources = self._types, self._sources
        fields, length_at, adopt = _FIELDS.unpack_from, _LENGTH.unpack_from, VectorClock.adopt
        recorded_at, recorded_was = EPOCH, 0
        correlation: UUID | None
        causation: UUID | None
        metadata: dict[str, str]
        found: list[Event] = []
        at, stop = _span(data)
        # One loop with few calls of its own: decoding is half of a subscriber's time.
        while at < stop:
            event_id, aggregate, version, timestamp, recorded, position = fields(data, at)
            at += _TYPE_AT
            end = at + 4 + length_at(data, at)[0]
            end += 4 + length_at(data, end)[0]
            named = types.get(key := data[at:end])
            if named is None:
                named = types[key] = _type_and_kind(key)
            at = end + 4
            end = at + length_at(data, end)[0]
            source = sources.get(key := data[at:end])
            if source is None:
                source = sources[key] = (key.decode(), uuid_of(aggregate))
            at = end + 5
            end = at - 1 + length_at(data, end)[0]
            payload = decode(data[at:end])
            at = end + 5
            end = at - 1 + length_at(data, end)[0]
            clock = decode(data[at:end])
            causes = data[end : end + _CAUSES_SIZE]
            if causes == CAUSES % (causes[4:20], causes[4:20]):
                correlation = causation = uuid_of(causes[4:20])
                metadata, at = {}, end + _CAUSES_SIZE
            else:
                correlation, causation, metadata, at = _causes(data, end, decode)
            if recorded_us is not None:
                recorded = recorded_us
            if recorded != recorded_was:
                recorded_at, recorded_was = moment_of(recorded), recorded
            found.append(
                Event(
                    id=uuid_of(event_id),
                    event_type=named[0],
                    kind=named[1],
                    source=source[0],
                    aggregate_id=source[1],
                    version=version,
                    timestamp=EPOCH + timedelta(0, 0, timestamp),
                    recorded_at=recorded_at,
                    position=position if first_position is None else first_position + len(found),
                    data=payload,
                    vector_clock=adopt(clock),
                    correlation_id=correlation,
                    causation_id=causation,
                    metadata=metadata,
                )
            )
        return found


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection meanwhile: nothing that decoding makes can form a cycle, and
    looking for one in a page of fresh events takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _span(data: bytes) -> tuple[int, int]:
    """Where the rows start and end: a COPY stream has a header and a trailer."""
    if data.startswith(COPY_HEADER):
        return len(COPY_HEADER), len(data) - len(COPY_TRAILER)
    return 0, len(data)


def _causes(
    data: bytes, at: int, decode: Callable[[bytes], Any]
) -> tuple[UUID | None, UUID | None, dict[str, str], int]:
    """Correlation id, causation id and metadata, any of which may be NULL; where they end."""
    ids: list[UUID | None] = []
    for _ in ("correlation_id", "causation_id"):
        size = max(_LENGTH.unpack_from(data, at)[0], 0)
        ids.append(uuid_of(data[at + 4 : at + 20]) if size else None)
        at += 4 + size
    size = max(_LENGTH.unpack_from(data, at)[0], 0)
    metadata = decode(data[at + 5 : at + 4 + size]) if size else {}
    return ids[0], ids[1], metadata, at + 4 + size


def _type_and_kind(fields: bytes) -> tuple[str, Kind]:
    end = 4 + _LENGTH.unpack_from(fields, 0)[0]
    return fields[4:end].decode(), _KINDS[fields[end + 4 :]]


def column_values(rows: EncodedRows) -> tuple[Any, ...]:
    """Rows as the arrays that the SQL function append_events takes: a few rows, 10 us each."""
    found = [_values(bytes(rows.data), at) for at in _starts(rows)]
    columns = [list(column) for column in zip(*found, strict=True)]
    recorded_at = columns.pop(5)[0]
    return (*columns[:5], recorded_at, *columns[5:])


def _starts(rows: EncodedRows) -> Iterator[int]:
    at = 0
    for length in rows.lengths:
        yield at
        at += length


def _values(data: bytes, at: int) -> tuple[Any, ...]:
    event_id, aggregate, version, timestamp, recorded, position = _FIELDS.unpack_from(data, at)
    at += _TYPE_AT
    fields: list[bytes | None] = []
    while len(fields) < len(COLUMNS) - 6:
        (length,) = _LENGTH.unpack_from(data, at)
        fields.append(None if length < 0 else data[at + 4 : at + 4 + length])
        at += 4 + max(length, 0)
    event_type, kind, source, payload, clock, correlation, causation, metadata = fields
    return (
        uuid_of(event_id), uuid_of(aggregate), version, position,
        moment_of(timestamp), moment_of(recorded),
        correlation and uuid_of(correlation), causation and uuid_of(causation),
        _text(kind), _text(event_type), _text(source),
        _text(payload, 1), _text(clock, 1), _text(metadata, 1),
    )  # fmt: skip


def _text(field: bytes | None, skip: int = 0) -> str | None:
    return None if field is None else field[skip:].decode()


def split_rows(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Rows back to back, or those of a whole COPY stream, one by one, with their event ids."""
    at, stop = _span(data)
    unpack = _LENGTH.unpack_from
    while at < stop:
        end = at + _TYPE_AT
        for _ in COLUMNS[6:]:
            end += 4 + max(unpack(data, end)[0], 0)
        yield data[at + 6 : at + 22], data[at:end]
        at = end


class Fold(msgspec.Struct):
    """What folding a row into a state needs of it."""

    aggregate_id: bytes
    version: int
    timestamp_us: int
    event_type: bytes
    data: bytes  #: JSON text
    clock: bytes  #: JSON text


def folds(data: bytes) -> Iterator[Fold]:
    """The rows of a COPY stream or of plain rows, for rehydration: 1.5 us each."""
    at, stop = _span(data)
    unpack = _LENGTH.unpack_from
    while at < stop:
        _, aggregate, version, timestamp, _, _ = _FIELDS.unpack_from(data, at)
        at += _TYPE_AT
        end = at + 4 + unpack(data, at)[0]
        event_type = data[at + 4 : end]
        end += 4 + unpack(data, end)[0]
        end += 4 + unpack(data, end)[0]
        at = end + 5
        end += 4 + unpack(data, end)[0]
        payload = data[at:end]
        at = end + 5
        end += 4 + unpack(data, end)[0]
        clock = data[at:end]
        for _ in ("correlation_id", "causation_id", "metadata"):
            end += 4 + max(unpack(data, end)[0], 0)
        at = end
        yield Fold(aggregate, version, timestamp, event_type, payload, clock)
