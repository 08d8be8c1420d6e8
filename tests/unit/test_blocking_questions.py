"""What blocks a thread blocks none in which channels live: a driver with a slow head of Ray, or
with classes that take long to pickle."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import ray
from pydantic import BaseModel

from actors.actor import Actor, Command
from runtime.driver.connection import Connection
from runtime.driver.ref import ActorRef
from runtime.errors import AskTimeout
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.placement import shard_of
from runtime.topology.status import Topology
from runtime.transport.loopback import Address
from tests.unit.connecting import ref
from tests.unit.sending import PlayedHost

HOSTS = ("host-0", "host-1")
#: Sources of actors of either.
NEAR, FAR = (
    next(one for one in map("counter/{}".format, range(9)) if shard_of(one) % 2 == host)
    for host in (0, 1)
)


class Ping(Command):
    """Whatever."""

    number: int = 0


class State(BaseModel):
    """Nothing."""


class _Remote:
    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self.remote = method


class Process:
    """A host on another machine, as a Ray handle of it looks."""

    def __init__(self) -> None:
        self.host = PlayedHost()
        self.address = _Remote(self._address)
        self.deliver = _Remote(self._deliver)
        self.register = _Remote(self._register)
        self.registered: list[bytes] = []

    async def _address(self) -> Address:
        return Address("elsewhere", 1, b"", b"", ("deliver",))

    async def _deliver(self, request: bytes) -> bytes:
        return await self.host.call("deliver", request)

    async def _register(self, packed: bytes) -> None:
        self.registered.append(packed)


class Head:
    """Ray's head, which answers questions for some names when it is told to."""

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self.slow_for: set[str] = set()
        self.asked = threading.Event()
        self.answering = threading.Event()

    def get_actor(self, name: str, namespace: str) -> Process:
        if name in self.slow_for:
            self.asked.set()
            assert self.answering.wait(30)
        return self.processes.setdefault(name, Process())


class NoRay(World):
    """The real one, but that this machine needs no Ray to have a name."""

    def machine(self) -> str:
        return "here"


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[Head]:
    played = Head()
    monkeypatch.setattr(ray, "get_actor", played.get_actor)
    yield played
    played.answering.set()


def topology(timeout_s: float = 20.0) -> Topology:
    settings = Settings.model_validate(
        {"actor_system": {"actor_timeout_ms": int(timeout_s * 1000), "hosts": 2}}
    )
    return Topology(settings_json=settings.model_dump_json(), hosts=HOSTS)


def test_a_head_that_does_not_answer_delays_nobody_but_those_who_need_its_answer(
    head: Head,
) -> None:
    head.slow_for = {"host-1"}
    connected = Connection(topology(0.5), NoRay("n"))
    unanswered = ref(connected, FAR).ask(Ping())
    assert head.asked.wait(30)
    for _ in range(3):
        assert ref(connected, NEAR).ask(Ping()).result() == []
    with pytest.raises(AskTimeout):
        unanswered.result(60)
    head.answering.set()
    assert ref(connected, FAR).ask(Ping(), id=b"x" * 16).result() == []
    connected.close()


class Slow:
    """What takes as long to pickle as a test says."""

    def __init__(self) -> None:
        self.begun, self.going_on = threading.Event(), threading.Event()
        self.going_on.set()

    def __reduce__(self) -> tuple[Any, ...]:
        self.begun.set()
        assert self.going_on.wait(30)
        return Slow, ()


def test_a_class_that_takes_long_to_pickle_again_delays_nobody_but_its_users(head: Head) -> None:
    class Large(Actor[State]):
        actor_type = "counter"
        burden = Slow()

    connected = Connection(topology(), NoRay("n"))
    large = ActorRef(connected, Large, FAR)
    assert large.ask(Ping()).result() == []
    connected._adopt(topology())  # the system was launched anew
    head.processes["host-1"].host.losing = 1  # and so was its host
    head.processes["host-1"].host.incarnation = 2
    Large.burden.begun.clear()
    Large.burden.going_on.clear()
    first, second = large.ask(Ping(number=1)), large.ask(Ping(number=2))
    assert Large.burden.begun.wait(30)
    assert ref(connected, NEAR).ask(Ping()).result() == []
    assert not first.done()
    Large.burden.going_on.set()
    assert (first.result(), second.result()) == ([], [])
    sent = [one["number"] for batch in head.processes["host-1"].host.batches[-2:] for one in batch]
    assert sent[-2:] == [1, 2], "in their order"
    connected.close()


def test_a_class_that_another_thread_pickles_keeps_no_channel_waiting(head: Head) -> None:
    class Known(Actor[State]):
        actor_type = "counter"

    class Large(Actor[State]):
        actor_type = "large"
        burden = Slow()

    connected = Connection(topology(), NoRay("n"))
    known = ActorRef(connected, Known, NEAR)
    assert known.ask(Ping()).result() == []
    Large.burden.going_on.clear()
    large = ActorRef(connected, Large, "large/a")
    asking = threading.Thread(target=lambda: large.ask(Ping()).result())
    asking.start()
    assert Large.burden.begun.wait(30)
    host = head.processes["host-0"].host
    host.losing, host.incarnation = 1, 2  # it was restarted, and is told its classes again
    assert known.ask(Ping()).result() == []
    Large.burden.going_on.set()
    asking.join()
    connected.close()


@pytest.mark.usefixtures("head")
@pytest.mark.parametrize("of_system", [True, False])
def test_a_process_of_the_system_that_asks_how_it_looks_goes_on_with_its_log_and_its_commands(
    of_system: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not told which log that is, and its hosts may be others by now."""
    told: list[bool] = []
    connected = Connection(topology(), NoRay("n"), of_system=of_system)
    channel = ref(connected, NEAR).channel

    def adopt(_: Settings, *, another_log: bool) -> None:
        told.append(another_log)

    monkeypatch.setattr(connected.log, "adopt", adopt)
    connected._adopt(replace(topology(), hosts=HOSTS[:1], log="of the system", directory="d"))
    assert told == [not of_system]
    assert channel.moved is not of_system
    connected.close()
