"""A process that is killed begins in one that was there before: warm, and nobody's until then."""

import time

import psutil
import pytest

from runtime.process.spares import is_spare
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher, eventually, kill

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


def pid_of(system: ActorSystem, name: str) -> int:
    """That of a process as it is now."""
    for status in system.status().result(LIMIT_S):
        if status.name == name and isinstance(status, ProcessStatus):
            return status.pid
    return 0


def spares_beside(pid: int) -> set[int]:
    """Those of the Ray that has started this process."""
    raylet = psutil.Process(pid).parent()
    assert raylet is not None
    return {each.pid for each in raylet.children() if is_spare(each)}


@pytest.mark.parametrize("name", ["host-0", "writer"])
def test_a_process_that_is_killed_begins_in_a_warm_one(launch: Launcher, name: str) -> None:
    system = launch(actor_system={"spare_processes": 1})
    ref = system.actor(Counter, "0")
    ref.ask(Add()).result(LIMIT_S)
    for _ in range(2):  # the second time it is one that was asked for by the first
        eventually(lambda: spares_beside(pid_of(system, "directory")))
        killed, killed_s = pid_of(system, name), time.time()
        kill(system, name)
        ref.ask(Add()).result(LIMIT_S)
        eventually(lambda was=killed: pid_of(system, name) not in (0, was))  # type: ignore[misc]
        # In one that was there: which of them, if there are several of Ray's, is Ray's to choose.
        assert psutil.Process(pid_of(system, name)).create_time() < killed_s
    assert ref.state().result(LIMIT_S).total == 3
