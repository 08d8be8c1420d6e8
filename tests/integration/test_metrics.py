"""One scrape over HTTP shows every process, and counts right whoever was killed."""

import socket
from collections import Counter as Counted
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from runtime.errors import LaunchFailed
from runtime.system import ActorSystem
from runtime.topology.placement import shard_of
from tests.integration.devices import Add, Claim, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    back,
    eventually,
    kill,
    log_of,
    stored,
    take,
)

pytestmark = pytest.mark.integration

FIXED_NAMES = {
    "events_published_total",
    "events_processed_total",
    "event_processing_duration_seconds_count",
    "active_event_handlers",
    "live_subscriptions",
    "event_store_operations_total",
    "vector_clock_comparisons_total",
}


@pytest.fixture
def port() -> int:
    """A port that is free now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number: int = taken.getsockname()[1]
    return number


def scrape(port: int) -> list[Sample]:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S) as answer:
        text = answer.read().decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def total(port: int, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for sample in scrape(port)
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def by_host(system: ActorSystem) -> dict[str, int]:
    """How many events of the log each pooled host has decided, by its name as a node."""
    found: Counted[str] = Counted()
    for source, count in log_of(system, "SELECT source, count(*) FROM events GROUP BY 1"):
        found[f"node-001.host-{shard_of(source) % 2}"] += count
    return dict(found)


def write(system: ActorSystem, count: int) -> None:
    refs = [system.actor(Counter, f"device-{number}") for number in range(40)]
    told = system.tell_many((refs[number % 40], Add()) for number in range(count))
    assert told.failed == 0


def test_one_scrape_counts_all_processes_also_after_each_of_them_was_killed(
    launch: Launcher, port: int
) -> None:
    system = launch(actor_system={"hosts": 2}, metrics={"port": port})
    with system.subscribe() as subscription:
        write(system, 500)
        system.actor(Counter, "device-0").ask(Claim(owner="me")).result(timeout_s=LIMIT_S)
        system.actor(Counter, "device-0").tell(Claim(owner="you"))
        system.flush().result()
        take(subscription, 501)
        assert total(port, "live_subscriptions") == 1
        assert total(port, "active_event_handlers") == 0
    assert {sample.name for sample in scrape(port)} >= FIXED_NAMES
    _assert_counters_are_right(system, port, 501)
    assert total(port, "commands_total", outcome="in_vain") == 1
    for name in ("host-0", "writer", "bus"):
        back(system, name, kill(system, name))
    write(system, 500)
    _assert_counters_are_right(system, port, 1_001)
    nodes = {sample.labels["node"] for sample in scrape(port) if "node" in sample.labels}
    assert nodes == {"node-001.host-0", "node-001.host-1"}
    assert total(port, "resident_actors") == 40
    assert not [sample for sample in scrape(port) if "device-" in str(sample.labels)]


def _assert_counters_are_right(system: ActorSystem, port: int, events: int) -> None:
    assert stored(system) == events
    eventually(lambda: total(port, "events_published_total") == events)
    assert total(port, "events_processed_total") == events
    by_type = log_of(system, "SELECT event_type, count(*) FROM events GROUP BY 1")
    for event_type, count in by_type:
        assert total(port, "events_published_total", event_type=event_type) == count
    for node, count in by_host(system).items():
        assert total(port, "events_processed_total", node=node) == count


def test_no_device_id_stands_in_a_label_when_devices_have_hosts_of_their_own(
    launch: Launcher, port: int
) -> None:
    system = launch(actor_system={"placement": {"counter": "dedicated"}}, metrics={"port": port})
    system.actor(Counter, "device-1").ask(Add()).result(timeout_s=LIMIT_S)
    eventually(lambda: total(port, "events_processed_total") == 1)
    assert not [sample for sample in scrape(port) if "device-" in str(sample.labels)]


def test_a_taken_metrics_port_is_a_clear_error_and_nothing_is_left(launch: Launcher) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = launch.settings(metrics={"port": port})
        with pytest.raises(LaunchFailed, match=rf"{port}"):
            ActorSystem.launch(settings)
    assert launch.run(settings).status().result()  # the port is free now, and so is the namespace
    assert scrape(port) is not None


def test_metrics_can_be_turned_off(launch: Launcher, port: int) -> None:
    system = launch(event_bus={"metrics_enabled": False}, metrics={"port": port})
    system.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    with pytest.raises(OSError, match="refused"):
        scrape(port)
