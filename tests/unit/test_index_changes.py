"""What an index does about odd actors, and about programs that have another class of its type."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent
from actors.naming import aggregate_id_of
from runtime.errors import IndexBehind, InvalidQuery
from runtime.processing import finding
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus, WorkerFacts
from store.event_store import EventStore
from streams.actor_index import ActorIndex, Unread
from streams.scenario import happened
from tests.contracts.appending import made_event
from tests.integration.systems import eventually

LIMIT_S = 30.0
INDEX = "index-of-meter"


class Show(Command):
    """Show this number."""

    number: int


class Shown(DeviceEvent):
    """It does."""

    number: int


class Elsewhere(DeviceEvent):
    """Something that no meter knows."""


@dataclass
class MeterState:
    """Of a meter."""

    number: int = 0
    times: int = 0


@dataclass
class HeavierState:
    """The same, in a later release: its total follows from all that it has shown."""

    number: int = 0
    times: int = 0
    total: int = 0


class HeavierMeter(Actor[HeavierState]):
    """The meter of that release."""

    actor_type = "meter"
    indexes = ("number",)

    @applies
    def shown(self, event: Shown) -> None:
        self.state.number = event.number
        self.state.times += 1
        self.state.total += event.number


async def test_a_row_whose_state_another_class_has_made_is_folded_again() -> None:
    key = "meter/a"
    events = [
        made_event(key, version, data={"number": number}, event_type="shown")
        for version, number in ((1, 5), (2, 7))
    ]
    earlier, later = ActorIndex(meter_class()), ActorIndex(HeavierMeter)
    values = earlier.form.values(earlier.folded(key, events))
    assert values is not None
    assert earlier.row_of(key, values).actor is not None
    with pytest.raises(Unread) as unread:  # it would have a total of nothing
        later.row_of(key, values)
    assert unread.value.version == 2
    mended = later.mended(key, events, 2)
    again = later.form.values(mended)
    assert again is not None
    found = later.row_of(key, again).actor
    assert found is not None
    assert found.state == HeavierState(number=7, times=2, total=12)
    # A row of a release that did not say by what it was made is taken, as it was then.
    unmarked = (*values[:-1], values[-1].partition("\n")[2])
    assert earlier.row_of(key, unmarked).version == 2


def meter_class(
    name: str = "meter", *, factor: int = 1, snapshot_format: int = 1, indexes: Any = ("number",)
) -> type[Actor[MeterState]]:
    """A class of meters, as some deployment has it."""

    class Meter(Actor[MeterState]):
        """Shows a number, but not 13."""

        actor_type = name

        @handles
        def show(self, command: Show) -> Iterator[Shown]:
            """As it is told."""
            yield Shown(number=command.number)

        @applies
        def shown(self, event: Shown) -> None:
            """It shows this number."""
            self.state.number = event.number * factor

    Meter.snapshot_format = snapshot_format
    Meter.indexes = indexes
    return Meter


METER = meter_class()


def show(system: ActorSystem, name: str, number: int) -> None:
    system.actor(METER, name).ask(Show(number=number)).result(LIMIT_S)


def named(found: Any) -> list[str]:
    return [ref.source.partition("/")[2] for ref in found]


def stands(system: ActorSystem) -> str | None:
    """What its worker says, once it stands at an event."""
    for status in system.status().result(LIMIT_S):
        facts = status.facts if isinstance(status, ProcessStatus) else None
        if isinstance(facts, WorkerFacts) and facts.program == INDEX and facts.paused:
            return facts.trouble
    return None


def wait_until_it_stands(system: ActorSystem) -> str:
    eventually(lambda: stands(system) is not None)
    return stands(system) or ""


def test_an_actor_that_no_row_can_hold_is_passed_over_once_and_found_when_it_is_well(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    show(system, "odd", 1)
    show(system, "well", 1)
    assert named(system.find(METER, number=1).result(LIMIT_S)) == ["odd", "well"]
    show(system, "odd", 2**63)
    assert "number is 9223372036854775808: beyond 64 bits" in wait_until_it_stands(system)
    system.resume(INDEX, skip=True).result(LIMIT_S)
    # Not as it was before the event: it is no longer so.
    assert named(system.find(METER, number=1).result(LIMIT_S)) == ["well"]
    show(system, "odd", 2**64)
    assert named(system.find(METER).result(LIMIT_S)) == ["well"]
    show(system, "odd", 5)
    assert named(system.find(METER, number=5).result(LIMIT_S)) == ["odd"]
    show(system, "odd", 6)
    assert named(system.find(METER, number=6).result(LIMIT_S)) == ["odd"]


def test_whether_it_stands_does_not_depend_on_where_batches_end(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    for number in (2**63, 5):
        show(system, "odd", number)
    system.index(METER).result(LIMIT_S)  # both events are in one batch
    assert "beyond 64 bits" in wait_until_it_stands(system)
    system.resume(INDEX, skip=True).result(LIMIT_S)
    assert named(system.find(METER, number=5).result(LIMIT_S)) == ["odd"]


class Choosy(Actor[MeterState]):
    """Does not know 13."""

    actor_type = "meter"
    indexes = ("number",)

    @applies
    def shown(self, event: Shown) -> None:
        """It shows this number."""
        if event.number == 13:
            raise ValueError("unlucky")
        self.state.number = event.number


def test_an_actor_at_whose_history_the_code_fails_is_left_out_and_keeps_nobody_waiting(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    for name, number in (("odd", 1), ("odd", 13), ("odd", 2), ("well", 2)):
        show(system, name, number)
    system.index(Choosy).result(LIMIT_S)
    assert "unlucky" in wait_until_it_stands(system)
    system.resume(INDEX, skip=True).result(LIMIT_S)
    assert named(system.find(Choosy).result(LIMIT_S)) == ["well"]
    show(system, "odd", 3)
    assert named(system.find(Choosy).result(LIMIT_S)) == ["well"]
    system.index(METER).result(LIMIT_S)  # mended
    show(system, "odd", 4)
    assert named(system.find(METER, number=4).result(LIMIT_S)) == ["odd"]


def test_what_somebody_published_under_an_aggregates_id_keeps_its_actor_from_nothing(
    memory_system: ActorSystem,
) -> None:
    system = memory_system
    foreign = str(aggregate_id_of("meter/a"))
    event = happened(Elsewhere(), source=foreign, at=datetime.now(UTC))
    system.publish(event).result(LIMIT_S)
    show(system, "a", 1)
    assert named(system.find(METER, number=1).result(LIMIT_S)) == ["a"]
    system.stop(INDEX).result(LIMIT_S)
    show(system, "a", 2)
    assert named(system.find(METER, number=2).result(LIMIT_S)) == ["a"]


def test_states_of_another_snapshot_format_are_not_found(memory_system: ActorSystem) -> None:
    system = memory_system
    show(system, "a", 1)
    assert named(system.find(METER, number=1).result(LIMIT_S)) == ["a"]
    tenfold = meter_class(factor=10, snapshot_format=2)
    with pytest.raises(InvalidQuery, match=r"its index is of another class, .*system\.index\("):
        system.find(tenfold, number=10).result(LIMIT_S)
    system.index(tenfold).result(LIMIT_S)
    assert named(system.find(tenfold, number=10).result(LIMIT_S)) == ["a"]
    assert named(system.find(tenfold, number=1).result(LIMIT_S)) == []


def tables(system: ActorSystem) -> list[tuple[str, int]]:
    async def look() -> list[tuple[str, int]]:
        store = await system.open_store()
        try:
            return [(table.name, table.number) for table in await store.projections()]
        finally:
            await store.close()

    return asyncio.run(look())


def fingerprints(system: ActorSystem) -> list[str]:
    return [
        status.facts.fingerprint
        for status in system.status().result(LIMIT_S)
        if isinstance(status, ProcessStatus) and isinstance(status.facts, WorkerFacts)
    ]


def test_who_only_asks_takes_nobodys_index_away(memory_system: ActorSystem) -> None:
    system = memory_system
    show(system, "a", 1)
    wider = meter_class(indexes=("number", "times"))
    system.find(wider, number=1, times=0).result(LIMIT_S)
    there, running = tables(system), fingerprints(system)
    with pytest.raises(InvalidQuery, match="number bigint NOT NULL, times bigint NOT NULL"):
        system.find(METER, number=1).result(LIMIT_S)
    doubled = meter_class(indexes=("number", "times"), factor=2)
    show(system, "a", 1)
    assert named(system.find(doubled, number=1).result(LIMIT_S)) == ["a"]
    assert (tables(system), fingerprints(system)) == (there, running)


def test_a_page_is_of_a_table_that_was_as_far_as_it_says(
    memory_system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, times = memory_system, 0
    for name in "abc":
        show(system, name, 1)
    assert len(system.find(METER, number=1).result(LIMIT_S)) == 3
    seen = finding._seen

    async def seen_and_then_dropped(actor_type: str, at_least: int, store: EventStore) -> int:
        nonlocal times
        position = await seen(actor_type, at_least, store)
        times += 1
        if times == 1:
            await store.drop_program(INDEX)
            await store.open_projection(ActorIndex(METER).table)
        return position

    monkeypatch.setattr(finding, "_seen", seen_and_then_dropped)
    try:
        found = system.find(METER, number=1, timeout_s=1.0).result(LIMIT_S)
    except IndexBehind:
        return  # nobody has begun it again
    assert (named(found), found.position) == (["a", "b", "c"], 3)
    assert times > 1


def test_a_type_whose_index_would_be_taken_for_a_rebuild_is_refused(
    memory_system: ActorSystem,
) -> None:
    line = meter_class("line.rebuild")
    with pytest.raises(InvalidQuery, match="would be taken for one that is built anew"):
        memory_system.find(line, number=1)
    with pytest.raises(InvalidQuery, match="would be taken for one that is built anew"):
        memory_system.index(line)
