"""What every event store promises of causes: what an event has caused, and what belongs
together."""

from typing import Any
from uuid import UUID

import pytest

from actors.event import Event
from actors.ids import event_id
from store.event_store import EventStore, Found
from store.rows.decoding import Decoder
from tests.contracts.appending import Log, history, made_event

COMMAND, OTHER = UUID(int=0xABCDEF), UUID(int=0xABCDEE)


def first_of(command: UUID, source: str = "device/one", version: int = 1, **more: Any) -> Event:
    """The first event of a command that names nothing else."""
    causes = {"correlation_id": command, "causation_id": command, **more}
    return made_event(source, version, id=UUID(bytes=event_id(command.bytes, 0)), **causes)


def events_of(found: Found) -> list[Event]:
    return Decoder().events(found.rows)


async def caused(store: EventStore, *causes: UUID, limit: int = 100) -> list[Event]:
    return events_of(await store.find_caused([each.bytes for each in causes], limit))


async def correlated(store: EventStore, correlation: UUID, limit: int = 100) -> list[Event]:
    return events_of(await store.find_correlated(correlation.bytes, limit))


class CausesContract:
    """Needs a fixture `store`: an empty event store."""

    async def test_what_names_a_cause_is_found_by_it_in_the_order_of_the_log(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        live = await log.append(
            made_event("device/one", causation_id=COMMAND, correlation_id=OTHER),
            made_event("device/two", causation_id=OTHER, correlation_id=COMMAND),
            made_event("device/three", causation_id=COMMAND, correlation_id=UUID(int=9)),
            made_event("device/four", causation_id=COMMAND),
            made_event("device/five", correlation_id=COMMAND),
            made_event("device/six"),
        )
        assert await caused(store, COMMAND) == [live[0], live[2], live[3]]
        assert await caused(store, OTHER, COMMAND, UUID(int=5), OTHER) == live[:4]
        assert await caused(store, live[0].id) == []
        assert await store.find_caused([], 10) == Found(rows=b"", more=False)
        assert await correlated(store, COMMAND) == [live[1], live[4]]
        assert await correlated(store, OTHER) == live[:1]
        assert await correlated(store, UUID(int=5)) == []

    async def test_the_events_of_a_command_belong_to_it_and_to_no_other(
        self, store: EventStore
    ) -> None:
        log = await Log.open(store)
        own: dict[str, Any] = {"causation_id": COMMAND, "correlation_id": COMMAND}
        live = await log.append(
            first_of(COMMAND, version=1),
            made_event("device/one", 2, **own),
            made_event("device/one", 3, **own),
            first_of(OTHER, version=4),  # whose ids are near those of that one
            made_event("device/three", causation_id=live_id(COMMAND), correlation_id=COMMAND),
        )
        assert (await caused(store, COMMAND))[0] == live[0]
        assert await correlated(store, COMMAND) == [*live[:3], live[4]]
        assert await caused(store, live[0].id) == [live[4]]
        assert await caused(store, OTHER) == await correlated(store, OTHER) == [live[3]]

    @pytest.mark.parametrize(
        "causes",
        [
            {"correlation_id": OTHER},
            {"causation_id": OTHER},
            {"correlation_id": None},
            {"causation_id": None},
            {"correlation_id": None, "causation_id": None},
        ],
        ids=["other-correlation", "other-cause", "no-correlation", "no-cause", "neither"],
    )
    async def test_the_first_event_of_a_command_that_names_something_else_is_found_by_that_alone(
        self, store: EventStore, causes: dict[str, Any]
    ) -> None:
        log = await Log.open(store)
        [event] = await log.append(first_of(COMMAND, **causes))
        named = {"correlation_id": COMMAND, "causation_id": COMMAND, **causes}
        for id_ in (COMMAND, OTHER):
            expected = [event] if named["causation_id"] == id_ else []
            assert await caused(store, id_) == expected
            expected = [event] if named["correlation_id"] == id_ else []
            assert await correlated(store, id_) == expected

    async def test_of_many_the_first_are_found(self, store: EventStore) -> None:
        log = await Log.open(store)
        effects = [
            made_event("device/one", n, causation_id=cause, correlation_id=OTHER)
            for n, cause in enumerate([COMMAND, UUID(int=9)] * 10, 1)
        ]
        live = await log.append(first_of(OTHER, "device/two"), *effects)
        assert await caused(store, COMMAND, OTHER, UUID(int=9), limit=5) == live[:5]
        assert await caused(store, COMMAND, limit=3) == [live[1], live[3], live[5]]
        assert await correlated(store, OTHER, limit=4) == live[:4]
        assert not (await store.find_correlated(OTHER.bytes, 4)).more
        assert await correlated(store, OTHER) == live

    async def test_a_look_for_them_brings_so_many_bytes_and_says_that_there_are_more(
        self, store: EventStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "PAGE_BYTES", 2_000_000, raising=False)
        log = await Log.open(store)
        large: dict[str, Any] = {
            "data": {"x": "y" * 900_000},
            "causation_id": COMMAND,
            "correlation_id": OTHER,
        }
        live = await log.append(*(made_event("device/one", n, **large) for n in range(1, 9)))
        await log.append(*history("device/two", 3))
        for found in (
            await store.find_caused([COMMAND.bytes], 100),
            await store.find_correlated(OTHER.bytes, 100),
        ):
            assert found.more
            assert len(found.rows) < 2_000_000 + 1_000_000
            events = events_of(found)
            assert events == live[: len(events)]


def live_id(command: UUID) -> UUID:
    """The id of a command's first event."""
    return UUID(bytes=event_id(command.bytes, 0))
