"""Events as JSON: as members of an object, and from rows without decoding what they hold.

The payload and the clock of a row are JSON text already, and so they go into the text of the
event as they stand. The names are those of the view `log_events`.
"""

from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from actors.event import Event
from actors.moments import moment_of
from store.rows.layout import FIELDS, LENGTH, POSTGRES_EPOCH_US, TYPE_AT, span

_EPOCH = moment_of(POSTGRES_EPOCH_US)

_TEXT = (
    b'{"position":%d,"source":%b,"version":%d,"kind":%b,"event_type":%b,"data":%b,'
    b'"happened_at":"%b","recorded_at":"%b","event_id":"%b","correlation_id":%b,'
    b'"causation_id":%b,"vector_clock":%b,"metadata":%b}'
)

_to_json = msgspec.json.encode


def members_of(event: Event) -> dict[str, Any]:
    """An event under the names, and in the order, of its JSON text; ids and moments are still
    UUIDs and datetimes."""
    return {
        "position": event.position,
        "source": event.source,
        "version": event.version,
        "kind": event.kind.value,
        "event_type": event.event_type,
        "data": event.data,
        "happened_at": event.timestamp,
        "recorded_at": event.recorded_at,
        "event_id": event.id,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "vector_clock": dict(event.vector_clock.counts),
        "metadata": dict(event.metadata),
    }


class EventText(NamedTuple):
    """An event as JSON text, and where it stands."""

    position: int
    version: int
    text: bytes


class JsonEvents:
    """Turns rows into JSON texts, 5 us each. Keeps the names that recur, as JSON."""

    MAX_CACHED = 50_000  #: who publishes names sources and event types as he likes

    def __init__(self) -> None:
        self._names: dict[bytes, bytes] = {}

    def texts(
        self, data: bytes, *, first_position: int | None = None, recorded_us: int | None = None
    ) -> list[EventText]:
        """The events of back-to-back rows, or of a whole COPY stream, each as one JSON object
        on one line. `first_position` and `recorded_us` stand in for rows that do not carry them
        yet. Raises ValueError for moments that no calendar has."""
        if len(self._names) > self.MAX_CACHED:
            self._names.clear()
        found: list[EventText] = []
        unpack, named = LENGTH.unpack_from, self._named
        # What recurs from event to event is written once: that of a bulk call, mostly.
        recorded_was, recorded_at, moment_was, happened_at = None, b"", None, b""
        at, stop = span(data)
        while at < stop:
            event_id, _, version, moment, recorded, position = FIELDS.unpack_from(data, at)
            at += TYPE_AT
            columns: list[bytes | None] = []
            for _ in range(8):  # event type, kind, source, data, clock, both causes, metadata
                (length,) = unpack(data, at)
                at += 4
                if length < 0:
                    columns.append(None)
                else:
                    columns.append(data[at : at + length])
                    at += length
            event_type, kind, source, payload, clock, correlation, causation, metadata = columns
            if recorded_us is not None:
                recorded = recorded_us - POSTGRES_EPOCH_US
            if recorded != recorded_was:
                recorded_was, recorded_at = recorded, _moment(recorded)
            if moment != moment_was:
                moment_was, happened_at = moment, _moment(moment)
            caused = _uuid_or_null(causation)
            if first_position is not None:
                position = first_position + len(found)
            text = _TEXT % (
                position, named(source), version, named(kind), named(event_type), payload[1:],  # type: ignore[index]
                happened_at, recorded_at, _uuid(event_id),
                caused if correlation == causation else _uuid_or_null(correlation),
                caused, clock[1:],  # type: ignore[index]
                b"{}" if metadata is None else metadata[1:],
            )  # fmt: skip
            found.append(EventText(position, version, text))
        return found

    def _named(self, column: bytes | None) -> bytes:
        assert column is not None
        known = self._names.get(column)
        if known is None:
            known = self._names[column] = _to_json(column.decode())
        return known


def _moment(postgres_us: int) -> bytes:
    return (_EPOCH + timedelta(0, 0, postgres_us)).isoformat()[:-6].encode() + b"Z"


def _uuid(raw: bytes) -> bytes:
    text = raw.hex()  # a third of the time that UUID takes
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()


def _uuid_or_null(raw: bytes | None) -> bytes:
    return b"null" if raw is None else b'"%b"' % _uuid(raw)
