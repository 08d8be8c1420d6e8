"""Rows back into events, and into what folding a state needs."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from actors.event import Event, Kind, Unread
from actors.ids import uuid_of
from actors.moments import moment_of
from actors.schema import UNKNOWN, schema_of
from store.rows.event_pool import EventPool
from store.rows.json_text import DecodeError, decode_json, decode_usual_json
from store.rows.layout import (
    COLUMNS,
    FIELDS,
    FIRST_MOMENT,
    LAST_MOMENT,
    LENGTH,
    POSTGRES_EPOCH_US,
    TYPE_AT,
    EncodedRows,
    row_starts,
    span,
)

#: The columns of an event's causes where there are both ids and no metadata.
_CAUSES = Struct(">i16si16si")
_SHORTER = (0, b"", 0, b"", 0)

_EPOCH = moment_of(POSTGRES_EPOCH_US)

_KINDS = {kind.value.encode(): kind for kind in Kind}

#: What a clock as a host writes it ends with: a count, blanks before it, and a brace (CLOCK of
#: encoding.py). Rows that the database has written out again have other ones.
_COUNT = 20
_BLANK, _BRACE = b" }"
_decode_count = msgspec.json.Decoder(int).decode
_UNLIKE = b"\xff"  #: no column begins with it


class Decoded(NamedTuple):
    """The events of a page. Of their clocks, `clocks` has as many as it takes for a merger of
    these to be a merger of all: whoever reads the page need not look at each."""

    events: list[Event]
    clocks: list[dict[str, int]]


class Decoder:
    """Turns rows into Events, 2 us each. What recurs is made once (EventPool).

    Threads may share one.
    """

    LARGE = 64 * 1024  #: bytes; the events of less are not worth holding a collection back

    def __init__(self) -> None:
        self.pool = EventPool()

    def events(
        self, data: bytes, *, first_position: int | None = None, recorded_us: int | None = None
    ) -> list[Event]:
        """The events of back-to-back rows, or of a whole COPY stream.

        `first_position` and `recorded_us` stand in for rows that do not carry them yet.
        """
        return self.page(data, first_position=first_position, recorded_us=recorded_us).events

    def page(
        self, data: bytes, *, first_position: int | None = None, recorded_us: int | None = None
    ) -> Decoded:
        """The events, as `events` has them, and what their clocks come to."""
        self.pool.trim()
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
    ) -> Decoded:
        types = self.pool.types
        fields, length_at, causes_at = FIELDS.unpack_from, LENGTH.unpack_from, _CAUSES.unpack_from
        starts_with = data.startswith
        type_fields, event_type, kind = _UNLIKE, "", Kind.DEVICE
        source_column, source = _UNLIKE, ""
        recorded_at, recorded_was = _EPOCH, 0
        stamped = None if recorded_us is None else recorded_us - POSTGRES_EPOCH_US
        metadata: dict[str, str]
        # Events that were decided together have one clock but for the last count in it.
        clock_before, clock_size, node = _UNLIKE, 0, ""
        clock: Any = None
        newest: dict[str, int] = {}
        clocks: list[dict[str, int]] = []
        found: list[Event] = []
        at, stop = span(data)
        # One loop with few calls of its own: decoding is half of a subscriber's time. What
        # most readers never look at is only checked here.
        while at < stop:
            event_id, aggregate, version, moment, recorded, position = fields(data, at)
            if not FIRST_MOMENT <= moment <= LAST_MOMENT:
                moment_of(moment + POSTGRES_EPOCH_US)  # raises what is wrong with it
            at += TYPE_AT
            if not starts_with(type_fields, at):  # mostly they are those of the event before
                end = at + 4 + length_at(data, at)[0]
                end += 4 + length_at(data, end)[0]
                type_fields = data[at:end]
                if (named := types.get(type_fields)) is None:
                    named = types[type_fields] = _type_and_kind(type_fields)
                event_type, kind = named
            at += len(type_fields)
            if not starts_with(source_column, at):
                end = at + 4 + length_at(data, at)[0]
                source_column = data[at:end]
                source = source_column[4:].decode()
            end = at + len(source_column)
            at = end + 5
            end = at - 1 + length_at(data, end)[0]
            payload = decode(data[at:end])
            at = end + 5
            last = end + clock_size
            if starts_with(clock_before, end) and last < stop and data[last] == _BRACE:
                count = _decode_count(data[last - _COUNT + 1 : last])
                end = last + 1
                clock = data[at:end]
                if count > newest[node]:
                    newest[node] = count
            else:
                start = end
                end = at - 1 + length_at(data, end)[0]
                clock = decode(data[at:end])
                newest = dict(clock)
                clocks.append(newest)
                clock_before = _UNLIKE
                if data[end - _COUNT] == _BLANK and decode is decode_usual_json:
                    clock_before, node = _up_to_the_count(data[start:end], clock)
                    clock_size = end - start - 1
            first, correlation_id, second, causation_id, third = (
                causes_at(data, end) if end + _CAUSES.size <= stop else _SHORTER
            )
            unread: Any = Unread(
                event_id, aggregate, moment + POSTGRES_EPOCH_US, clock, correlation_id, causation_id
            )
            if first == 16 and second == 16 and third == -1:
                correlation = causation = unread
                metadata, at = {}, end + _CAUSES.size
            else:
                correlation, causation, metadata, at = _causes(data, end, decode)
            if stamped is not None:
                recorded = stamped
            if recorded != recorded_was:
                recorded_at, recorded_was = _EPOCH + timedelta(0, 0, recorded), recorded
            found.append(
                Event(
                    id=unread,
                    event_type=event_type,
                    kind=kind,
                    source=source,
                    aggregate_id=unread,
                    version=version,
                    timestamp=unread,
                    recorded_at=recorded_at,
                    position=position if first_position is None else first_position + len(found),
                    data=payload,
                    vector_clock=unread,
                    correlation_id=correlation,
                    causation_id=causation,
                    metadata=metadata,
                )
            )
        return Decoded(found, clocks)


def _up_to_the_count(column: bytes, clock: dict[str, int]) -> tuple[bytes, str]:
    """What a clock's column has before its last count, and whose count that is, if it has the
    form that a host gives it. Any number in the count's place then makes a clock of it."""
    head, count = column[:-_COUNT], column[-_COUNT:-1]
    node = next(reversed(clock), "")
    usual = head.endswith(b'"%b":' % node.encode()) and count.lstrip(b" ").isdigit()
    return (head, node) if usual else (_UNLIKE, "")


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


def _causes(
    data: bytes, at: int, decode: Callable[[bytes], Any]
) -> tuple[UUID | None, UUID | None, dict[str, str], int]:
    """Correlation id, causation id and metadata, any of which may be NULL; where they end."""
    ids: list[UUID | None] = []
    for _ in ("correlation_id", "causation_id"):
        size = max(LENGTH.unpack_from(data, at)[0], 0)
        ids.append(uuid_of(data[at + 4 : at + 20]) if size else None)
        at += 4 + size
    size = max(LENGTH.unpack_from(data, at)[0], 0)
    metadata = decode(data[at + 5 : at + 4 + size]) if size else {}
    return ids[0], ids[1], metadata, at + 4 + size


def _type_and_kind(fields: bytes) -> tuple[str, Kind]:
    end = 4 + LENGTH.unpack_from(fields, 0)[0]
    return fields[4:end].decode(), _KINDS[fields[end + 4 :]]


def column_values(rows: EncodedRows) -> list[tuple[Any, ...]]:
    """Rows as values of the table's columns, in the table's order: a few rows, 10 us each.
    Raises whatever reading what is no row comes to."""
    return [
        _values(bytes(rows.data[at : at + length]))
        for at, length in zip(row_starts(rows), rows.lengths, strict=True)
    ]


def _values(data: bytes) -> tuple[Any, ...]:
    event_id, aggregate, version, timestamp, recorded, position = FIELDS.unpack_from(data)
    at = TYPE_AT
    fields: list[bytes | None] = []
    while len(fields) < len(COLUMNS) - 6:
        (length,) = LENGTH.unpack_from(data, at)
        fields.append(None if length < 0 else data[at + 4 : at + 4 + length])
        at += 4 + max(length, 0)
    if at != len(data):
        raise ValueError(f"a row of {len(data)} bytes has columns of {at}")
    event_type, kind, source, payload, clock, correlation, causation, metadata = fields
    return (
        uuid_of(event_id), uuid_of(aggregate), version, position,
        _EPOCH + timedelta(0, 0, timestamp), _EPOCH + timedelta(0, 0, recorded),
        correlation and uuid_of(correlation), causation and uuid_of(causation),
        _text(kind), _text(event_type), _text(source),
        _text(payload, 1), _text(clock, 1), _text(metadata, 1),
    )  # fmt: skip


def _text(field: bytes | None, skip: int = 0) -> str | None:
    return None if field is None else field[skip:].decode()


class Fold(msgspec.Struct):
    """What folding a row into a state needs of it."""

    aggregate_id: bytes
    version: int
    timestamp_us: int  #: Unix microseconds
    event_type: bytes
    source: bytes  #: its column, as encoding.text_field makes it
    data: bytes  #: JSON text
    clock: bytes  #: JSON text
    position: int  #: in the log
    schema: int = 1  #: of which schema the data is (actors/schema.py)


def folds(data: bytes) -> Iterator[Fold]:
    """The rows of a COPY stream or of plain rows, for rehydration: 1 us each. What a row has in
    common with the one before it is not made again."""
    at, stop = span(data)
    unpack, fields, causes_at = LENGTH.unpack_from, FIELDS.unpack_from, _CAUSES.unpack_from
    starts, causes_size = data.startswith, _CAUSES.size
    type_column = source_column = _UNLIKE
    event_type = source = b""
    type_size = source_size = 0
    while at < stop:
        _, aggregate, version, timestamp, _, position = fields(data, at)
        at += TYPE_AT
        if not starts(type_column, at):
            type_size = 4 + unpack(data, at)[0]
            type_column = data[at : at + type_size]
            event_type = type_column[4:]
        at += type_size
        at += 4 + unpack(data, at)[0]
        if not starts(source_column, at):
            source_size = 4 + unpack(data, at)[0]
            source_column = source = data[at : at + source_size]
        at += source_size
        end = at + 4 + unpack(data, at)[0]
        payload = data[at + 5 : end]
        at = end + 5
        end += 4 + unpack(data, end)[0]
        clock = data[at:end]
        first, _, second, _, size = causes_at(data, end) if end + causes_size <= stop else _SHORTER
        if first == 16 and second == 16 and size == -1:
            schema, at = 1, end + causes_size
        else:
            for _ in ("correlation_id", "causation_id"):
                end += 4 + max(unpack(data, end)[0], 0)
            size = unpack(data, end)[0]
            at = end + 4 + max(size, 0)
            schema = 1 if size <= 0 else _schema_in(data[end + 5 : at])
        moment = timestamp + POSTGRES_EPOCH_US
        yield Fold(aggregate, version, moment, event_type, source, payload, clock, position, schema)


@lru_cache(256)
def _schema_in(metadata: bytes) -> int:
    """The schema version that the text of an event's metadata says."""
    try:
        return schema_of(decode_json(metadata))
    except (DecodeError, AttributeError, TypeError):  # of a hand that wrote into the database
        return UNKNOWN
