"""A log out of columns, into a store that has none: nothing of it differs."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from actors.clock import VectorClock
from actors.event import Event, Kind
from actors.moments import FIRST_US, LAST_US, microseconds
from jobs.payload_columns import fields_of_types, values_of
from store.event_store import Epoch
from store.memory import MemoryEventStore
from store.restoring import NotRestorable, Restoring
from store.rows.columns import columns_of
from store.rows.decoding import Decoder
from tests.contracts.appending import NODE, Log, history, made_event

ODD: dict[str, Any] = {
    "none": None, "large": 1e22, "small": -1e-9, "whole": 2**62, "text": "ø\n\"☃\"", "list": [1,
    [2]], "object": {"": {}}, "true": True,
}  # fmt: skip


async def a_log() -> tuple[MemoryEventStore, list[Event]]:
    """One with all that an event may have, or not have."""
    store = MemoryEventStore()
    log = await Log.open(store)
    live = await log.append(
        made_event("device/one", 1, data=ODD, metadata={"by": "ø"}, kind=Kind.BUSINESS),
        made_event("device/one", 2, data={}, correlation_id=uuid4()),
        made_event("Zürich", 1, causation_id=uuid4(), correlation_id=uuid4()),
        made_event("device/one", 3, vector_clock=VectorClock({NODE: 40, "elsewhere": 7})),
    )
    live += await log.append(*history("device/two", 20))
    return store, live


async def columns(store: MemoryEventStore, after: int = 0, limit: int = 1_000) -> dict[str, Any]:
    return columns_of((await store.read(after, limit)).rows, FIRST_US, LAST_US + 1)


async def events(store: MemoryEventStore) -> list[Event]:
    return Decoder().events((await store.read(0, 1_000)).rows)


async def restored(*parts: dict[str, Any], into: MemoryEventStore | None = None) -> Restoring:
    store = MemoryEventStore() if into is None else into
    restoring = Restoring(store, "restoration", nodes=[NODE])
    await restoring.begin()
    for part in parts:
        await restoring.add(part)
    return restoring


@pytest.mark.parametrize("step", [1, 7, 1_000])
async def test_nothing_of_a_log_differs_when_it_is_restored(step: int) -> None:
    old, live = await a_log()
    new = MemoryEventStore()
    parts = [await columns(old, after, step) for after in range(0, len(live), step)]
    done = (await restored(*parts, into=new)).done
    assert (done.events, done.new) == (len(live), len(live))
    assert await events(new) == await events(old) == live
    assert await new.event_types() == {"temperature-reported"}


async def test_nodes_go_on_above_what_they_have_counted_and_others_are_nobody() -> None:
    old, _ = await a_log()
    new = MemoryEventStore()
    await restored(await columns(old), into=new)
    assert await new.nodes() == {"writer", NODE}
    epoch = (await new.epochs([NODE]))[NODE]
    assert isinstance(epoch, Epoch)
    assert epoch.counter == max(event.vector_clock.count(NODE) for event in await events(old))


async def test_one_that_was_interrupted_goes_on_and_a_second_one_changes_nothing() -> None:
    old, live = await a_log()
    new = MemoryEventStore()
    await restored(await columns(old, 0, 10), into=new)
    again = await restored(await columns(old), into=new)
    assert (again.done.events, again.done.new) == (len(live), len(live) - 10)
    assert await events(new) == live
    assert (await restored(await columns(old), into=new)).done.new == 0


async def test_a_log_of_something_else_is_left_alone() -> None:
    old, _ = await a_log()
    new = MemoryEventStore()
    log = await Log.open(new)
    there = await log.append(made_event("device/other"))
    with pytest.raises(NotRestorable, match="the log has other events"):
        await restored(await columns(old), into=new)
    assert await events(new) == there


async def test_what_would_leave_a_gap_is_refused() -> None:
    old, _ = await a_log()
    with pytest.raises(NotRestorable, match="device/one has version 2 where 1 is due"):
        await restored(await columns(old, 1))
    with pytest.raises(NotRestorable, match="not in order"):
        await restored(await columns(old, 0, 10), await columns(old))


async def test_columns_have_the_events_of_a_time() -> None:
    old, live = await a_log()
    first, end = microseconds(live[3].timestamp), microseconds(live[9].timestamp)
    found = columns_of((await old.read(0, 1_000)).rows, first, end)
    assert found["position"] == [event.position for event in live[3:9]]
    assert found["event_id"] == [str(event.id) for event in live[3:9]]
    assert [UUID(each) for each in found["aggregate_id"]] == [e.aggregate_id for e in live[3:9]]


def test_plain_fields_of_events_become_values_and_what_does_not_fit_none() -> None:
    fields = fields_of_types(())["flight-departed"]
    assert all(kind in ("whole", "number", "truth", "text", "moment") for kind in fields.values())
    known = {"whole": "whole", "number": "number", "truth": "truth", "when": "moment", "t": "text"}
    texts = [
        '{"whole": 7, "number": 1, "truth": true, "when": "2026-07-01T12:00:00Z", "t": "x"}',
        '{"whole": 9223372036854775808, "number": "1", "truth": 1, "when": "noon", "t": null}',
        "{}",
    ]
    columns = {"event_type": ["a", "a", "b"], "data": texts}
    first, second, other = values_of("a", known, columns)
    assert first is not None
    assert first.pop("when").isoformat() == "2026-07-01T12:00:00+00:00"
    assert first == {"whole": 7, "number": 1.0, "truth": True, "t": "x"}
    assert second == dict.fromkeys(known)
    assert other is None
