"""The pytest plugin, in projects of their own: what its fixtures give, and what they import."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

DEVICE = """
from collections.abc import Iterator
from dataclasses import dataclass

from thornback import Actor, Command, DeviceEvent, Rejected, applies, handles


class Heat(Command):
    celsius: float


class Heated(DeviceEvent):
    celsius: float


@dataclass
class BoilerState:
    celsius: float = 20.0


class Boiler(Actor[BoilerState]):
    @handles
    def heat(self, message: Heat) -> Iterator[Heated]:
        if message.celsius > 90:
            raise Rejected("too hot")
        if message.celsius < 0:
            raise RuntimeError("frozen")
        yield Heated(celsius=message.celsius)

    @applies
    def heated(self, event: Heated) -> None:
        self.state.celsius = event.celsius
"""

SYSTEMS = """
import asyncio
import gc
import os
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from boiler import Boiler, BoilerState, Heat
from thornback import ActorStopped, DeviceEvent, Event, HandlerFailed, Rejected


THRESHOLDS = gc.get_threshold()


class Arrived(DeviceEvent):
    by: str


@pytest.fixture(params=["memory_system", "postgres_system"])
def system(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_has_a_log_of_its_own(system, turn):
    cellar = system.actor(Boiler, "cellar")
    (event,) = cellar.ask(Heat(celsius=60.0)).result()
    assert (event.version, event.position) == (1, 1)
    assert cellar.state().result() == BoilerState(celsius=60.0)
    with pytest.raises(Rejected, match="too hot"):
        cellar.ask(Heat(celsius=95.0)).result()


def test_all_of_a_driver_works(system):
    cellar = system.actor(Boiler, "cellar")
    told = system.tell_many((cellar, Heat(celsius=step / 100)) for step in range(5_000))
    assert (told.events, told.failed) == (5_000, 0)
    fact = Event.of(Arrived(by="van"), source="gate/1", id=uuid4(), timestamp=datetime.now(UTC))
    (published,) = system.publish(fact).result()
    assert published.position == 5_001
    with system.subscribe("arrived", after=0) as subscription:
        assert next(iter(subscription)).data == {"by": "van"}
    kinds = {status.name: status.pid for status in system.status().result()}
    assert kinds == dict.fromkeys(["bus", "host-0", "writer"], os.getpid())


def test_it_can_be_awaited(system):
    async def asked():
        return await system.actor(Boiler, "attic").ask(Heat(celsius=30.0))

    assert [event.data for event in asyncio.run(asked())] == [{"celsius": 30.0}]


@pytest.mark.thornback(actor_system={"supervisor_strategy": "stop"})
def test_the_marker_says_what_is_set_otherwise(system):
    cellar = system.actor(Boiler, "cellar")
    with pytest.raises(HandlerFailed):
        cellar.ask(Heat(celsius=-1.0)).result()
    with pytest.raises(ActorStopped):
        cellar.ask(Heat(celsius=1.0)).result()


@pytest.mark.thornback(actor_system={"placement": {"boiler": "dedicated"}})
def test_a_dedicated_device_has_a_host_of_its_own(system):
    system.actor(Boiler, "cellar").ask(Heat(celsius=60.0)).result()
    assert "boiler/cellar" in {status.name for status in system.status().result()}


def test_it_can_be_drained(system):
    system.actor(Boiler, "cellar").tell(Heat(celsius=60.0))
    assert system.flush().result() == []
    drained = system.drain().result()
    assert drained.problems == ()
    assert drained["writer"].settled == 1
"""


SETTINGS_FILE = """
[event_bus]
node_id = "cellar"

[actor_system]
hosts = 3
"""

CONFTEST = """
import pytest


@pytest.fixture(scope="session")
def thornback_postgres():
    return {url!r}
"""

SCENARIOS = """
import sys

from boiler import Boiler, Heat, Heated


def test_a_rejection_that_is_expected(scenario):
    scenario(Boiler).given(Heated(celsius=60.0)).when(Heat(celsius=95.0)).then_rejected()


def test_a_rejection_that_is_overlooked(scenario):
    scenario(Boiler).when(Heat(celsius=95.0))


def test_nothing_else_was_imported(scenario):
    assert {"ray", "runtime", "asyncpg"} & sys.modules.keys() == set()
"""


UNHEARD = """
import pytest
from boiler import Boiler, Heat
from thornback import Rejected
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

KEPT = []


def test_a_failure_in_a_system_of_its_own():
    with InProcessSystem(small_settings({}, type="memory")) as system:
        KEPT.append(system.actor(Boiler, "other").ask(Heat(celsius=95.0)))
        system.flush().result()


def test_that_one_is_nobody_elses(memory_system):
    memory_system.flush().result()


def test_nobody_waits_for_a_failure(memory_system):
    memory_system.actor(Boiler, "a").ask(Heat(celsius=95.0))
    memory_system.flush().result()


def test_a_failure_is_kept_where_nobody_looks(memory_system):
    KEPT.append(memory_system.actor(Boiler, "b").ask(Heat(celsius=95.0)))
    memory_system.flush().result()


def test_a_failure_that_is_looked_at(memory_system):
    with pytest.raises(Rejected):
        memory_system.actor(Boiler, "c").ask(Heat(celsius=95.0)).result()
    memory_system.actor(Boiler, "c").ask(Heat(celsius=60.0))
    memory_system.flush().result()
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of its own, with a device, where this checkout can be imported."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makepyfile(boiler=DEVICE)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


def _run(pytester: pytest.Pytester, **outcomes: int) -> pytest.RunResult:
    # In a process of its own: what it imports there is imported nowhere else.
    options = ("-p", "thornback.testing", "-p", "no:asyncio", "--strict-markers")
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(**outcomes)
    return result


def test_systems_in_this_process_are_whole_and_end_without_a_trace(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, thornback_postgres: str
) -> None:
    project.makeconftest(CONFTEST.format(url=thornback_postgres))  # it starts no second server
    monkeypatch.setenv("DATABASE_URL", "postgresql://production/log")
    (project.mkdir("config") / "event_driven.toml").write_text(SETTINGS_FILE)
    project.makepyfile(SYSTEMS)

    _run(project, passed=14)


def test_scenarios_overlook_no_rejection_and_need_neither_ray_nor_the_runtime(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(SCENARIOS)

    result = _run(project, passed=3, errors=1)

    result.stdout.fnmatch_lines(["*AssertionError: the command was rejected: too hot"])


def test_a_failed_ask_that_no_test_looks_at_is_warned_of(project: pytest.Pytester) -> None:
    project.makepyfile(UNHEARD)
    project.makeini("[pytest]\n")

    result = _run(project, passed=5, warnings=2)

    for source in ("boiler/a", "boiler/b"):
        said = f"*UnheardReply: an ask of {source} failed, and nobody looked at its reply: too hot"
        result.stdout.fnmatch_lines([said])
