"""A host that is killed again and again: it is stopped, and others answer for its actors."""

import os
import signal
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from actors.event import Event
from runtime.driver.bulk import Send
from runtime.system import ActorSystem
from runtime.topology.placement import shard_of
from runtime.topology.status import ProcessAway, ProcessStatus
from tests.e2e.place import free_port
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher, assert_log_is_whole, eventually
from tests.integration.test_metrics import scrape

pytestmark = [pytest.mark.integration, pytest.mark.chaos]

SUPERVISED = {"process_restarts": 2, "process_period_ms": 60_000, "process_backoff_ms": 20}


def pid_of(system: ActorSystem, host: str) -> int | None:
    """That of a host which has started."""
    for status in system.status().result(LIMIT_S):
        if status.name == host and isinstance(status, ProcessStatus) and status.facts is not None:
            return status.pid
    return None


def kill_until(system: ActorSystem, host: str, over: Callable[[], bool]) -> int:
    """Kill each incarnation as soon as it has started; how many there were."""
    kills, until_s = 0, time.monotonic() + LIMIT_S
    while not over():
        assert time.monotonic() < until_s
        if (pid := pid_of(system, host)) is not None:
            os.kill(pid, signal.SIGKILL)
            kills += 1
            eventually(lambda killed=pid: pid_of(system, host) != killed)  # type: ignore[misc]
    return kills


def said_of(system: ActorSystem, host: str) -> str:
    """What the status has of one that is away."""
    said = [one for one in system.status().result(LIMIT_S) if one.name == host]
    return " ".join(one.reason for one in said if isinstance(one, ProcessAway))


def test_a_host_that_is_killed_again_and_again_is_stopped_and_others_answer(
    launch: Launcher,
) -> None:
    metrics_port = free_port()
    system = launch(actor_system={"hosts": 2, **SUPERVISED}, metrics={"port": metrics_port})
    refs = [system.actor(Counter, str(number)) for number in range(40)]
    acknowledged = 0

    def told() -> None:
        nonlocal acknowledged
        result = system.tell_many((Send(ref, Add(), uuid4()) for ref in refs), patience_s=LIMIT_S)
        assert (result.failed, result.errors) == (0, [])
        acknowledged += len(refs)

    told()
    assert {shard_of(f"counter/{number}") % 2 for number in range(40)} == {0, 1}
    kills = kill_until(system, "host-1", lambda: "stopped" in said_of(system, "host-1"))
    assert kills == 3
    told()
    said = said_of(system, "host-1")
    assert "it has ended 3 times within 60 s; its 2,048 shards are with host-0" in said
    assert sum(ref.state().result(LIMIT_S).total for ref in refs) == acknowledged
    assert_log_is_whole(system)

    stops: list[Event] = []
    for event in system.subscribe("host-stopped", after=0):
        stops.append(event)
        break
    assert (stops[0].source, stops[0].data["shards"]) == ("process/host-1", 2_048)
    ends = {
        sample.labels["became"]: sample.value
        for sample in scrape(metrics_port)
        if sample.name == "process_ends_total" and sample.labels["kind"] == "pooled-host"
    }
    assert ends == {"restarted": 1, "rested": 1, "stopped": 1}

    # An operator has it started again, and it counts from nought.
    assert set(system.scale(2).result(LIMIT_S)) == {"host-0", "host-1"}
    assert said_of(system, "host-1") == ""
    for event in system.subscribe("host-started", after=0):
        assert event.data == {"host": "host-1"}
        break
    told()
    assert sum(ref.state().result(LIMIT_S).total for ref in refs) == acknowledged


def test_the_last_host_is_started_again_however_often_it_ends(launch: Launcher) -> None:
    chosen = {**SUPERVISED, "process_restarts": 1, "process_max_backoff_ms": 200}
    system = launch(actor_system={"hosts": 1, **chosen})
    ref = system.actor(Counter, "0")
    kills = iter(range(4))
    kill_until(system, "host-0", lambda: next(kills, None) is None)
    ref.ask(Add()).result(LIMIT_S)
    assert ref.state().result(LIMIT_S).total == 1
    assert pid_of(system, "host-0") is not None
