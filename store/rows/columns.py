"""Rows as columns, and back: for files that keep a column's values together.

What JSON is stays the text that the database has, so that nothing of it changes on the way. The
names are those of the view `log_events`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from store.rows.encoding import cause_fields, clock_column, encode_row, text_field, type_fields
from store.rows.json_text import decode_json
from store.rows.layout import FIELDS, LENGTH, POSTGRES_EPOCH_US, TYPE_AT, span

NAMES = (
    "position", "source", "version", "kind", "event_type", "data", "happened_at", "recorded_at",
    "event_id", "aggregate_id", "correlation_id", "causation_id", "vector_clock", "metadata",
)  # fmt: skip


def columns_of(data: bytes, first_us: int, end_us: int) -> dict[str, list[Any]]:
    """The columns of rows, or of a whole COPY stream, of the events that happened from one moment
    on and before another (Unix microseconds): moments as such, ids and JSON as text, and None for
    what an event does not have."""
    found: dict[str, list[Any]] = {name: [] for name in NAMES}
    adders = [found[name].append for name in NAMES]
    unpack = LENGTH.unpack_from
    at, stop = span(data)
    while at < stop:
        event_id, aggregate, version, moment, recorded, position = FIELDS.unpack_from(data, at)
        at += TYPE_AT
        texts: list[bytes | None] = []
        for _ in range(8):  # event type, kind, source, data, clock, both causes, metadata
            (length,) = unpack(data, at)
            at += 4
            texts.append(None if length < 0 else data[at : at + length])
            at += max(length, 0)
        happened_us = moment + POSTGRES_EPOCH_US
        if not first_us <= happened_us < end_us:
            continue
        event_type, kind, source, payload, clock, correlation, causation, metadata = texts
        values = (
            position, source.decode(), version, kind.decode(), event_type.decode(),  # type: ignore[union-attr]
            payload[1:].decode(), happened_us, recorded + POSTGRES_EPOCH_US,  # type: ignore[index]
            _uuid(event_id), _uuid(aggregate), correlation and _uuid(correlation),
            causation and _uuid(causation), clock[1:].decode(),  # type: ignore[index]
            metadata and metadata[1:].decode(),
        )  # fmt: skip
        for add, value in zip(adders, values, strict=True):
            add(value)
    return found


def rows_of(columns: Mapping[str, Sequence[Any]]) -> Iterable[bytes]:
    """The rows of columns as `columns_of` makes them, with position and commit time still open.
    Raises InvalidData, ValueError and KeyError for what no log has written."""
    for values in zip(*(columns[name] for name in NAMES), strict=True):
        row = dict(zip(NAMES, values, strict=True))
        correlation, causation = (
            None if row[name] is None else UUID(row[name]).bytes
            for name in ("correlation_id", "causation_id")
        )
        metadata = row["metadata"]
        yield encode_row(
            UUID(row["event_id"]).bytes,
            UUID(row["aggregate_id"]).bytes,
            row["version"],
            row["happened_at"],
            type_fields(row["event_type"], row["kind"]),
            text_field(row["source"]),
            row["data"].encode(),
            clock_column(row["vector_clock"].encode()),
            cause_fields(
                correlation,
                causation,
                None if metadata is None else decode_json(metadata.encode()),
            ),
        )


def _uuid(raw: bytes) -> str:
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
