"""Erasing in a whole system inside this process: what is left, and what goes on."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.event import DeviceEvent, Event, Kind, Payload
from actors.lifecycle import ERASED, ActorWasErased
from actors.naming import aggregate_key_of
from actors.timers import Schedule
from runtime.driver.as_of import AsOf, PastState, past_states
from runtime.driver.life import asked_life
from runtime.errors import ActorErased, InvalidState, NotPossible
from runtime.host.history_check import HistoryCheck
from runtime.system import ActorSystem
from runtime.topology.names import WRITER_ACTOR
from runtime.topology.status import ProcessStatus, WorkerFacts
from runtime.wire.commands import ERASE
from store.memory import MemoryEventStore
from store.rows.tombstones import tombstone_of
from store.scenario import Scenario
from streams.pipeline import EventPipeline
from streams.projection import Projection
from tests.contracts.appending import Log, made_event
from tests.integration.systems import eventually
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

LIMIT_S = 30.0
SECRET = "12 Main Street"


class Move(Command):
    to: str


class Moved(DeviceEvent):
    to: str


class Remind(Command):
    text: str


@dataclass
class DwellingState:
    at: str = ""
    moves: int = 0


class Dwelling(Actor[DwellingState]):
    actor_type = "dwelling"
    indexes = ("at",)

    @handles
    def move(self, command: Move) -> Iterator[Moved]:
        yield Moved(to=command.to)

    @handles
    def remind(self, command: Remind) -> Iterator[Payload | Schedule]:
        yield Schedule(after=3_600.0, message=Move(to=command.text), key="later")

    @applies
    def moved(self, event: Moved) -> None:
        self.state.at = event.to
        self.state.moves += 1


@dataclass(frozen=True)
class Address:
    at: str


class Addresses(Projection[Address]):
    """Every event makes the row of its source, also actor-erased."""

    sources = ("dwelling/*",)

    def project(self, event: Event, row: Address | None) -> Address | None:
        return Address(str(event.data.get("to", "nowhere")))


def counts() -> EventPipeline:
    """How often each has moved, and where to last."""
    return (
        EventPipeline("moves", ["moved"])
        .key_by(lambda event: event.source)
        .fold([0, ""], lambda kept, event: [kept[0] + 1, event.data["to"]])
        .emit("move-counted")
    )


@pytest.fixture
def system() -> Iterator[ActorSystem]:
    settings = small_settings(
        {"actor_system": {"hosts": 2}, "event_store": {"snapshot_frequency": 2}}, type="memory"
    )
    with InProcessSystem(settings) as system:
        yield system


def rows_with(system: ActorSystem, text: str) -> list[str]:
    """Sources of events of the log that have a text in them."""
    store = memory_of(system)
    return [str(row) for row in store._rows if text.encode() in row]


def second(standing: Path) -> EventPipeline:
    """What the last of each key was, of `passed`; it stands there until it may go on."""

    def may_go_on(event: Event) -> bool:
        if event.event_type == "passed" and standing.exists():
            raise RuntimeError("it stands")
        return True

    return (
        EventPipeline("second", ["passed", "moved"], on_failure="pause")
        .filter(may_go_on)
        .key_by(lambda event: event.source.removeprefix("first/"))
        .fold([0, ""], lambda kept, event: [kept[0] + 1, event.data["to"]])
        .emit("second-counted")
    )


def first(standing: Path) -> EventPipeline:
    """It puts out what it is given."""

    def may_go_on(event: Event) -> bool:
        if event.source == "dwelling/a" and standing.exists():
            raise RuntimeError("it stands")
        return True

    return (
        EventPipeline("first", ["moved"], on_failure="pause")
        .key_by(lambda event: event.source)
        .filter(may_go_on)
        .map(lambda event: {"to": event.data["to"]})
        .emit("passed")
    )


def memory_of(system: ActorSystem) -> MemoryEventStore:
    assert isinstance(system, InProcessSystem)
    writer: Any = system._processes._named[WRITER_ACTOR]
    store: MemoryEventStore = writer._memory
    return store


def test_nothing_of_it_is_left_and_everybody_else_goes_on(system: ActorSystem) -> None:
    one, other = system.actor(Dwelling, "a"), system.actor(Dwelling, "b")
    system.run(Addresses(), workers=1).result(LIMIT_S)
    system.run(counts(), workers=1).result(LIMIT_S)
    for number in range(5):
        one.ask(Move(to=f"{SECRET}, {number}")).result(LIMIT_S)
        other.ask(Move(to=f"a street, {number}")).result(LIMIT_S)
    one.ask(Remind(text=SECRET)).result(LIMIT_S)
    other.ask(Remind(text="a street")).result(LIMIT_S)
    assert [ref.source for ref in system.find(Dwelling).result(LIMIT_S)] == [
        "dwelling/a",
        "dwelling/b",
    ]
    follow = system.subscribe("moved", after=0, name="reports")
    assert next(iter(follow)).data["to"] == f"{SECRET}, 0"
    store = memory_of(system)
    eventually(lambda: len(store._timers) == 2)
    eventually(lambda: store._states.count(["dwelling/a"]) == 1)
    eventually(lambda: len(rows_with(system, SECRET)) == 11)  # and the outputs of the pipeline

    receipt = system.erase(one, "its owner asked").result(LIMIT_S)
    assert (receipt.events, receipt.timers, receipt.states, receipt.outputs) == (6, 1, 1, 5)
    assert receipt.rows == 2  # of the projection, and of the index
    assert rows_with(system, SECRET) == []
    with pytest.raises(ActorErased, match="its owner asked"):
        one.ask(Move(to="elsewhere")).result(LIMIT_S)

    for number in range(5, 8):
        other.ask(Move(to=f"a street, {number}")).result(LIMIT_S)
    eventually(lambda: store._states.load("moves", ["dwelling/b"])["dwelling/b"].find(b"7") > 0)
    assert [ref.source for ref in system.find(Dwelling).result(LIMIT_S)] == ["dwelling/b"]
    follow.close()  # what was in hand is not finished, and comes again: to nobody
    with system.subscribe("moved", after=0, name="reports") as again:
        events = iter(again)
        assert [next(events).source for _ in range(8)] == ["dwelling/b"] * 8
        again.finish().result(LIMIT_S)
        assert again.receipt.count == 13
    eventually(lambda: ends_where_the_log_does(system, store))
    assert asyncio.run(store.search_erased(receipt)).agrees(receipt)
    assert system.erase(one, "once more").result(LIMIT_S) == receipt
    assert system.state_as_of(one, position=store_head(store)).result(LIMIT_S) == DwellingState()


def store_head(store: MemoryEventStore) -> int:
    return len(store._rows)


def ends_where_the_log_does(system: ActorSystem, store: MemoryEventStore) -> bool:
    """Have all programs come to where the last event is?"""
    slots = [each for each in store._subscriptions.all() if "/" in each.name]
    return min(each.position for each in slots) >= len(store._rows) - 20


def test_it_begins_anew(system: ActorSystem) -> None:
    one = system.actor(Dwelling, "a")
    one.ask(Move(to=SECRET)).result(LIMIT_S)
    system.erase(one, "sold").result(LIMIT_S)
    [started] = system.start(one).result(LIMIT_S)
    assert started.version == 3
    assert one.state().result(LIMIT_S) == DwellingState()
    assert system.find(Dwelling, at="there").result(LIMIT_S).refs == []
    [moved] = one.ask(Move(to="there")).result(LIMIT_S)
    assert moved.version == 4
    assert one.state().result(LIMIT_S) == DwellingState(at="there", moves=1)
    found = system.find(Dwelling, at="there").result(LIMIT_S)
    assert [ref.source for ref in found] == ["dwelling/a"]
    assert system.state_as_of(one, position=moved.position).result(LIMIT_S).moves == 1
    assert rows_with(system, SECRET) == []


def test_it_begins_anew_only_when_its_erasure_has_come_to_its_end(system: ActorSystem) -> None:
    one = system.actor(Dwelling, "a")
    one.ask(Move(to=SECRET)).result(LIMIT_S)
    # Whoever erases it is killed behind that.
    asked_life(one, ERASE, "sold", system.connection.new_id()).result(LIMIT_S)
    with pytest.raises(NotPossible, match="dwelling/a was erased, and that has not come to its"):
        system.start(one).result(LIMIT_S)
    with pytest.raises(ActorErased):
        one.ask(Move(to="there")).result(LIMIT_S)
    assert system.erase(one, "sold").result(LIMIT_S).version == 2
    assert [event.version for event in system.start(one).result(LIMIT_S)] == [3]
    assert rows_with(system, SECRET) == []


def test_a_subscription_from_the_beginning_meets_no_tombstone_and_hears_of_the_erasure(
    system: ActorSystem,
) -> None:
    one, other = system.actor(Dwelling, "a"), system.actor(Dwelling, "b")
    for number in range(3):
        one.ask(Move(to=f"{SECRET} {number}")).result(LIMIT_S)
        other.ask(Move(to="x")).result(LIMIT_S)
    system.erase(one, "its owner asked").result(LIMIT_S)
    other.ask(Move(to="last")).result(LIMIT_S)

    def told(**how: Any) -> list[str]:
        found = []
        with system.subscribe(after=0, **how) as events:
            for event in events:
                found.append(event.event_type)
                if event.data.get("to") == "last":
                    break
            if how:
                receipt = events.finish() and events.receipt
                assert receipt.count == 8  # whoever counts has them all
        return found

    expected = ["moved", "moved", "moved", "actor-erased", "moved"]
    assert told() == expected
    assert told(name="all") == expected
    pages = []
    with system.subscribe(after=0, name="pages") as events:
        for page in events.pages():
            pages += [event.event_type for event in page]
            if len(pages) == 5:
                break
    assert pages == expected


def test_who_is_not_there_and_what_is_no_reason(system: ActorSystem) -> None:
    nobody = system.actor(Dwelling, "nobody")
    with pytest.raises(NotPossible, match="the log has no event of dwelling/nobody"):
        system.erase(nobody, "a typo").result(LIMIT_S)
    with pytest.raises(ValueError, match="has a reason"):
        system.erase(nobody, " ")
    with pytest.raises(TypeError, match="takes a ref"):
        system.erase("dwelling/nobody", "x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a reason is a text"):
        system.erase(nobody, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="keys is a list"):
        system.erase(nobody, "x", keys="a")
    assert system.actor(Dwelling, "nobody").ask(Move(to="here")).result(LIMIT_S)[0].version == 1


def test_a_scenario_knows_that_it_is_over() -> None:
    dwelling = Scenario(Dwelling).given(Moved(to="x"), ActorWasErased(reason="sold", events=1))
    assert dwelling.state == DwellingState()
    with pytest.raises(AssertionError, match="takes no commands"):
        dwelling.when(Move(to="y"), at=datetime.now().astimezone())


def test_programs_that_begin_behind_an_erasure_meet_no_tombstone(system: ActorSystem) -> None:
    one, other = system.actor(Dwelling, "a"), system.actor(Dwelling, "b")
    for ref in (one, other, one, other):
        ref.ask(Move(to=SECRET if ref is one else "x")).result(LIMIT_S)
    receipt = system.erase(one, "its owner asked").result(LIMIT_S)
    system.run(counts(), workers=1, after=0).result(LIMIT_S)
    system.run(Addresses(), workers=1, after=0).result(LIMIT_S)
    other.ask(Move(to="last")).result(LIMIT_S)
    store = memory_of(system)
    rows = store._projections.rows
    eventually(lambda: rows("addresses").get("dwelling/b") == ("last",))
    assert rows("addresses").keys() == {"dwelling/b"}
    eventually(lambda: store._states.count(["dwelling/b"]) == 1)
    slots = [each for each in store._subscriptions.all() if each.name.startswith("addresses/")]
    assert sum(each.receipt.count for each in slots) == 6  # tombstones are finished, too
    assert asyncio.run(store.search_erased(receipt)).agrees(receipt)


def test_what_a_program_puts_out_behind_the_end_is_read_by_nobody_once_it_is_erased(
    system: ActorSystem, tmp_path: Path
) -> None:
    one, other = system.actor(Dwelling, "a"), system.actor(Dwelling, "b")
    first_stands, second_stands = tmp_path / "first", tmp_path / "second"
    first_stands.touch()
    second_stands.touch()
    system.run(first(first_stands), workers=1).result(LIMIT_S)
    system.run(second(second_stands), workers=1).result(LIMIT_S)
    one.ask(Move(to=SECRET)).result(LIMIT_S)
    [erased] = asked_life(one, ERASE, "asked", system.connection.new_id()).result(LIMIT_S)
    store = memory_of(system)
    eventually(lambda: stands(system, "first"))
    first_stands.unlink()
    system.resume("first").result(LIMIT_S)
    eventually(lambda: len(rows_with(system, SECRET)) >= 2)
    eventually(lambda: stands(system, "second"))  # it has read that, and not written it

    receipt = system.erase(one, "asked").result(LIMIT_S)
    assert rows_with(system, SECRET) == []
    second_stands.unlink()
    system.resume("second").result(LIMIT_S)
    other.ask(Move(to="last")).result(LIMIT_S)
    eventually(lambda: len(rows_with(system, "second/dwelling/b")) == 2)
    assert rows_with(system, SECRET) == []
    assert asyncio.run(store.search_erased(receipt)).agrees(receipt)
    with system.subscribe("passed", after=erased.position) as events:
        assert next(iter(events)).source == "first/dwelling/b"


@dataclass(frozen=True)
class Seen:
    last: str


class Names(Projection[Seen]):
    """What came last of each name, also actor-erased. It stands at its first event until it may go
    on."""

    sources = ("dwelling/*",)
    on_failure = "pause"

    def __init__(self, standing: Path) -> None:
        self._standing = standing

    def key(self, event: Event) -> str | None:
        if self._standing.exists():
            raise RuntimeError("it stands")
        return event.source.partition("/")[2]

    def project(self, event: Event, row: Seen | None) -> Seen | None:
        return Seen(event.event_type)


def test_a_program_that_lags_brings_nothing_back_under_a_key_that_was_named(
    system: ActorSystem, tmp_path: Path
) -> None:
    one, other = system.actor(Dwelling, "a"), system.actor(Dwelling, "b")
    standing = tmp_path / "names"
    standing.touch()
    system.run(Names(standing), workers=1).result(LIMIT_S)
    one.ask(Move(to=SECRET)).result(LIMIT_S)
    eventually(lambda: stands(system, "names"))
    receipt = system.erase(one, "asked", keys=["a"]).result(LIMIT_S)
    standing.unlink()
    system.resume("names").result(LIMIT_S)
    other.ask(Move(to="last")).result(LIMIT_S)
    store = memory_of(system)
    eventually(lambda: store._projections.rows("names").get("b") == ("moved",))
    assert store._projections.rows("names").keys() == {"b"}
    assert asyncio.run(store.search_erased(receipt)).agrees(receipt)
    system.start(one, reason="sold").result(LIMIT_S)  # from there on it is in its table again
    eventually(lambda: store._projections.rows("names").get("a") == ("actor-started",))


def stands(system: ActorSystem, program: str) -> bool:
    """Does a program stand at an event?"""
    found = [
        status.facts
        for status in system.status().result(LIMIT_S)
        if isinstance(status, ProcessStatus)
    ]
    return any(isinstance(f, WorkerFacts) and f.program == program and f.paused for f in found)


def test_a_state_of_the_past_is_refused_while_its_erasure_is_half_done(
    system: ActorSystem,
) -> None:
    one = system.actor(Dwelling, "a")
    for number in range(7):
        one.ask(Move(to=str(number))).result(LIMIT_S)
    asked_life(one, ERASE, "asked", system.connection.new_id()).result(LIMIT_S)
    store = memory_of(system)
    store._snapshots.clear()
    for at in range(4):  # one stretch is done, and whoever did it has died
        store._rows[at] = tombstone_of(store._rows[at])
    with pytest.raises(InvalidState, match="is being erased"):
        system.state_as_of(one, position=6).result(LIMIT_S)
    system.erase(one, "asked").result(LIMIT_S)
    for position in (6, 8):
        assert system.state_as_of(one, position=position).result(LIMIT_S) == DwellingState()


def test_what_could_not_be_applied_before_an_erasure_is_no_trouble_behind_it(
    system: ActorSystem,
) -> None:
    store = MemoryEventStore()
    log = asyncio.run(Log.open(store))
    odd = made_event("dwelling/a", event_type="odd")
    ends = {"reason": "sold", "events": 1}
    erased = made_event("dwelling/a", 2, data=ends, event_type=ERASED, kind=Kind.SYSTEM)
    asyncio.run(log.append(odd, erased))
    key = aggregate_key_of("dwelling/a")
    rows = asyncio.run(store.load_rows({key: 0})).rows
    actor = system.actor(Dwelling, "a").actor
    assert actor is not None
    check = HistoryCheck(actor.described())
    check.begin(["dwelling/a"])
    check.fold(rows)
    assert [each.event_type for each in check.misfits] == ["odd"]
    assert not check._folded[key][1].broken
    found = asyncio.run(past_states(store, actor.described(), ["dwelling/a"], AsOf(position=2)))[
        "dwelling/a"
    ]
    assert isinstance(found, PastState)
    assert found.state == DwellingState()
