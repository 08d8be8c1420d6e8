"""Rows of the log as plain records: a decoder of its own, which shares no code with the path.

A row is one tuple of PostgreSQL's binary COPY format: a count of columns, then each column
as a length (-1 for NULL) and its bytes.
"""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """One event as it stands in the log."""

    id: bytes
    aggregate_id: bytes
    version: int
    timestamp_us: int
    recorded_us: int
    position: int
    event_type: str
    kind: str
    source: str
    data: bytes  #: JSON text
    clock: bytes  #: JSON text
    correlation_id: bytes | None
    causation_id: bytes | None
    metadata: bytes | None

    @property
    def payload(self) -> dict[str, Any]:
        """The data's values."""
        found: dict[str, Any] = json.loads(self.data)
        return found

    @property
    def erased(self) -> bool:
        """Is it a tombstone, whose data is gone?"""
        return self.payload == {"$erased": True}

    @property
    def counts(self) -> dict[str, int]:
        """The vector clock; the node that ticked stands last."""
        found: dict[str, int] = json.loads(self.clock)
        return found


def columns_of(row: bytes) -> list[bytes | None]:
    """The columns of one row."""
    found: list[bytes | None] = []
    at = 2
    for _ in range(int.from_bytes(row[:2], "big")):
        size = int.from_bytes(row[at : at + 4], "big", signed=True)
        at += 4
        found.append(None if size < 0 else row[at : at + size])
        at += max(size, 0)
    if at != len(row):
        raise ValueError(f"a row of {len(row)} bytes has columns of {at}")
    return found


def record_of(row: bytes) -> Record:
    """One row as a record."""
    columns = columns_of(row)
    version, timestamp_us, recorded_us, position = (
        int.from_bytes(column or b"", "big", signed=True) for column in columns[2:6]
    )
    event_type, kind, source = ((column or b"").decode() for column in columns[6:9])
    return Record(
        id=columns[0] or b"",
        aggregate_id=columns[1] or b"",
        version=version,
        timestamp_us=timestamp_us,
        recorded_us=recorded_us,
        position=position,
        event_type=event_type,
        kind=kind,
        source=source,
        data=_json(columns[9]) or b"",
        clock=_json(columns[10]) or b"",
        correlation_id=columns[11],
        causation_id=columns[12],
        metadata=_json(columns[13]),
    )


def _json(column: bytes | None) -> bytes | None:
    return None if column is None else column[1:]  # without jsonb's version
