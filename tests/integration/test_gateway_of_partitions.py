"""One gateway over several partitions, on real Ray and PostgreSQL."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runtime.system import PartitionedSystem
from runtime.topology.partitions import partition_of
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher, kill, log_of
from tests.integration.test_gateway import facts_of, send, send_until_there

pytestmark = pytest.mark.integration

COUNT = 20


@pytest.fixture(scope="module")
def web(cluster: None, new_database: Callable[[], str]) -> Iterator[PartitionedSystem]:
    launcher = Launcher(new_database)
    launched = launcher(
        actor_system={"actor_modules": ["tests.integration.devices"], "hosts": 3},
        event_store={"partitions": 2},
        gateway={"enabled": True, "port": 0},
    )
    assert isinstance(launched, PartitionedSystem)
    yield launched
    launcher.drain_all()


def names(prefix: str) -> list[str]:
    return [f"{prefix}-{number:02}" for number in range(COUNT)]


def in_partition(prefix: str, partition: int) -> list[str]:
    return [each for each in names(prefix) if partition_of(f"counter/{each}", 2) == partition]


class Stream:
    """Reads server-sent events: the last id, and the events."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.last_id = ""

    def take(self, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < count:
            name, _, value = self._answer.readline().decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "data":
                found.append(json.loads(value))
        return found


@contextmanager
def stream(address: str, query: str, last_id: str = "") -> Iterator[Stream]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    request = urllib.request.Request(f"{address}/v1/events?{query}", headers=headers)
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        yield Stream(answer)


def test_an_actor_is_asked_in_its_own_partition(web: PartitionedSystem) -> None:
    send_until_there(web, "/readyz")
    address = facts_of(web).address
    for partition in (0, 1):
        name = in_partition("one", partition)[0]
        status, said = send(address, f"/v1/actors/counter/{name}/add", {}, Idempotency_Key="k")
        assert (status, said["repeat"], said["events"][0]["version"]) == (200, False, 1)
        again = send(address, f"/v1/actors/counter/{name}/add", {}, Idempotency_Key="k")[1]
        assert (again["repeat"], again["events"]) == (True, said["events"])
        assert send(address, f"/v1/actors/counter/{name}")[1]["version"] == 1
        history = send(address, f"/v1/actors/counter/{name}/events")[1]["events"]
        assert history == said["events"]
        text = "SELECT position FROM events WHERE source = $1"
        rows = log_of(web.parts[partition], text, f"counter/{name}")
        assert [row["position"] for row in rows] == [history[0]["position"]]
        cause = history[0]["event_id"]
        explained = send(address, f"/v1/events/{cause}/explanation")[1]
        assert explained["event"] == cause


def test_what_there_is_is_listed_of_all_partitions_in_one_order(web: PartitionedSystem) -> None:
    address = facts_of(web).address
    for name in names("listed"):
        web.actor(Counter, name).ask(Add()).result()
    found, after = [], ""
    while True:
        path = f"/v1/actors/counter?prefix=listed-&limit=7&after={after}"
        page = send(address, path)[1]
        found += [each["name"] for each in page["actors"]]
        if (after := page["next"]) is None:
            break
    assert found == names("listed")
    types = send(address, "/v1/types")[1]
    (counted,) = [each for each in types["types"] if each["type"] == "counter"]
    assert counted["events"] == sum(
        log_of(part, "SELECT count(*) FROM events WHERE source LIKE 'counter/%'")[0][0]
        for part in web.parts
    )
    assert types["complete"]
    assert types["through"] == list(web.head().result())


def test_commands_in_bulk_go_to_their_partitions(web: PartitionedSystem) -> None:
    lines = [{"source": f"counter/{each}", "message": "add"} for each in names("bulk") * 3]
    body = "\n".join(map(json.dumps, lines)).encode()
    request = urllib.request.Request(
        facts_of(web).address + "/v1/commands", body, {"Content-Type": "application/x-ndjson"}
    )
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        said = [json.loads(line) for line in answer]
    assert [each["line"] for each in said] == list(range(1, 3 * COUNT + 1))
    assert [each["events"][0]["version"] for each in said] == [1] * COUNT + [2] * COUNT + [
        3
    ] * COUNT


@pytest.mark.chaos
def test_a_stream_over_all_goes_on_without_a_gap_after_kill_9_of_the_gateway(
    web: PartitionedSystem,
) -> None:
    refs = [web.actor(Counter, name) for name in names("streamed")]
    query = "sources=counter/streamed-*"
    with stream(facts_of(web).address, query) as live:
        for ref in refs:
            ref.ask(Add()).result()
        first = live.take(COUNT // 2)
        last_id = live.last_id
    assert len(last_id.split(",")) == 2
    kill(web.parts[0], "gateway-0")
    for ref in refs:
        ref.ask(Add()).result()
    send_until_there(web, "/readyz")
    with stream(facts_of(web).address, query, last_id) as again:
        rest = again.take(2 * COUNT - len(first))
        end = again.last_id
    seen = [(each["source"], each["version"]) for each in first + rest]
    assert sorted(seen) == sorted((ref.source, version) for ref in refs for version in (1, 2))
    for source in {source for source, _ in seen}:  # those of one device come in their order
        assert [version for each, version in seen if each == source] == [1, 2]
    with stream(facts_of(web).address, f"{query}&after={end}") as behind:
        refs[0].ask(Add()).result()
        assert [each["version"] for each in behind.take(1)] == [3]


def test_a_stream_of_one_partition_alone_has_its_positions(web: PartitionedSystem) -> None:
    address = facts_of(web).address
    (name, *_) = in_partition("alone", 1)
    for _ in range(2):
        web.actor(Counter, name).ask(Add()).result()
    history = send(address, f"/v1/actors/counter/{name}/events")[1]["events"]
    query = f"sources=counter/{name}&after={history[0]['position']}"
    with stream(address, query) as found:
        assert found.take(1) == history[1:]
        assert found.last_id == str(history[1]["position"])
    status, said = send(address, "/v1/events?after=7")
    assert (status, "2 whole numbers with commas" in said["detail"]) == (400, True)


def test_the_whole_system_is_shown(web: PartitionedSystem) -> None:
    address = facts_of(web).address
    shown = send(address, "/v1/system")[1]["processes"]
    assert {"writer", "writer of partition 1", "gateway-0"} <= {each["name"] for each in shown}
    settings = {each["key"]: each["value"] for each in send(address, "/v1/settings")[1]["settings"]}
    assert settings["actor_system.hosts"] == 3
    assert send(address, "/v1/failures")[1]["silent"] == []
