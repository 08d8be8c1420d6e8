"""Shards move in the middle of 20,000 commands, and whoever takes part is killed: nothing is lost,
nothing is twice, and each actor lives at one host."""

import threading

import pytest

from runtime.system import ActorSystem
from runtime.topology.status import HostFacts, ProcessStatus
from store.shards import SHARDS
from tests.integration.devices import Counter
from tests.integration.systems import LIMIT_S, Launcher, kill
from tests.integration.test_kills import ACTORS, told_through

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


def _shards(system: ActorSystem) -> list[int]:
    return [system.actor(Counter, str(number)).shard for number in range(ACTORS)]


def _shown(system: ActorSystem) -> dict[str, int]:
    """How many shards each host says that it has."""
    return {
        one.name: one.facts.shards
        for one in system.status().result(timeout_s=LIMIT_S)
        if isinstance(one, ProcessStatus) and isinstance(one.facts, HostFacts)
    }


def test_shards_that_go_to_and_fro_under_load_cost_nothing_but_time(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 2})
    shards = _shards(system)

    def strike() -> None:
        for number in range(6):
            moved = system.move_shards(shards[: number * 8 + 1], to=f"host-{number % 2}")
            assert sum(moved.result(timeout_s=LIMIT_S).values()) == SHARDS

    told_through(system, strike)
    assert sum(_shown(system).values()) == SHARDS


@pytest.mark.parametrize("name", ["host-0", "host-1", "writer", "directory"])
def test_who_is_killed_while_shards_move_costs_nothing_but_time(
    launch: Launcher, name: str
) -> None:
    system = launch(actor_system={"hosts": 2})
    shards = _shards(system)

    def strike() -> None:
        killing = threading.Thread(target=lambda: kill(system, name))
        moving = system.move_shards(shards, to="host-1", timeout_s=LIMIT_S)
        killing.start()
        killing.join()
        moving.result(timeout_s=2 * LIMIT_S)

    told_through(system, strike)
    system.move_shards(range(SHARDS), to="host-0", timeout_s=LIMIT_S).result(timeout_s=2 * LIMIT_S)
    assert _shown(system) == {"host-0": SHARDS, "host-1": 0}
    for number in range(ACTORS):
        assert system.actor(Counter, str(number)).state().result(timeout_s=LIMIT_S).total == 500


def test_a_relaunch_leaves_shards_where_they_are_and_deals_them_out_for_other_hosts(
    launch: Launcher,
) -> None:
    settings = launch.settings(actor_system={"hosts": 2})
    system = launch.run(settings)
    system.move_shards(range(1, SHARDS), to="host-1").result(timeout_s=LIMIT_S)
    launch.drain(system)
    system = launch.run(settings)
    assert _shown(system) == {"host-0": 1, "host-1": SHARDS - 1}
    launch.drain(system)
    system = launch.run(settings.replaced("actor_system", "hosts", 3, "the test"))
    assert sorted(_shown(system).values()) == [1365, 1365, 1366]
