"""A hot actor gets a process of its own in the middle of 20,000 commands, whoever is killed:
nothing is lost, nothing is twice, and each actor's commands keep their order."""

import time

import pytest

from runtime.errors import NotPossible
from runtime.system import ActorSystem
from store.shards import SHARDS
from tests.integration.devices import Add, Beacon, Counter
from tests.integration.systems import LIMIT_S, Launcher, kill, pooled_hosts
from tests.integration.test_kills import ACTORS, COMMANDS, told_through

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


def _names(system: ActorSystem) -> set[str]:
    return {one.name for one in system.status().result(timeout_s=LIMIT_S)}


@pytest.mark.parametrize("name", ["directory", "host-0", "writer", "promoted"])
def test_an_actor_is_promoted_and_demoted_under_load_while_somebody_is_killed(
    launch: Launcher, name: str
) -> None:
    system = launch(actor_system={"hosts": 2})
    hot = system.actor(Counter, "0")
    own = f"promoted-{hot.shard}"

    def strike() -> None:
        promoting = system.promote(hot)
        if name != "promoted":
            kill(system, name)
        assert promoting.result(timeout_s=3 * LIMIT_S) == own
        if name == "promoted":
            kill(system, own)
        assert hot.state().result(timeout_s=LIMIT_S).total > 0
        assert hot.channel.host == own
        home = system.demote(hot).result(timeout_s=3 * LIMIT_S)
        assert home in ("host-0", "host-1")
        assert own not in _names(system)

    told_through(system, strike)
    states = [system.actor(Counter, str(number)).state() for number in range(ACTORS)]
    assert sum(state.result(timeout_s=LIMIT_S).total for state in states) == COMMANDS


def test_who_is_promoted_stays_so_over_a_relaunch_and_scaling(launch: Launcher) -> None:
    settings = launch.settings(actor_system={"hosts": 1, "placement": {"beacon": "dedicated"}})
    system = launch.run(settings)
    hot = system.actor(Counter, "hot")
    hot.ask(Add()).result(timeout_s=LIMIT_S)
    own = system.promote(hot).result(timeout_s=LIMIT_S)
    with pytest.raises(NotPossible, match="process of its own already"):
        system.promote(system.actor(Beacon, "north"))
    launch.drain(system)
    system = launch.run(settings)
    hot = system.actor(Counter, "hot")
    [event] = hot.ask(Add()).result(timeout_s=LIMIT_S)
    assert event.version == 2
    assert hot.channel.host == own
    assert list(event.vector_clock.counts)[-1] == f"{system.settings.event_bus.node_id}.promoted"
    assert system.scale(2).result(timeout_s=LIMIT_S)[own] == 1
    assert sorted(pooled_hosts(system)) == ["host-0", "host-1"]
    assert own in _names(system)


def test_what_is_hot_is_promoted_by_itself(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 1, "promote_at": 200})
    hot, others = system.actor(Counter, "hot"), [system.actor(Counter, str(n)) for n in range(20)]
    asked, until_s = 0, time.monotonic() + LIMIT_S
    while hot.channel.host == "host-0" and time.monotonic() < until_s:
        replies = [hot.ask(Add()) for _ in range(200)] + [other.ask(Add()) for other in others]
        for reply in replies:
            reply.result(timeout_s=LIMIT_S)
        asked += 200
    assert hot.state().result(timeout_s=LIMIT_S).total == asked
    shares = system.scale(1).result(timeout_s=LIMIT_S)
    assert shares == {"host-0": SHARDS - 1, f"promoted-{hot.shard}": 1}
