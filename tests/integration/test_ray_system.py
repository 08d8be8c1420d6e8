"""The plugin's system of Ray actors; what runs in one process is tested in a project of its own
(tests/unit/test_testing_plugin.py)."""

import os

import pytest

from runtime.system import ActorSystem, PartitionedSystem
from tests.integration.devices import Add, Counter
from tests.integration.systems import pids_of, stored

pytestmark = pytest.mark.integration


@pytest.mark.thornback(event_store={"partitions": 2}, actor_system={"hosts": 2})
def test_one_of_two_partitions_is_drained_whole(ray_system: ActorSystem) -> None:
    assert isinstance(ray_system, PartitionedSystem)
    ray_system.actor(Counter, "a").ask(Add(amount=2)).result()
    assert sum(stored(part) for part in ray_system.parts) == 1


def test_it_has_processes_of_its_own_and_an_empty_log_in_a_database(
    ray_system: ActorSystem,
) -> None:
    assert stored(ray_system) == 0

    ray_system.actor(Counter, "a").ask(Add(amount=2)).result()

    assert stored(ray_system) == 1
    pids = pids_of(ray_system)
    assert pids.keys() == {"directory", "writer", "bus", "host-0"}
    assert os.getpid() not in pids.values()
