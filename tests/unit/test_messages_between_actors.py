"""Messages between actors in a whole system inside this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest

from actors.actor import Actor, applies, handles
from actors.command import Command
from actors.errors import Rejected
from actors.event import BusinessEvent, Event, Payload
from actors.examples.load_management import Charger, LoadManager, PlugIn, SetLimit, Unplug
from actors.messages import RETURNS_SOURCE, MessageRefused
from actors.tell import Tell
from runtime.driver.subscription import Subscription
from runtime.errors import HandlerFailed
from runtime.system import ActorSystem
from runtime.topology.status import DelivererFacts, ProcessStatus
from streams.handler import Handler
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

#: How long something may take here that takes a moment.
SOON_S = 30.0


class Ping(Command):
    number: int
    to: str


class Pong(Command):
    number: int


class Bad(Command):
    what: str


class Counted(BusinessEvent):
    number: int


class Lost(BusinessEvent):
    number: int
    reason: str


class Talk(BusinessEvent):
    """Of a user's own, under the name of ours."""

    event_type = "message-sent"
    number: int


class Sender(Actor[dict[str, int]]):
    """Sends what it is told to send."""

    state_type = dict
    ignores = (Counted, Lost)

    @handles
    def ping(self, message: Ping) -> Iterator[Payload | Tell]:
        yield Counted(number=message.number)
        yield Tell(message.to, Pong(number=message.number))

    @handles
    def bad(self, message: Bad) -> Iterator[Any]:
        yield Counted(number=0)
        if message.what == "no command":
            yield Tell("receiver/a", Counted(number=1))  # type: ignore[arg-type]
        elif message.what == "not handled":
            yield Tell((Receiver, "a"), Ping(number=1, to=""))
        elif message.what == "no name":
            yield Tell((Receiver, ""), Pong(number=1))
        elif message.what == "nobody":
            yield Tell(17, Pong(number=1))
        elif message.what == "NaN":
            yield Tell("receiver/a", Odd(value=float("nan")))
        else:
            yield Pong(number=1)

    @handles
    def back(self, message: MessageRefused) -> Iterator[Lost]:
        yield Lost(number=message.message["number"], reason=message.reason)


class NamesClass(Actor[dict[str, int]]):
    """Names the class of whom it tells, which no driver ever sees."""

    state_type = dict
    ignores = (Counted,)

    @handles
    def ping(self, message: Ping) -> Iterator[Payload | Tell]:
        yield Counted(number=message.number)
        yield Tell((Unseen, message.to), Pong(number=message.number))


class Odd(Command):
    value: float


class Forwards(Handler):
    """Tells the receiver of each ping, and whoever is no command's receiver of sevens."""

    name = "forwards"
    event_types = ("counted",)
    sources = ("sender/*",)

    def handle(self, event: Event) -> Iterator[Payload | Tell]:
        number = event.data["number"]
        yield Counted(number=number)
        yield Tell((Receiver, "of-programs"), Pong(number=number))


class Silent(Actor[dict[str, int]]):
    """Takes nothing back."""

    state_type = dict
    ignores = (Counted,)

    @handles
    def ping(self, message: Ping) -> Iterator[Payload | Tell]:
        yield Counted(number=message.number)
        yield Tell(message.to, Pong(number=message.number))


class Receiver(Actor[dict[str, int]]):
    """Takes everything but sevens."""

    state_type = dict

    @handles
    def pong(self, message: Pong) -> Iterator[Counted]:
        if message.number % 7 == 0:
            raise Rejected("no sevens")
        if message.number % 11 == 0:
            raise RuntimeError("it breaks at elevens")
        yield Counted(number=message.number)

    @applies
    def counted(self, event: Counted) -> None:
        self.state["last"] = event.number


class Unseen(Receiver):
    """Known by messages to it alone."""


@pytest.fixture
def system() -> Iterator[ActorSystem]:
    with InProcessSystem(small_settings({"actor_system": {"hosts": 2}}, type="memory")) as system:
        system.actor(Receiver, "known").state().result()
        yield system


def known_everywhere(system: ActorSystem, *actors: type[Actor[Any]]) -> None:
    """Each host knows these classes."""
    for actor in actors:
        for number in range(20):
            system.actor(actor, f"met-{number}").state().result()


def deliverer(system: ActorSystem) -> list[DelivererFacts]:
    """What it says of itself, if there is one."""
    statuses = system.status().result()
    facts = [one.facts for one in statuses if isinstance(one, ProcessStatus)]
    return [one for one in facts if isinstance(one, DelivererFacts)]


def take(system: ActorSystem, event_type: str, count: int, **subscribed: Any) -> list[Event]:
    """So many events of the log, from its beginning, which come within SOON_S."""

    async def taken() -> list[Event]:
        async with asyncio.timeout(SOON_S):
            return [event async for event, _ in _numbered(stream, count)]

    with system.subscribe(event_type, after=0, **subscribed) as stream:
        return asyncio.run(taken())


async def _numbered(stream: Subscription, count: int) -> AsyncIterator[tuple[Event, int]]:
    number = 0
    async for event in stream:
        number += 1
        yield event, number
        if number == count:
            return


def test_a_message_takes_effect_with_its_cause_its_correlation_and_a_greater_clock(
    system: ActorSystem,
) -> None:
    known_everywhere(system, Receiver)
    asked = system.actor(Sender, "s").ask(Ping(number=1, to="receiver/r")).result()
    sent = asked[1]
    assert [event.event_type for event in asked] == ["counted", "message-sent"]
    assert sent.data == {
        "to": "receiver/r", "message_type": "pong", "message": {"number": 1}, "returns": True,
    }  # fmt: skip
    [received] = take(system, "counted", 1, sources="receiver/*")
    assert received.source == "receiver/r"
    assert received.causation_id == sent.id
    assert received.correlation_id == sent.correlation_id
    assert sent.vector_clock < received.vector_clock
    assert received.timestamp == sent.timestamp


def test_messages_of_a_pair_come_in_order(system: ActorSystem) -> None:
    known_everywhere(system, Receiver)
    numbers = [number for number in range(1, 300) if number % 7 and number % 11]
    sender = system.actor(Sender, "s")
    system.tell_many((sender, Ping(number=number, to="receiver/r")) for number in numbers)
    received = take(system, "counted", len(numbers), sources="receiver/r")
    assert [event.data["number"] for event in received] == numbers
    assert [event.version for event in received] == list(range(1, len(numbers) + 1))


def test_what_is_refused_comes_back_to_who_takes_it_and_is_in_the_log(
    system: ActorSystem,
) -> None:
    known_everywhere(system, Receiver)
    sender = system.actor(Sender, "s")
    for number in (7, 11):
        sender.ask(Ping(number=number, to="receiver/r")).result()
    lost = take(system, "lost", 2, sources="sender/s")
    assert [event.data["number"] for event in lost] == [7, 11]
    assert lost[0].data["reason"] == "no sevens"
    assert "it breaks at elevens" in lost[1].data["reason"]
    returned = take(system, "message-returned", 2)
    assert [event.source for event in returned] == [RETURNS_SOURCE] * 2
    assert [event.data["error"] for event in returned] == ["Rejected", "HandlerFailed"]
    assert [event.causation_id for event in lost] == [event.id for event in returned]
    sent = take(system, "message-sent", 2)
    assert [event.causation_id for event in returned] == [event.id for event in sent]
    for chain in zip(sent, returned, lost, strict=True):
        assert all(one.vector_clock < other.vector_clock for one, other in pairwise(chain))


def test_what_nobody_takes_back_is_a_dead_letter(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    known_everywhere(system, Receiver)
    system.actor(Silent, "s").ask(Ping(number=7, to="receiver/r")).result()
    take(system, "message-returned", 1)
    system.actor(Silent, "s").ask(Ping(number=8, to="receiver/r")).result()
    take(system, "counted", 1, sources="receiver/r")
    until_s = time.monotonic() + SOON_S
    while not deliverer(system)[0].dead:
        assert time.monotonic() < until_s
    assert deliverer(system)[0].dead == 1
    assert "a dead letter" in caplog.text
    [letter] = system.dead_letters("messages").result()
    assert (letter.key, letter.event.event_type) == ("silent/s", "message-returned")
    assert "does not take it back" in letter.reason
    assert system.drop_dead_letters("messages", key="silent/s").result() == 1


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("no command", "a Tell carries a Command"),
        ("not handled", "Receiver does not handle Ping"),
        ("no name", "the name of a device is not empty"),
        ("nobody", "say whom"),
        ("a command", "send it to an actor, Tell"),
    ],
)
def test_a_bad_tell_fails_its_command(system: ActorSystem, what: str, says: str) -> None:
    with pytest.raises(HandlerFailed, match=says):
        system.actor(Sender, "s").ask(Bad(what=what)).result()
    assert system.actor(Sender, "s").state().result() == {}
    assert deliverer(system) == []


def test_a_program_sends_messages_too_and_takes_none_back(system: ActorSystem) -> None:
    known_everywhere(system, Receiver)
    system.run(Forwards, workers=1).result(SOON_S)
    for number in (1, 7, 2):
        system.actor(Sender, "s").ask(Ping(number=number, to="receiver/r")).result()
    received = take(system, "counted", 2, sources="receiver/of-programs")
    assert [event.data["number"] for event in received] == [1, 2]
    sent = take(system, "message-sent", 3, sources="forwards/sender/s")
    assert [event.data["returns"] for event in sent] == [False] * 3
    assert received[0].causation_id == sent[0].id
    assert received[0].vector_clock > sent[0].vector_clock
    until_s = time.monotonic() + SOON_S
    while not deliverer(system)[0].dead:
        assert time.monotonic() < until_s
    returned = take(system, "message-returned", 2)
    assert {event.data["sender"] for event in returned} == {"sender/s", "forwards/sender/s"}
    [letter] = system.dead_letters("messages").result()
    assert (letter.key, letter.event.source) == ("receiver/of-programs", "forwards/sender/s")
    assert "no sevens" in letter.reason


def test_messages_to_a_type_that_no_host_knows_wait_and_hold_nobody_up(
    system: ActorSystem,
) -> None:
    known_everywhere(system, Receiver)
    sender = system.actor(Sender, "s")
    for number in (1, 2):
        sender.ask(Ping(number=number, to="latecomer/l")).result()
    sender.ask(Ping(number=3, to="receiver/r")).result()
    take(system, "counted", 1, sources="receiver/r")
    until_s = time.monotonic() + SOON_S
    while "latecomer" not in str(deliverer(system)[0].trouble):
        assert time.monotonic() < until_s

    class Latecomer(Receiver):
        pass

    system.actor(Latecomer, "l").state().result()
    received = take(system, "counted", 2, sources="latecomer/l")
    assert [event.data["number"] for event in received] == [1, 2]


def test_a_class_that_one_host_knows_is_brought_to_the_other(system: ActorSystem) -> None:
    sender = system.actor(Sender, "s")
    for number in range(1, 7):  # of two hosts, some are at the one that never saw the class
        sender.ask(Ping(number=number, to=f"receiver/r-{number}")).result()
    received = take(system, "counted", 6, sources="receiver/*")
    assert sorted(event.data["number"] for event in received) == [1, 2, 3, 4, 5, 6]


def test_the_class_that_a_message_names_is_brought_to_the_host_of_its_receiver(
    system: ActorSystem, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1, 5):
        system.actor(NamesClass, "n").ask(Ping(number=number, to=f"u-{number}")).result()
    received = take(system, "counted", 4, sources="unseen/*")
    assert sorted(event.data["number"] for event in received) == [1, 2, 3, 4]
    assert "messages wait" not in caplog.text  # nobody had to be told anything


def test_chargers_share_the_power_of_their_site(system: ActorSystem) -> None:
    known_everywhere(system, LoadManager, Charger)
    system.actor(LoadManager, "harbour").ask(SetLimit(kw=20.0)).result()
    first, second = system.actor(Charger, "1"), system.actor(Charger, "2")
    greedy = system.actor(Charger, "3")
    for charger in (first, second):
        charger.ask(PlugIn(site="harbour", kw=15.0)).result()
    greedy.ask(PlugIn(site="harbour", kw=50.0)).result()
    [denied] = take(system, "power-denied", 1)
    assert denied.source == "managed-charger/3"
    take(system, "charging-started", 1)
    charging = {one.name: one.state().result().kw for one in (first, second)}
    assert sorted(charging.values()) == [0.0, 15.0]
    charges = next(name for name, kw in charging.items() if kw)
    system.actor(Charger, charges).ask(Unplug()).result()
    started = take(system, "charging-started", 2)
    assert {event.source for event in started} == {"managed-charger/1", "managed-charger/2"}
