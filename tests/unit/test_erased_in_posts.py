"""Timers and messages of an actor that was erased in a whole system, and those of others, which go
on although whoever sends them has had to begin anew."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.event import DeviceEvent, Payload
from actors.timers import Schedule
from runtime.system import ActorSystem
from tests.unit.test_messages_between_actors import (
    Ping,
    Receiver,
    Sender,
    known_everywhere,
    take,
)
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

LIMIT_S = 30.0


class Set(Command):
    after_s: float


class Ring(Command):
    pass


class Rang(DeviceEvent):
    pass


class Clock(Actor[dict[str, int]]):
    """Rings once."""

    actor_type = "alarm"
    state_type = dict

    @handles
    def set(self, command: Set) -> Iterator[Payload | Schedule]:
        yield Schedule(after=timedelta(seconds=command.after_s), message=Ring(), key="k")

    @handles
    def ring(self, command: Ring) -> Iterator[Rang]:
        yield Rang()

    @applies
    def rang(self, event: Rang) -> None:
        self.state["rang"] = self.state.get("rang", 0) + 1


@pytest.fixture
def system() -> Iterator[ActorSystem]:
    with InProcessSystem(small_settings({"actor_system": {"hosts": 2}}, type="memory")) as system:
        known_everywhere(system, Receiver, Clock)
        yield system


def test_its_timers_never_fire_and_those_of_others_do(system: ActorSystem) -> None:
    one, other = system.actor(Clock, "a"), system.actor(Clock, "b")
    for ref in (one, other):
        ref.ask(Set(after_s=1.0)).result(LIMIT_S)
    receipt = system.erase(one, "its owner asked").result(LIMIT_S)
    assert receipt.events == 1
    assert [event.source for event in take(system, "rang", 1, sources="alarm/*")] == ["alarm/b"]
    system.actor(Clock, "c").ask(Set(after_s=0.05)).result(LIMIT_S)
    assert take(system, "rang", 2, sources="alarm/*")[1].source == "alarm/c"
    system.start(one).result(LIMIT_S)
    one.ask(Set(after_s=0.05)).result(LIMIT_S)
    assert take(system, "rang", 3, sources="alarm/*")[2].source == "alarm/a"
    assert one.state().result(LIMIT_S) == {"rang": 1}


def test_messages_to_it_come_back_and_those_of_others_arrive_before_and_after(
    system: ActorSystem,
) -> None:
    sender, gone = system.actor(Sender, "s"), system.actor(Receiver, "gone")
    system.tell_many((sender, Ping(number=1, to=to)) for to in ("receiver/gone", "receiver/r"))
    take(system, "counted", 2, sources="receiver/*")
    for turn in range(3):  # the deliverer begins anew each time, and returns what is refused
        system.erase(gone, "sold").result(LIMIT_S)
        for number in (2, 3):
            sender.ask(Ping(number=10 * turn + number, to="receiver/gone")).result(LIMIT_S)
        lost = take(system, "lost", 2 * turn + 2, sources="sender/s")
        assert [event.data["number"] for event in lost[-2:]] == [10 * turn + 2, 10 * turn + 3]
        assert all("was erased: sold" in event.data["reason"] for event in lost)
        sender.ask(Ping(number=turn + 1, to="receiver/r")).result(LIMIT_S)
        take(system, "counted", 2 + turn, sources="receiver/r")
        system.start(gone).result(LIMIT_S)
