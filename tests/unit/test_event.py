"""Events: their kinds, their envelope, and what is refused at the door."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.clock import CausalRelation, VectorClock
from actors.errors import InvalidName
from actors.event import BusinessEvent, DeviceEvent, Event, Kind, Payload, SystemEvent
from actors.naming import aggregate_id_of
from actors.schema import SCHEMA

WHEN = datetime(2013, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=-4)))


class Measured(DeviceEvent):
    at: datetime
    celsius: float


class Restarted(SystemEvent):
    """From a component."""


class OrderPlaced(BusinessEvent):
    """From a process."""


def made(payload: Payload, **changes: Any) -> Event:
    """An event of a payload."""
    fields: dict[str, Any] = {"source": "meter/1", "id": UUID(int=1), "timestamp": WHEN}
    return Event.of(payload, **{**fields, **changes})


@pytest.mark.parametrize(
    ("payload", "kind", "event_type"),
    [
        (Measured(at=WHEN, celsius=1.5), Kind.DEVICE, "measured"),
        (Restarted(), Kind.SYSTEM, "restarted"),
        (OrderPlaced(), Kind.BUSINESS, "order-placed"),
    ],
    ids=lambda value: getattr(value, "event_type", ""),
)
def test_an_event_has_the_kind_and_the_type_of_its_payload(
    payload: Payload, kind: Kind, event_type: str
) -> None:
    event = made(payload)
    assert (event.kind, event.event_type) == (kind, event_type)


def test_an_event_is_not_committed_when_it_is_made() -> None:
    event = made(Restarted(), correlation_id=UUID(int=2), causation_id=UUID(int=3))
    assert (event.version, event.position, event.recorded_at) == (None, None, None)
    assert (event.source, event.aggregate_id) == ("meter/1", aggregate_id_of("meter/1"))
    assert (event.id, event.timestamp) == (UUID(int=1), WHEN)
    assert (event.correlation_id, event.causation_id) == (UUID(int=2), UUID(int=3))
    assert (event.metadata, event.vector_clock) == ({}, VectorClock())


def test_an_events_data_is_plain_json() -> None:
    event = made(Measured(at=datetime(2013, 1, 1, tzinfo=UTC), celsius=1.5))
    assert event.data == {"at": "2013-01-01T00:00:00Z", "celsius": 1.5}


def test_an_event_says_its_own_schema_whatever_the_metadata_is_of() -> None:
    told = {SCHEMA: "2", "by": "test"}
    event = made(Restarted(), metadata=told)
    assert (event.metadata, event.schema_version) == ({"by": "test"}, 1)
    assert event.read(Restarted) == Restarted()
    assert made(Restarted(), metadata={SCHEMA: "none"}).metadata == {}


def test_an_events_metadata_is_a_copy() -> None:
    metadata = {"by": "test"}
    event = made(Restarted(), metadata=metadata)
    metadata["by"] = "somebody else"
    assert event.metadata == {"by": "test"}


def test_an_event_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        made(Restarted(), timestamp=WHEN.replace(tzinfo=None))


@pytest.mark.parametrize("source", ["", "  ", "a\x00", "x" * 1025, "\ud800"])
def test_an_event_of_a_source_that_no_log_can_hold_is_refused(source: str) -> None:
    with pytest.raises(InvalidName):
        made(Restarted(), source=source)


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        made(Restarted()).version = 2  # type: ignore[misc]


def test_events_are_related_by_their_clocks() -> None:
    first = made(Restarted())
    later = Event(
        **{
            **{name: getattr(first, name) for name in Event.__struct_fields__},
            "vector_clock": VectorClock({"a": 1}),
        }
    )
    assert first.relation_to(later) is CausalRelation.HAPPENED_BEFORE
    assert later.relation_to(first) is CausalRelation.HAPPENED_AFTER


def test_a_payload_needs_a_kind() -> None:
    class Kindless(Payload):
        pass

    with pytest.raises(AttributeError):
        made(Kindless())


def test_two_events_with_equal_clocks_are_concurrent_and_an_event_is_the_same_as_itself() -> None:
    clock = VectorClock({"node-001.meter": 51})
    first, second = (
        msgspec.structs.replace(made(Restarted(), id=UUID(int=number)), vector_clock=clock)
        for number in (1, 2)
    )
    assert first.relation_to(second) is CausalRelation.CONCURRENT
    assert first.relation_to(first) is CausalRelation.SAME
