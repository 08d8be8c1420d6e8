"""Tombstones: what is left of a row whose data was erased. All columns stay but two: the data is
the same for all of them, and there is no metadata."""

from store.rows.layout import COLUMNS, LENGTH, TYPE_AT

#: As PostgreSQL writes it, and therefore as rows of the log have it.
TOMBSTONE_TEXT = b'{"$erased": true}'

#: The column, with its length and the version of the binary format of jsonb.
_COLUMN = LENGTH.pack(len(TOMBSTONE_TEXT) + 1) + b"\x01" + TOMBSTONE_TEXT
_NULL = LENGTH.pack(-1)

#: Columns of no fixed size before the data, and between it and the metadata, which are the last.
_BEFORE = COLUMNS.index("event_data") - COLUMNS.index("event_type")
_BETWEEN = COLUMNS.index("metadata") - COLUMNS.index("event_data") - 1
#: Bytes before the text of the data: its length, and the version of the binary format of jsonb.
_PREFIX = LENGTH.size + 1


def tombstone_of(row: bytes) -> bytes:
    """A row without its data."""
    at = _behind(row, TYPE_AT, _BEFORE)
    end = _behind(row, at, 1)
    last = _behind(row, end, _BETWEEN)
    return row[:at] + _COLUMN + row[end:last] + _NULL


def is_tombstone(row: bytes) -> bool:
    """Was the data of a row erased?"""
    return row.startswith(_COLUMN, _behind(row, TYPE_AT, _BEFORE))


def data_of(row: bytes) -> bytes:
    """The JSON text of a row's data."""
    at = _behind(row, TYPE_AT, _BEFORE)
    return row[at + _PREFIX : _behind(row, at, 1)]


def _behind(row: bytes, at: int, columns: int) -> int:
    """Where so many columns end of which the first begins there."""
    for _ in range(columns):
        at += LENGTH.size + max(LENGTH.unpack_from(row, at)[0], 0)
    return at
