"""Stopped and resting actors in a whole system inside this process: who speaks to them."""

from collections.abc import Iterator

import pytest

from actors.lifecycle import ActorWasStarted, ActorWasStopped
from actors.supervision import RestartPolicy, Supervision
from runtime.errors import ActorStopped, HandlerFailed, InvalidMessage, UnknownProgram
from runtime.system import ActorSystem
from tests.unit.test_messages_between_actors import (
    Ping,
    Pong,
    Receiver,
    Sender,
    known_everywhere,
    take,
)
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


class Tired(Receiver):
    """Rests for a moment after an eleven."""

    actor_type = "tired"
    supervision = Supervision(policy=RestartPolicy(intensity=None, backoff_s=0.2, jitter=0.0))


class Fragile(Receiver):
    """Is stopped by an eleven."""

    actor_type = "fragile"
    supervision = Supervision(strategy="stop")


@pytest.fixture
def system() -> Iterator[ActorSystem]:
    with InProcessSystem(small_settings({"actor_system": {"hosts": 2}}, type="memory")) as system:
        known_everywhere(system, Receiver, Tired, Fragile)
        yield system


def test_messages_wait_for_a_receiver_that_rests_and_come_in_their_order(
    system: ActorSystem,
) -> None:
    numbers = [1, 2, 11, 3, 4, 5]
    sender = system.actor(Sender, "s")
    system.tell_many((sender, Ping(number=number, to="tired/r")) for number in numbers)
    received = take(system, "counted", 5, sources="tired/r")
    assert [event.data["number"] for event in received] == [1, 2, 3, 4, 5]
    [lost] = take(system, "lost", 1, sources="sender/s")
    assert lost.data["number"] == 11  # what it failed at comes back, what had to wait does not


def test_messages_for_a_receiver_that_is_stopped_come_back(system: ActorSystem) -> None:
    sender = system.actor(Sender, "s")
    system.tell_many((sender, Ping(number=number, to="fragile/r")) for number in (1, 11, 2))
    lost = take(system, "lost", 2, sources="sender/s")
    assert [event.data["number"] for event in lost] == [11, 2]
    assert "fragile/r was stopped, because it failed" in lost[1].data["reason"]


def test_whoever_looks_at_a_stopped_actor_sees_its_state_and_why(system: ActorSystem) -> None:
    fragile = system.actor(Fragile, "f")
    fragile.ask(Pong(number=1)).result()
    with pytest.raises(HandlerFailed):
        fragile.ask(Pong(number=11)).result()
    [stop] = take(system, "actor-stopped", 1)
    assert ActorWasStopped(**stop.data) == ActorWasStopped(
        reason="it failed: RuntimeError: it breaks at elevens",
        message_type="pong",
        failure="RuntimeError: it breaks at elevens",
    )
    assert stop.position is not None
    past = system.state_as_of(fragile, position=stop.position).result()
    assert past == {"last": 1}
    with pytest.raises(ActorStopped):
        fragile.state().result()
    [started] = system.start(fragile, reason="mended").result()
    assert ActorWasStarted(**started.data) == ActorWasStarted(reason="mended")
    assert fragile.state().result() == {"last": 1}
    assert system.start(fragile).result() == []


def test_an_actor_is_stopped_and_started_by_hand(system: ActorSystem) -> None:
    ref = system.actor(Receiver, "r")
    [stop] = system.stop(ref, reason="it is being cleaned").result()
    assert stop.data["reason"] == "it is being cleaned"
    assert system.stop(ref).result() == []
    with pytest.raises(ActorStopped, match="because it is being cleaned"):
        ref.ask(Pong(number=1)).result()
    system.start(ref).result()
    assert ref.ask(Pong(number=1)).result()[0].version == 3


def test_who_starts_what_is_no_actor_is_told_so(system: ActorSystem) -> None:
    with pytest.raises(TypeError, match=r"it takes a ref, system\.actor\(CLASS, name\), not 'r'"):
        system.start("r")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"or a stream program's name as a text, not <class"):
        system.stop(Receiver)  # type: ignore[call-overload]
    with pytest.raises(
        UnknownProgram, match=r"'receiver/r' runs .*; an actor is a ref, system\.act"
    ):
        system.stop("receiver/r").result()
    with pytest.raises(InvalidMessage, match="a stop for receiver/r: its id is a UUID"):
        system.stop(system.actor(Receiver, "r"), id="me")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="a reason is a text, not 3"):
        system.stop(system.actor(Receiver, "r"), reason=3)  # type: ignore[call-overload]
