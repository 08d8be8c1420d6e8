"""Draining a system of several partitions on real Ray: all of it ends, whatever was closed."""

import pytest

from jobs.cli import drain
from runtime.driver.directory_link import namespaces_of_processes
from runtime.errors import SystemNotFound
from runtime.system import ActorSystem, PartitionedSystem
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher

pytestmark = pytest.mark.integration


def launched(launch: Launcher) -> PartitionedSystem:
    """One whose end is the test's affair."""
    system = launch(actor_system={"hosts": 2}, event_store={"partitions": 2})
    assert isinstance(system, PartitionedSystem)
    launch.forget(system)
    for number in range(20):
        system.actor(Counter, f"drained-{number}").ask(Add()).result()
    return system


def left_of(namespace: str) -> list[str]:
    return [each for each in namespaces_of_processes() if each.startswith(namespace)]


def test_a_partition_whose_connection_was_closed_is_drained_too(launch: Launcher) -> None:
    system = launched(launch)
    assert len(left_of(system.namespace)) == 2
    system.parts[1].close()
    report = system.drain(timeout_s=LIMIT_S).result()
    assert not report.problems
    assert {"writer", "writer of partition 1"} <= {each.name for each in report.processes}
    assert left_of(system.namespace) == []


def test_a_partition_that_was_drained_before_is_not_missed(launch: Launcher) -> None:
    system = launched(launch)
    with ActorSystem.connect(f"{system.namespace}.partition-1") as second:
        assert not second.drain(timeout_s=LIMIT_S).result().problems
    report = system.drain(timeout_s=LIMIT_S).result()
    assert not report.problems
    assert "writer of partition 1" not in {each.name for each in report.processes}
    assert left_of(system.namespace) == []
    with pytest.raises(SystemNotFound):
        ActorSystem.connect(system.namespace, timeout_s=1.0)


def test_the_command_drains_all_partitions(
    launch: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = launched(launch)
    monkeypatch.setenv("THORNBACK_ACTOR_SYSTEM__NAMESPACE", system.namespace)
    assert drain.command.main(["--timeout", "30"], standalone_mode=False) == 0
    assert left_of(system.namespace) == []
    system.close()
