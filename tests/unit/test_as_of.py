"""States of the past: by when things happened, and by what was known."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click import UsageError
from click.testing import CliRunner

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent, Event
from actors.naming import aggregate_key_of
from jobs.cli.main import thornback
from runtime.driver.as_of import AsOf, PastState, past_states
from runtime.driver.ref import ActorRef
from runtime.errors import InvalidState, NotPossible
from runtime.system import ActorSystem
from store.event_store import Snapshot
from store.memory import MemoryEventStore
from tests.contracts.appending import Log, made_event
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Put(Command):
    item: str


class Taken(Command):
    item: str


class ItemPut(DeviceEvent):
    item: str


class ItemTaken(DeviceEvent):
    item: str


class Painted(DeviceEvent):
    pass


@dataclass
class ShelfState:
    items: list[str] = field(default_factory=list)
    last: str = ""


class Shelf(Actor[ShelfState]):
    ignores = (Painted,)

    @handles
    def put(self, message: Put) -> Iterator[ItemPut]:
        yield ItemPut(item=message.item)

    @handles
    def take(self, message: Taken) -> Iterator[ItemTaken]:
        yield ItemTaken(item=message.item)

    @applies
    def was_put(self, event: ItemPut) -> None:
        self.state.items.append(event.item)
        self.state.last = self.now.isoformat()

    @applies
    def was_taken(self, event: ItemTaken) -> None:
        self.state.items.remove(event.item)


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    with InProcessSystem(small_settings({}, type="memory")) as system:
        yield system


def after(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


async def put(shelf: ActorRef[ShelfState], *items: str) -> list[Event]:
    """One a minute."""
    return [
        (await shelf.ask(Put(item=item), at=after(minute)))[0] for minute, item in enumerate(items)
    ]


async def test_a_state_is_as_it_was_at_a_moment_and_at_a_position(system: ActorSystem) -> None:
    shelf = system.actor(Shelf, "a")
    events = await put(shelf, "cup", "jug", "pot")
    for minute, count in ((-1, 0), (0, 1), (1, 2), (2, 3), (9, 3)):
        state = await system.state_as_of(shelf, after(minute))
        assert state.items == ["cup", "jug", "pot"][:count], minute
        assert isinstance(state, ShelfState)
    assert (await system.state_as_of(shelf, after(1))).last == after(1).isoformat()
    just_before = after(1) - timedelta(microseconds=1)
    assert (await system.state_as_of(shelf, just_before)).items == ["cup"]
    for count, event in enumerate(events, 1):
        known = await system.state_as_of(shelf, position=event.position)
        assert known.items == ["cup", "jug", "pot"][:count]
    assert (await system.state_as_of(shelf, position=0)) == ShelfState()
    assert (await system.state_as_of(shelf, after(9))) == await shelf.state()


async def test_what_came_late_counts_at_the_moment_at_which_it_happened(
    system: ActorSystem,
) -> None:
    shelf = system.actor(Shelf, "a")
    _, jug = await put(shelf, "cup", "jug")
    [late] = await shelf.ask(Put(item="early"), at=after(-5))
    assert (await system.state_as_of(shelf, after(-5))).items == ["early"]
    assert (await system.state_as_of(shelf, after(0))).items == ["cup", "early"]
    assert (await system.state_as_of(shelf, position=jug.position)).items == ["cup", "jug"]
    assert (await system.state_as_of(shelf, position=late.position)).items[-1] == "early"


async def test_an_actor_without_events_is_as_it_begins(system: ActorSystem) -> None:
    assert await system.state_as_of(system.actor(Shelf, "new"), NOON) == ShelfState()


async def test_an_event_that_cannot_be_applied_without_one_that_is_left_out_is_told(
    system: ActorSystem,
) -> None:
    shelf = system.actor(Shelf, "a")
    await put(shelf, "cup")
    await shelf.ask(Taken(item="cup"), at=after(-5))
    with pytest.raises(InvalidState, match=r"shelf/a cannot be folded by Shelf: its event 2 "):
        await system.state_as_of(shelf, after(-1))
    assert (await system.state_as_of(shelf, after(0))).items == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "either when= or position="),
        ({"when": NOON, "position": 1}, "either when= or position="),
        ({"when": NOON.replace(tzinfo=None)}, "no time zone"),
        ({"when": "2026-07-01"}, "a moment is"),
        ({"when": 17}, "January 1970, in microseconds; a position of the log is position=17"),
        ({"position": -1}, "a position is a number from 0 on, not -1$"),
        ({"position": True}, "a position is"),
    ],
    ids=["nothing", "both", "no-zone", "text", "small", "negative", "bool"],
)
async def test_what_is_neither_a_moment_nor_a_position_is_refused(
    system: ActorSystem, given: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        system.state_as_of(system.actor(Shelf, "a"), **given)


async def test_a_ref_without_a_class_is_refused(system: ActorSystem) -> None:
    with pytest.raises(ValueError, match=r"takes the class of shelf/a: system\.actor\(CLASS"):
        system.state_as_of(system.actor("shelf", "a"), NOON)
    with pytest.raises(TypeError, match="state_as_of takes a ref"):
        system.state_as_of("shelf/a", NOON)  # type: ignore[arg-type]


def shelf_events(source: str, *items: str) -> list[Event]:
    return [
        made_event(
            source, version, event_type="item-put", data={"item": item},
            timestamp=after(version - 1),
        )
        for version, item in enumerate(items, 1)
    ]  # fmt: skip


async def states(
    store: MemoryEventStore, *sources: str, **as_of: Any
) -> dict[str, PastState | InvalidState]:
    found = await past_states(
        store, Shelf.described(), sources, AsOf.of(as_of.get("when"), as_of.get("position"))
    )
    return dict(found)


async def snapshot(store: MemoryEventStore, source: str, version: int, text: bytes) -> None:
    """One of a state that no events would give, so that it shows whether it was used."""
    await store.save_snapshots(
        [Snapshot(aggregate_id=aggregate_key_of(source), version=version, data=text)]
    )


MARKED = b'1\n{"items": ["from a snapshot"], "last": ""}'


@pytest.mark.parametrize("page_bytes", [1, 1_000_000])
async def test_a_snapshot_is_begun_with_where_it_is_older(
    monkeypatch: pytest.MonkeyPatch, page_bytes: int
) -> None:
    monkeypatch.setattr(MemoryEventStore, "PAGE_BYTES", page_bytes)
    store = MemoryEventStore()
    log = await Log.open(store)
    await log.append(*shelf_events("shelf/a", "1", "2", "3", "4"))
    await log.append(*shelf_events("shelf/b", "1", "2"))
    await snapshot(store, "shelf/a", 2, MARKED)

    async def items(position: int) -> list[str]:
        found = (await states(store, "shelf/b", "shelf/a", position=position))["shelf/a"]
        assert isinstance(found, PastState)
        assert found.version == min(position, 4)
        return list(found.state.items)

    assert await items(1) == ["1"]
    assert await items(2) == ["from a snapshot"]
    assert await items(3) == ["from a snapshot", "3"]
    assert await items(9) == ["from a snapshot", "3", "4"]
    # What a snapshot has in it may have happened later than its last event.
    by_moment = (await states(store, "shelf/a", when=after(9)))["shelf/a"]
    assert isinstance(by_moment, PastState)
    assert by_moment.state.items == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    "text", [b"2\n{}", b'1\n{"items": 7}', b""], ids=["other-format", "unreadable", "empty"]
)
async def test_a_snapshot_that_does_not_fit_is_passed_over(text: bytes) -> None:
    store = MemoryEventStore()
    log = await Log.open(store)
    await log.append(*shelf_events("shelf/a", "1", "2", "3"))
    await snapshot(store, "shelf/a", 2, text)
    found = (await states(store, "shelf/a", position=3))["shelf/a"]
    assert isinstance(found, PastState)
    assert (found.version, found.state.items) == (3, ["1", "2", "3"])


async def test_one_that_cannot_be_folded_takes_nothing_from_the_others() -> None:
    store = MemoryEventStore()
    log = await Log.open(store)
    await log.append(
        *shelf_events("shelf/a", "1"),
        made_event("shelf/b", event_type="unheard-of", timestamp=NOON),
        made_event("shelf/c", event_type="item-put", data={"thing": 1}, timestamp=NOON),
        made_event("shelf/d", event_type="painted", timestamp=NOON),
    )
    found = await states(store, "shelf/a", "shelf/b", "shelf/c", "shelf/d", when=NOON)
    assert isinstance(found["shelf/a"], PastState)
    for source in ("shelf/b", "shelf/c"):
        assert isinstance(found[source], InvalidState)
        assert "its event 1" in str(found[source])
    assert found["shelf/d"] == PastState(1, ShelfState(), 1_782_907_200_000_000, in_log=True)


async def test_what_is_not_in_the_log_is_told(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = system.actor(Shelf, "a")
    [event] = await put(shelf, "cup")
    head = event.position or 0
    with pytest.raises(NotPossible, match=f"the log ends at position {head}: what it is at 1,000"):
        await system.state_as_of(shelf, position=1000)
    assert (await system.state_as_of(shelf, position=head)).items == ["cup"]
    assert await system.state_as_of(shelf, after(-1)) == ShelfState()
    assert "has no event of" not in caplog.text
    misspelt = system.actor(Shelf, "A")
    assert await system.state_as_of(misspelt, position=head) == ShelfState()
    assert "the log has no event of shelf/A: this is the state of a new one" in caplog.text


def as_of(*arguments: str) -> None:
    """The command, which asks no system before it knows what for."""
    CliRunner().invoke(
        thornback, ["as-of", "--type", "shelf", *arguments], standalone_mode=False,
        catch_exceptions=False,
    )  # fmt: skip


def test_what_the_command_cannot_ask_is_told() -> None:
    with pytest.raises(UsageError, match="either --time or --position"):
        as_of()
    with pytest.raises(UsageError, match="Invalid isoformat"):
        as_of("--time", "noon")
    with pytest.raises(NotPossible, match=r"no class of the type 'shelf' is in json\Z"):
        as_of("--time", "2026-07-01", "--module", "json")
    with pytest.raises(NotPossible, match=r"'nowhere' cannot be imported here"):
        as_of("--time", "2026-07-01", "--module", "nowhere")
    with pytest.raises(NotPossible, match=r"is in actors\.devices: say in which one it is"):
        as_of("--time", "2026-07-01")
