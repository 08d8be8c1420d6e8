"""A host runs many more actors than it has room for, in bounded memory of its process.

On real Ray and PostgreSQL. An actor here takes 24 KiB of memory and a few bytes of the log, so that
what stays in memory shows in what the operating system says of the process: all of them together
take ten times what those take that may stay, and three times what the process may grow by.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import psutil
import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent, Payload
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    host_of,
    pids_of,
)

pytestmark = pytest.mark.integration

MAX_ACTORS = 800
POPULATION = 10 * MAX_ACTORS
STATE_BYTES = 24 * 1024
#: Commands that are under way at a time: their actors cannot leave.
TOGETHER = 200
#: A third of what all states take, and three times what those take that may stay.
GROWTH_BYTES = POPULATION * STATE_BYTES // 3


class Fill(Command):
    """Remember something large."""


class Filled(DeviceEvent):
    pass


class LargeState(BaseModel):
    times: int = 0
    large: str = ""


class Large(Actor[LargeState]):
    actor_type = "large"

    @handles
    def fill(self, message: Fill) -> Iterator[Payload]:
        yield Filled()

    @applies
    def filled(self, event: Filled) -> None:
        self.state.times += 1
        self.state.large = self.name[-1] * STATE_BYTES


def pieces(refs: Sequence[ActorRef[Any]], size: int) -> Iterator[Sequence[ActorRef[Any]]]:
    for begin in range(0, len(refs), size):
        yield refs[begin : begin + size]


def fill(system: ActorSystem, refs: Sequence[ActorRef[Any]]) -> None:
    for some in pieces(refs, TOGETHER):
        told = system.tell_many(((ref, Fill()) for ref in some), patience_s=LIMIT_S)
        assert told.failed == 0, told


def test_ten_times_as_many_actors_as_may_stay_take_no_more_memory(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 1, "max_actors": MAX_ACTORS, "spare_processes": 0})
    refs = [system.actor(Large, f"l-{number}") for number in range(POPULATION)]
    fill(system, refs[:MAX_ACTORS])
    host = psutil.Process(pids_of(system)["host-0"])
    before = host.memory_info().rss
    grown = 0
    for times in (1, 2):
        for some in pieces(refs, MAX_ACTORS):
            fill(system, some)
            grown = max(grown, host.memory_info().rss - before)
            assert host_of(system, "host-0").residents <= MAX_ACTORS + TOGETHER
        assert grown < GROWTH_BYTES, f"{grown:,} bytes at round {times}"
    eventually(lambda: host_of(system, "host-0").residents <= MAX_ACTORS)
    assert host_of(system, "host-0").evicted >= 2 * (POPULATION - MAX_ACTORS)
    assert pids_of(system)["host-0"] == host.pid  # it was not started anew meanwhile
    for ref in (refs[0], refs[MAX_ACTORS], refs[-1]):
        state = ref.state().result(timeout_s=LIMIT_S)
        first = 3 if ref.name == refs[0].name else 2
        assert (state.times, state.large) == (first, ref.name[-1] * STATE_BYTES)
    assert_log_is_whole(system)


def test_actors_that_are_idle_leave_and_come_back_with_no_difference(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 1, "max_idle_ms": 2_000})
    refs = [system.actor(Large, f"l-{number}") for number in range(20)]
    for times in (1, 2):
        fill(system, refs)
        eventually(lambda: host_of(system, "host-0").residents == 0)  # though nobody sends anything
        assert host_of(system, "host-0").evicted == times * len(refs)
    assert refs[0].state().result(timeout_s=LIMIT_S).times == 2
    assert_log_is_whole(system)
