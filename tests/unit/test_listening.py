"""Actors that listen, in a scenario, and in a whole system inside this process."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.errors import InvalidActor, Rejected
from actors.event import BusinessEvent, DeviceEvent, Event, Payload
from actors.listening import heard_event, listens, told_event
from actors.tell import Tell
from runtime.processing.hearing import Hearing
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus, WorkerFacts
from store.errors import AnotherSelection, StoreUnavailable
from store.event_store import EventStore
from store.scenario import Scenario
from streams.errors import InvalidProgram
from streams.scenario import happened
from tests.unit.test_messages_between_actors import SOON_S, take
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


class Arrive(Command):
    where: str
    minutes_late: int = 0


class Arrived(DeviceEvent):
    where: str
    minutes_late: int


class Landed(BusinessEvent):
    flight: str
    late: bool


class Praise(Command):
    pass


class Praised(BusinessEvent):
    pass


class Plane(Actor[dict[str, int]]):
    state_type = dict
    ignores = (Arrived, Praised)

    @handles
    def arrive(self, message: Arrive) -> Iterator[Arrived]:
        yield Arrived(where=message.where, minutes_late=message.minutes_late)

    @handles
    def praise(self, message: Praise) -> Iterator[Praised]:
        yield Praised()


class Field(Actor[dict[str, int]]):
    """Counts what lands there."""

    state_type = dict

    @listens("arrived", sources="plane/*", name=lambda event: event.data["where"])
    def hear(self, event: Event) -> Iterator[Payload | Tell]:
        if event.data["minutes_late"] > 1000:
            raise Rejected("that is another flight")
        yield Landed(flight=event.source, late=event.data["minutes_late"] > 15)
        if event.data["minutes_late"] <= 0:
            yield Tell(event.source, Praise())

    @applies
    def landed(self, event: Landed) -> None:
        self.state["landed"] = self.state.get("landed", 0) + 1


def arrived(where: str, minutes_late: int = 0) -> Event:
    payload = Arrived(where=where, minutes_late=minutes_late)
    return happened(payload, source="plane/p1", at=NOON)


def test_a_scenario_has_events_come_to_who_listens() -> None:
    field = Scenario(Field, "EWR").when(arrived("EWR", 20))
    field.then(Landed(flight="plane/p1", late=True))
    field.when(arrived("EWR")).then(
        Landed(flight="plane/p1", late=False), Tell("plane/p1", Praise())
    )
    field.when(arrived("EWR", 2000)).then_rejected("another flight")
    with pytest.raises(AssertionError, match="does not listen to arrived"):
        field.when(arrived("JFK"))


def test_an_event_arrives_as_it_was() -> None:
    event = arrived("EWR", 3)
    assert heard_event(told_event(event)) == event


def test_what_listens_takes_an_event() -> None:
    class Deaf(Actor[dict[str, int]]):
        state_type = dict

        @listens("arrived", name=lambda event: "a")
        def hear(self, event: Arrive) -> Iterator[Arrived]:
            yield Arrived(where="", minutes_late=0)

    with pytest.raises(InvalidActor, match="hear listens, and so takes an Event"):
        Deaf.described()


def test_a_mark_says_what_and_whose_and_stands_above_a_method() -> None:
    with pytest.raises(ValueError, match="@listens says which events"):
        listens(name=lambda event: "a")
    with pytest.raises(TypeError, match="@listens says whose an event is"):
        listens("arrived", name="a")  # type: ignore[arg-type]
    mark = listens("arrived", name=lambda event: "a")
    with pytest.raises(TypeError, match=r"@listens\(...\) stands above a plain method"):
        mark(17)  # type: ignore[type-var]


@pytest.fixture
def system() -> Iterator[ActorSystem]:
    with InProcessSystem(small_settings({"actor_system": {"hosts": 2}}, type="memory")) as system:
        for number in range(12):
            system.actor(Plane, f"met-{number}").state().result()
        yield system


def land(system: ActorSystem, name: str, where: str, minutes_late: int = 0) -> Event:
    message = Arrive(where=where, minutes_late=minutes_late)
    return system.actor(Plane, name).ask(message).result()[0]


def facts_of(system: ActorSystem, program: str) -> WorkerFacts:
    found = [one.facts for one in system.status().result() if isinstance(one, ProcessStatus)]
    [facts] = [one for one in found if isinstance(one, WorkerFacts) and one.program == program]
    return facts


def until(holds: Any) -> None:
    """Wait for what announces itself to nobody."""
    until_s = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < until_s


def test_what_they_hear_takes_effect_once_with_its_cause(system: ActorSystem) -> None:
    early = land(system, "p1", "EWR", 0)
    system.run(Field).result(SOON_S)
    late = land(system, "p2", "JFK", 30)
    land(system, "p3", "JFK", 2000)
    last = land(system, "p1", "JFK", 20)
    landed = take(system, "landed", 3)
    by_flight = {event.causation_id: event for event in landed}
    assert by_flight.keys() == {early.id, late.id, last.id}
    assert {event.source for event in landed} == {"field/EWR", "field/JFK"}
    for cause in (early, late, last):
        effect = by_flight[cause.id]
        assert effect.correlation_id == cause.correlation_id
        assert effect.vector_clock > cause.vector_clock
        assert effect.timestamp == cause.timestamp
    [praised] = take(system, "praised", 1)
    assert praised.source == "plane/p1"
    until(lambda: facts_of(system, "field").position >= (last.position or 0))
    system.stop("field").result(SOON_S)
    system.run(Field).result(SOON_S)
    land(system, "p4", "EWR", 1)
    assert [event.data["flight"] for event in take(system, "landed", 4)][3] == "plane/p4"


def test_a_class_that_listens_to_nothing_or_to_something_else_is_refused(
    system: ActorSystem,
) -> None:
    with pytest.raises(InvalidProgram, match="listens to nothing"):
        system.run(Plane)
    with pytest.raises(ValueError, match="one worker"):
        system.run(Field, workers=2)
    system.run(Field).result(SOON_S)

    class Other(Actor[dict[str, int]]):
        state_type = dict
        actor_type = "field"
        ignores = (Landed,)
        replaces = (Field.class_name(),)

        @listens("praised", name=lambda event: "EWR")
        def hear(self, event: Event) -> Iterator[Landed]:
            yield Landed(flight="", late=False)

    with pytest.raises(AnotherSelection):
        system.run(Other).result(SOON_S)


def test_where_nobody_can_be_named_it_stands_until_it_is_resumed(system: ActorSystem) -> None:
    class Choosy(Actor[dict[str, int]]):
        state_type = dict
        ignores = (Landed,)

        @listens("arrived", name=lambda event: {"EWR": "newark"}[event.data["where"]])
        def hear(self, event: Event) -> Iterator[Landed]:
            yield Landed(flight=event.source, late=False)

    system.run(Choosy).result(SOON_S)
    land(system, "p1", "LGA")
    until(lambda: facts_of(system, "choosy").paused)
    assert "KeyError" in str(facts_of(system, "choosy").trouble)
    land(system, "p1", "EWR")
    assert system.resume("choosy", skip=True).result(SOON_S) == 1
    [landed] = take(system, "landed", 1)
    assert landed.source == "choosy/newark"


def test_it_does_not_hear_itself(system: ActorSystem) -> None:
    class Echo(Actor[dict[str, int]]):
        state_type = dict
        ignores = (Landed,)

        @listens("*", name=lambda event: "all")
        def hear(self, event: Event) -> Iterator[Landed]:
            yield Landed(flight=event.source, late=False)

    first = land(system, "p1", "EWR")
    system.run(Echo).result(SOON_S)
    take(system, "landed", 1)
    second = land(system, "p2", "EWR")
    landed = take(system, "landed", 2)
    assert [event.causation_id for event in landed] == [first.id, second.id]
    assert asyncio.run(_head(system)) == second.position


async def _head(system: ActorSystem) -> int:
    """Where the log stood when nothing was left to hear but one event."""
    return (await system.head()) - 1


def test_what_is_dropped_while_it_runs_listens_no_more_when_it_begins_anew(
    system: ActorSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.run(Field).result(SOON_S)
    land(system, "p1", "EWR")
    take(system, "landed", 1)
    log = system.connection.log

    async def drop(store: EventStore) -> bool:
        return await store.drop_subscription("field")

    async def names(store: EventStore) -> list[str]:
        return [record.name for record in await store.subscriptions()]

    async def away(hearing: Hearing, events: list[Event]) -> Any:
        raise StoreUnavailable("memory", "it was away for a moment")

    monkeypatch.setattr(Hearing, "_letters", away)
    assert system.connection.errand("drop", lambda: log.ask(drop)).result(SOON_S)
    land(system, "p2", "EWR")

    def ended() -> bool:
        found = [one.facts for one in system.status().result() if isinstance(one, ProcessStatus)]
        return not any(isinstance(one, WorkerFacts) for one in found)

    until(ended)
    asked = system.connection.errand("names", lambda: log.ask(names))
    assert "field" not in asked.result(SOON_S)
