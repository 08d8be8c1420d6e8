"""Rows as JSON equal the events that a decoder makes of them."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from actors.clock import VectorClock
from actors.event import Event, Kind
from store.rows.decoding import Decoder
from store.rows.encoding import encode_event
from store.rows.json_events import JsonEvents, members_of
from store.rows.layout import EncodedRows, stamp
from tests.contracts.appending import made_event

EVENTS = [
    made_event(),
    made_event("device/ø\n☃", data={"deep": [{"x": None, "1e23": 1e23}], "text": 'a"b\\c'}),
    made_event(
        kind=Kind.BUSINESS,
        event_type="any/type \x7f",
        correlation_id=UUID(int=7),
        causation_id=UUID(int=8),
        metadata={"who": 'ü"'},
        vector_clock=VectorClock({"a": 1, "b": 2}),
    ),
    made_event(timestamp=datetime(1, 1, 1, tzinfo=UTC)),
    made_event(timestamp=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    made_event(timestamp=datetime(2026, 7, 1, 12, tzinfo=UTC)),
]


@pytest.mark.parametrize("event", EVENTS)
def test_a_row_is_told_as_its_event(event: Event) -> None:
    rows = EncodedRows.of([encode_event(event)])
    data = bytearray(rows.data)
    stamp(data, rows.lengths, 1_788_534_400_000_001, 42)
    (decoded,) = Decoder().events(bytes(data))
    (told,) = JsonEvents().texts(bytes(data))
    assert (told.position, told.version) == (42, decoded.version)
    assert b"\n" not in told.text
    said = json.loads(told.text)
    for name in ("happened_at", "recorded_at"):
        said[name] = datetime.fromisoformat(said[name])
    for name in ("event_id", "correlation_id", "causation_id"):
        said[name] = said[name] and UUID(said[name])
    assert said == members_of(decoded)
    assert list(said) == list(members_of(decoded))


def test_rows_that_are_not_stamped_are_told_with_what_stands_beside_them() -> None:
    rows = EncodedRows.of([encode_event(event) for event in EVENTS])
    told = JsonEvents().texts(
        bytes(rows.data), first_position=10, recorded_us=1_767_225_600_000_000
    )
    assert [each.position for each in told] == list(range(10, 10 + len(EVENTS)))
    assert {json.loads(each.text)["recorded_at"] for each in told} == {"2026-01-01T00:00:00Z"}


def test_names_that_recur_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JsonEvents, "MAX_CACHED", 5)
    json_events = JsonEvents()
    for number in range(20):
        rows = EncodedRows.of([encode_event(made_event(f"device/{number}"))])
        json_events.texts(bytes(rows.data))
        assert len(json_events._names) <= 5 + 3
