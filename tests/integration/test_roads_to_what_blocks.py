"""Whichever road a message comes by to a handler that blocks, whoever sent it is told so.

On real Ray and PostgreSQL: questions, tells, HTTP, timers, messages between actors, and events that
a stream program emits. Each has its own way to say that something has failed.
"""

from collections.abc import Iterator
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from actors.actor import Actor, Command, handles
from actors.event import DeviceEvent, Event, Payload
from actors.listening import listens
from actors.messages import MessageRefused
from actors.tell import Tell
from actors.timers import Schedule
from runtime.errors import HandlerBlocked
from runtime.system import ActorSystem
from tests.integration.devices import Add, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    log_of,
)
from tests.integration.test_gateway import facts_of, send
from tests.integration.test_programs import worker_facts
from tests.programs import Echo

pytestmark = pytest.mark.integration

TOOK = "it took longer than 0.5 s"


class Block(Command):
    """Its handler does not come back."""


class Wind(Command):
    """Have a Block come by itself."""


class Send(Command):
    """Have another actor block."""


class Refused(DeviceEvent):
    error: str
    reason: str


def _for_ever() -> None:
    while True:
        pass


class Stuck(Counter):
    """Blocks at whatever it is told to."""

    actor_type: ClassVar[str] = "stuck"
    time_limit_s: ClassVar[float | None] = 0.5

    @handles
    def block(self, message: Block) -> Iterator[Payload]:
        _for_ever()
        yield from ()

    @handles
    def wind(self, message: Wind) -> Iterator[Schedule]:
        yield Schedule(after=0.1, key="k", message=Block())

    @listens("echoed", name=lambda event: "listener")
    def heard(self, event: Event) -> Iterator[Payload]:
        _for_ever()
        yield from ()


class Patient(Stuck):
    """Says nothing of its limit: it is the setting's."""

    actor_type: ClassVar[str] = "patient"
    time_limit_s = None


class Asker(Actor[dict[str, int]]):
    """Sends a message that its receiver blocks at, and has it back."""

    actor_type: ClassVar[str] = "asker"
    state_type = dict
    ignores = (Refused,)

    @handles
    def send(self, message: Send) -> Iterator[Tell]:
        yield Tell((Stuck, "told-by-another"), Block())

    @handles
    def refused(self, message: MessageRefused) -> Iterator[Payload]:
        yield Refused(error=message.error, reason=message.reason)


@pytest.fixture(scope="module")
def system(cluster: None, new_database: Any) -> Iterator[ActorSystem]:
    launcher = Launcher(new_database)
    yield launcher(
        gateway={"enabled": True, "port": 0},
        actor_system={"hosts": 2, "actor_timeout_ms": int(LIMIT_S * 1000)},
    )
    launcher.drain_all()


def names_of(system: ActorSystem, source: str) -> list[str]:
    rows = log_of(
        system, "SELECT event_type FROM events WHERE source = $1 ORDER BY version", source
    )
    return [row[0] for row in rows]


def assert_goes_on(system: ActorSystem, name: str) -> None:
    """It has failed, and takes what comes next."""
    assert system.actor(Stuck, name).ask(Add()).result(timeout_s=LIMIT_S)[0].event_type == "added"


def test_by_questions_one_and_many(system: ActorSystem) -> None:
    ref = system.actor(Stuck, "asked")
    with pytest.raises(HandlerBlocked, match=TOOK):
        ref.ask(Block()).result(timeout_s=LIMIT_S)
    [many] = list(system.ask_many([(ref, Block())], patience_s=LIMIT_S))
    with pytest.raises(HandlerBlocked, match=TOOK):
        many.result()
    assert_goes_on(system, "asked")


def test_by_tells_one_and_many(system: ActorSystem) -> None:
    ref = system.actor(Stuck, "told")
    ref.tell(Block())
    told = system.tell_many([(ref, Block()), (ref, Add())], patience_s=LIMIT_S)
    assert (told.failed, [type(each) for _, each in told.errors]) == (1, [HandlerBlocked])
    [(what, failure)] = system.flush().result(timeout_s=LIMIT_S)
    assert ("stuck/told" in what, type(failure)) == (True, HandlerBlocked)
    assert_goes_on(system, "told")


def test_by_http(system: ActorSystem) -> None:
    assert_goes_on(system, "posted")
    address, key = facts_of(system).address, str(uuid4())
    for _ in range(2):  # sent again under its key, it is not run again
        status, said = send(address, "/v1/actors/stuck/posted/block", {}, Idempotency_Key=key)
        assert (status, said["type"]) == (422, "urn:thornback:problem:handler-blocked")
        assert "took too long" in said["title"]
    assert_goes_on(system, "posted")


def test_by_a_timer(system: ActorSystem) -> None:
    system.actor(Stuck, "wound").ask(Wind()).result(timeout_s=LIMIT_S)
    eventually(lambda: names_of(system, "stuck/wound") == ["timer-set", "timer-fired"])
    [fired] = log_of(
        system,
        "SELECT event_data->>'error' AS error, event_data->>'reason' AS reason FROM events"
        " WHERE source = 'stuck/wound' AND event_type = 'timer-fired'",
    )
    assert fired["error"] == "HandlerBlocked"
    assert TOOK in fired["reason"]
    assert_goes_on(system, "wound")


def test_by_a_message_of_another_actor(system: ActorSystem) -> None:
    assert_goes_on(system, "told-by-another")
    system.actor(Asker, "a").ask(Send()).result(timeout_s=LIMIT_S)
    eventually(lambda: names_of(system, "asker/a") == ["message-sent", "refused"])
    [back] = log_of(
        system,
        "SELECT event_data->>'error' AS error, event_data->>'reason' AS reason FROM events"
        " WHERE source = 'asker/a' AND event_type = 'refused'",
    )
    assert back["error"] == "HandlerBlocked"
    assert TOOK in back["reason"]
    assert_goes_on(system, "told-by-another")


def heard_up_to(system: ActorSystem) -> int:
    """Up to which position listeners have heard events."""
    found = log_of(system, "SELECT position FROM subscriptions WHERE name = 'stuck'")
    return int(found[0][0]) if found else -1


def echoed(system: ActorSystem) -> int:
    """Where the last event of the stream program is."""
    query = "SELECT coalesce(max(position), 0) FROM events WHERE event_type = 'echoed'"
    return int(log_of(system, query)[0][0])


def test_by_what_a_stream_program_emits(system: ActorSystem) -> None:
    system.run(Stuck).result(timeout_s=LIMIT_S)
    system.run(Echo("echo", ["counter/heard"])).result(timeout_s=LIMIT_S)
    system.actor(Counter, "heard").ask(Add()).result(timeout_s=LIMIT_S)

    # What a listener fails at is counted and logged, and those behind it go on.
    eventually(lambda: sum(facts.failures for facts in worker_facts(system, "stuck")) == 1)
    eventually(lambda: heard_up_to(system) >= echoed(system) > 0)
    assert names_of(system, "stuck/listener") == []
    assert_goes_on(system, "listener")
    assert_log_is_whole(system)


def test_whoever_asks_with_the_default_patience_is_told_and_its_neighbours_are_answered(
    launch: Launcher,
) -> None:
    # The limit of the class is that of the setting: callers are told before they give up.
    system = launch(actor_system={"hosts": 1, "actor_timeout_ms": 10_000})
    stuck, neighbour = system.actor(Patient, "a"), system.actor(Patient, "b")
    for each in (stuck, neighbour):
        each.ask(Add()).result(timeout_s=LIMIT_S)
    asked, beside = stuck.ask(Block()), neighbour.ask(Add())
    with pytest.raises(HandlerBlocked, match="it took longer than 8 s"):  # and no AskTimeout
        asked.result()
    assert beside.result()[0].version == 2
