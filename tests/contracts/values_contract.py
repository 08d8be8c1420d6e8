"""What every event store promises of values: an event read equals the event that was live."""

from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings

from actors.clock import VectorClock
from actors.event import Event, Kind
from store.event_store import EventStore
from store.rows.decoding import Decoder
from store.rows.json_text import MAX_EVENT_BYTES
from tests.contracts.appending import Log, made_event
from tests.strategies import json_objects

#: One store serves all examples of a property: the log only grows, ids never recur.
many_examples = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)

NUMBERS = [
    0, -1, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**40, -(10**400), 10**4000,
    0.1, -0.0, 1.0, 1e15, 1e16, 1e22, 1e23, 1.5e300, 1e308, 1.7976931348623157e308,
    2.5e-7, 5e-324, 2.2250738585072014e-308, -1e23,
]  # fmt: skip


def nested(depth: int) -> Any:
    """Objects and lists, by turns, so deep."""
    value: Any = "bottom"
    for level in range(depth):
        value = {"": value} if level % 2 else [value]
    return value


DOCUMENTS: list[dict[str, Any]] = [
    {},
    {"": ""},
    {"": {"": {"": []}}},
    {"true": True, "false": False, "null": None},
    {"text": '"\\/\b\f\n\r\t\x01\x1f\x7f\u2028☃😀\uffff'},
    {"☃": "\\u0000", "a\\b": "NaN e+ Infinity"},
    {"deep": nested(199)},  # as deep as any may be
]


async def stored(store: EventStore, *events: Event) -> tuple[list[Event], list[Event]]:
    """The events as a live subscriber has them, and as the log has them."""
    log = await Log.open(store)
    before = log.head
    live = await log.append(*events)
    page = await store.read(before, len(events))
    return live, Decoder().events(page.rows)


def same(first: Any, second: Any) -> bool:
    """Equal, and of the same types all the way down: 1 is not 1.0, nor True."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


class ValuesContract:
    """Needs a fixture `store`: an empty event store."""

    async def test_every_field_of_the_envelope_comes_back(self, store: EventStore) -> None:
        event = made_event(
            "Zürich/☃\n'\\%",
            7,
            kind=Kind.BUSINESS,
            event_type="a.b-c1",
            timestamp=datetime(1, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
            correlation_id=UUID(int=5),
            causation_id=UUID(int=2**128 - 1),
            metadata={"": "empty", "naïve": "☃"},
            vector_clock=VectorClock({"host-a": 2**40, 'quote"': 1}),
        )
        live, read = await stored(store, event)
        assert live == read
        [found] = read
        for field in Event.__struct_fields__:
            if field not in ("position", "recorded_at"):
                assert getattr(found, field) == getattr(event, field), field
        assert found.position == 1
        assert found.recorded_at == datetime(2014, 1, 1, 0, 0, 0, 1, tzinfo=UTC)

    async def test_absent_causes_and_metadata_stay_absent(self, store: EventStore) -> None:
        one, two = UUID(int=1), UUID(int=2)
        causes = list(product((None, one), (None, one, two), ({}, {"k": "v"})))
        events = [
            made_event("device/one", n, correlation_id=first, causation_id=second, metadata=more)
            for n, (first, second, more) in enumerate(causes, 1)
        ]
        live, read = await stored(store, *events)
        assert live == read
        assert [(e.correlation_id, e.causation_id, e.metadata) for e in read] == causes

    async def test_numbers_come_back_as_they_were(self, store: EventStore) -> None:
        await self._come_back(store, [{"number": n, "list": [n]} for n in NUMBERS])

    async def test_documents_come_back_as_they_were(self, store: EventStore) -> None:
        await self._come_back(store, DOCUMENTS)

    async def _come_back(self, store: EventStore, documents: list[dict[str, Any]]) -> None:
        events = [made_event("device/one", n, data=data) for n, data in enumerate(documents, 1)]
        live, read = await stored(store, *events)
        for data, was_live, was_read in zip(documents, live, read, strict=True):
            assert same(was_live.data, data), data
            assert same(was_read.data, data), data

    async def test_data_of_one_mebibyte_comes_back_as_it_was(self, store: EventStore) -> None:
        data = {"x": "☃" * ((MAX_EVENT_BYTES - 8) // 3)}
        live, read = await stored(store, made_event(data=data))
        assert live[0].data == read[0].data == data

    @many_examples
    @given(documents=json_objects)
    async def test_any_json_data_comes_back_as_it_was(
        self, store: EventStore, documents: list[dict[str, Any]]
    ) -> None:
        source = f"device/{await store.head()}"
        events = [made_event(source, n, data=data) for n, data in enumerate(documents, 1)]
        live, read = await stored(store, *events)
        assert live == read
        assert all(same(event.data, data) for event, data in zip(read, documents, strict=True))
