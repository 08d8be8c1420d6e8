"""Vector clocks travel with commands and events: G6, between real processes."""

from itertools import pairwise
from typing import Any

import pytest

from actors.clock import CausalRelation
from actors.event import Event
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from runtime.topology.placement import shard_of
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher, back, kill, take

pytestmark = pytest.mark.integration


def on_host(system: ActorSystem, number: int, skip: int = 0) -> ActorRef[Any]:
    """A counter that lives on a certain one of two hosts."""
    names = (name for name in map(str, range(1_000)) if shard_of(f"counter/{name}") % 2 == number)
    return system.actor(Counter, [next(names) for _ in range(skip + 1)][-1])


def add(ref: ActorRef[Any]) -> Event:
    return ref.ask(Add()).result(timeout_s=LIMIT_S)[0]


def test_clocks_tell_cause_from_coincidence_across_hosts(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 2})
    with ActorSystem.connect(system.namespace) as stranger:
        # Nobody knows of anybody: no common past.
        alone, apart = add(on_host(system, 0)), add(on_host(stranger, 1))
        assert set(alone.vector_clock) == {"node-001.host-0"}
        assert set(apart.vector_clock) == {"node-001.host-1"}
        assert alone.relation_to(apart) is CausalRelation.CAUSALLY_INDEPENDENT

        # What this driver has seen on one host is in the past of what it causes on another.
        cause = add(on_host(system, 0))
        effect = add(on_host(system, 1))
        assert cause.relation_to(effect) is CausalRelation.HAPPENED_BEFORE
        assert effect.vector_clock > cause.vector_clock
        assert set(effect.vector_clock) == {"node-001.host-0", "node-001.host-1"}

        # The stranger goes on without having heard: concurrent, with a common past by now.
        meanwhile = add(on_host(system, 0))
        unaware = add(on_host(stranger, 1, skip=1))
        assert unaware.relation_to(meanwhile) is CausalRelation.CONCURRENT

        # It hears by reading the stream, and then its commands carry what it read.
        with stranger.subscribe(after=0) as subscription:
            heard = take(subscription, 6)
        assert heard[4] == meanwhile
        aware = add(on_host(stranger, 1))
        assert aware.relation_to(meanwhile) is CausalRelation.HAPPENED_AFTER


def test_clocks_go_on_where_they_were_when_a_host_was_killed(launch: Launcher) -> None:
    system = launch(actor_system={"hosts": 2})
    first, other = add(on_host(system, 0)), add(on_host(system, 1))
    back(system, "host-0", kill(system, "host-0"))
    with ActorSystem.connect(system.namespace) as stranger:
        second = add(on_host(stranger, 0))  # the same actor, by a driver that saw nothing
    assert second.version == 2
    assert second.vector_clock > first.vector_clock
    assert second.vector_clock.count("node-001.host-0") == 2
    assert second.relation_to(other) is CausalRelation.CONCURRENT


def test_events_of_one_batch_and_of_one_command_are_ordered(launch: Launcher) -> None:
    system = launch()
    replies = [on_host(system, 0).ask(Add()) for _ in range(20)]
    events = [reply.result(timeout_s=LIMIT_S)[0] for reply in replies]
    for earlier, later in pairwise(events):
        assert earlier.vector_clock < later.vector_clock
