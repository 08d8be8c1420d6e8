"""A system is scaled in the middle of 20,000 commands, and whoever takes part is killed: nothing is
lost, nothing is twice, and each actor's commands keep their order."""

import threading

import pytest

from runtime.errors import ConnectionClosed, HostUnavailable
from runtime.system import ActorSystem
from store.shards import SHARDS
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher, kill, pooled_hosts
from tests.integration.test_kills import ACTORS, COMMANDS, told_through

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


def _scaled(system: ActorSystem, hosts: int) -> None:
    shares = system.scale(hosts).result(timeout_s=3 * LIMIT_S)
    assert sorted(shares) == [f"host-{number}" for number in range(hosts)]
    assert sum(shares.values()) == SHARDS
    assert sorted(pooled_hosts(system)) == sorted(shares)


@pytest.mark.parametrize("name", ["directory", "host-0", "writer"])
def test_hosts_come_and_go_under_load_while_somebody_is_killed(launch: Launcher, name: str) -> None:
    system = launch(actor_system={"hosts": 2})

    def strike() -> None:
        moving = threading.Event()
        scaling = system.scale(3, tell=lambda step: moving.set() if step.moved else None)
        assert moving.wait(LIMIT_S)
        kill(system, name)
        assert len(scaling.result(timeout_s=3 * LIMIT_S)) == 3
        _scaled(system, 1)
        _scaled(system, 2)  # one of a name that had ended

    told_through(system, strike)
    states = [system.actor(Counter, str(number)).state() for number in range(ACTORS)]
    assert sum(state.result(timeout_s=LIMIT_S).total for state in states) == COMMANDS


def test_whoever_was_interrupted_goes_on_and_a_driver_that_slept_finds_its_actors(
    launch: Launcher,
) -> None:
    settings = launch.settings(actor_system={"hosts": 3})
    system = launch.run(settings)
    slept = ActorSystem.connect(system.namespace)
    try:
        refs = [slept.actor(Counter, str(number)) for number in range(ACTORS)]
        for ref in refs:
            ref.ask(Add()).result(timeout_s=LIMIT_S)
        other, began = ActorSystem.connect(system.namespace), threading.Event()
        interrupted = other.scale(1, tell=lambda step: began.set())
        assert began.wait(LIMIT_S)
        other.close()
        with pytest.raises(ConnectionClosed):
            interrupted.result(timeout_s=LIMIT_S)
        _scaled(system, 1)
        for ref in refs:
            assert len(ref.ask(Add()).result(timeout_s=LIMIT_S)) == 1
            assert ref.state().result(timeout_s=LIMIT_S).total == 2
        with pytest.raises(HostUnavailable, match="no such host to have shards: there are host-0"):
            system.move_shards([0], to="host-2").result(timeout_s=LIMIT_S)
    finally:
        slept.close()


def test_a_relaunch_leaves_a_system_scaled_and_starts_the_hosts_of_the_settings(
    launch: Launcher,
) -> None:
    settings = launch.settings(actor_system={"hosts": 2})
    system = launch.run(settings)
    _scaled(system, 3)
    launch.drain(system)
    system = launch.run(settings)
    assert sorted(pooled_hosts(system)) == ["host-0", "host-1", "host-2"]
    _scaled(system, 1)
    launch.drain(system)
    system = launch.run(settings)
    assert sorted(pooled_hosts(system)) == ["host-0", "host-1"]
    moved = system.move_shards([0], to="host-1").result(timeout_s=LIMIT_S)
    assert moved == {"host-0": SHARDS - 1, "host-1": 1}
