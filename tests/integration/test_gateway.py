"""The gateway as a process of a real system: launched, killed and drained with it."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import pytest

from runtime.errors import LaunchFailed
from runtime.system import ActorSystem
from runtime.topology.status import GatewayFacts, ProcessStatus
from tests.elevator import Elevator, Lift
from tests.integration.devices import Add, Counter
from tests.integration.systems import LIMIT_S, Launcher, eventually, kill, log_of

pytestmark = pytest.mark.integration

WEB: dict[str, Mapping[str, Any]] = {
    "gateway": {"enabled": True, "port": 0},
    "actor_system": {"actor_modules": ["tests.integration.devices"], "hosts": 2},
}


@pytest.fixture(scope="module")
def web(cluster: None, new_database: Any) -> Iterator[ActorSystem]:
    """A system with a gateway, for tests that leave it whole."""
    launcher = Launcher(new_database)
    yield launcher(**WEB)
    launcher.drain_all()


def gateway_of(system: ActorSystem) -> ProcessStatus:
    """The status of the gateway."""
    (found,) = [one for one in system.status().result() if one.name == "gateway-0"]
    assert isinstance(found, ProcessStatus), found
    return found


def facts_of(system: ActorSystem) -> GatewayFacts:
    """What the gateway says of itself, as soon as it has started."""
    until_s = time.monotonic() + LIMIT_S
    while time.monotonic() < until_s:
        status = next(one for one in system.status().result() if one.name == "gateway-0")
        if isinstance(status, ProcessStatus) and isinstance(status.facts, GatewayFacts):
            return status.facts
    raise AssertionError("the gateway does not come")


def send(address: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """A GET, or a POST of JSON: its status, and its answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        address + path, data, {"Content-Type": "application/json", **named}
    )
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def send_until_there(system: ActorSystem, path: str, body: Any = None, **headers: str) -> Any:
    """Send again and again until a gateway answers, wherever it listens by then."""
    until_s = time.monotonic() + LIMIT_S
    while True:
        try:
            status, said = send(facts_of(system).address, path, body, **headers)
        except OSError:
            status, said = 0, "no connection"
        if status == 200:
            return said
        assert status in (0, 503), said
        assert time.monotonic() < until_s, said


def test_a_command_a_state_and_a_history_over_http(web: ActorSystem) -> None:
    address = facts_of(web).address
    status, said = send(address, "/v1/actors/counter/a/add", {})
    assert (status, said["events"][0]["version"]) == (200, 1)
    web.actor(Counter, "a").ask(Add()).result()
    assert send(address, "/v1/actors/counter/a")[1]["version"] == 2
    history = send(address, "/v1/actors/counter/a/events")[1]["events"]
    assert [each["version"] for each in history] == [1, 2]
    (row,) = log_of(
        web, "SELECT id::text, position FROM events WHERE source = 'counter/a' AND version = 1"
    )
    assert (history[0]["event_id"], history[0]["position"]) == tuple(row)


def test_the_gateway_is_ready_and_in_the_status(web: ActorSystem) -> None:
    send_until_there(web, "/readyz")
    assert facts_of(web).ready
    assert gateway_of(web).kind == "gateway"


@pytest.mark.chaos
def test_a_post_that_is_sent_again_after_kill_9_of_the_gateway_has_one_effect(
    web: ActorSystem,
) -> None:
    key = str(uuid4())
    first = send_until_there(web, "/v1/actors/counter/k/add", {}, Idempotency_Key=key)
    before = gateway_of(web).pid
    kill(web, "gateway-0")
    again = send_until_there(web, "/v1/actors/counter/k/add", {}, Idempotency_Key=key)
    assert gateway_of(web).pid != before
    assert (first["repeat"], again["repeat"]) == (False, True)
    assert first["events"] == again["events"]
    assert len(log_of(web, "SELECT FROM events WHERE source = 'counter/k'")) == 1


@pytest.mark.chaos
def test_a_stream_goes_on_without_a_gap_after_kill_9_of_the_gateway(web: ActorSystem) -> None:
    begin = web.head().result()
    for _ in range(3):
        web.actor(Counter, "s").ask(Add()).result()
    first = read_stream(facts_of(web).address, 2, after=begin)
    kill(web, "gateway-0")
    web.actor(Counter, "s").ask(Add()).result()
    send_until_there(web, "/readyz")
    rest = read_stream(facts_of(web).address, 2, last=first[-1]["position"])
    assert [each["position"] for each in first + rest] == list(range(begin + 1, begin + 5))


def read_stream(
    address: str, count: int, *, after: int | None = None, last: int | None = None
) -> list[Any]:
    """So many events of the counter `s`, after a position or as a client that comes back."""
    query = "" if after is None else f"&after={after}"
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    request = urllib.request.Request(f"{address}/v1/events?sources=counter/s{query}", None, headers)
    found: list[Any] = []
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        while len(found) < count:
            line = answer.readline()
            if line.startswith(b"data: "):
                found.append(json.loads(line[6:]))
    return found


@pytest.mark.chaos
def test_a_class_that_a_driver_has_sent_is_brought_to_a_host_that_has_lost_it(
    web: ActorSystem,
) -> None:
    web.actor(Elevator, "north").ask(Lift(floors=3)).result(timeout_s=LIMIT_S)
    send_until_there(web, "/v1/actors/elevator/north/lift", {"floors": 1})
    eventually(lambda: "elevator" in facts_of(web).actor_types)
    for number in range(2):
        kill(web, f"host-{number}")
    for name in ("north", "south", "east", "west"):
        send_until_there(web, f"/v1/actors/elevator/{name}/lift", {"floors": 1})
    state = send_until_there(web, "/v1/actors/elevator/north")
    assert (state["version"], state["state"]) == (3, {"floor": 5})


def test_a_taken_port_is_said_at_launch_and_nothing_is_left(launch: Launcher) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = launch.settings(gateway={"enabled": True, "port": port})
        with pytest.raises(LaunchFailed, match=rf"127.0.0.1:{port}.*in use.*gateway\.port"):
            ActorSystem.launch(settings)
    system = launch.run(settings)  # the port is free now, and so is the namespace
    assert facts_of(system).address == f"http://127.0.0.1:{port}"


def test_an_address_that_others_reach_is_refused_as_long_as_there_are_no_tokens(
    launch: Launcher,
) -> None:
    settings = launch.settings(gateway={"enabled": True, "host": "0.0.0.0"})
    with pytest.raises(LaunchFailed, match=r"gateway\.host"):
        ActorSystem.launch(settings)


def test_the_gateway_is_drained_first_and_counts_its_requests(launch: Launcher) -> None:
    system = launch(**WEB)
    address = facts_of(system).address
    send(address, "/v1/actors/counter/a/add", {})
    report = launch.drain(system)
    assert (report.processes[0].name, report.processes[0].settled) == ("gateway-0", 1)
    assert not report.problems
    with pytest.raises(OSError, match="refused"):
        send(address, "/livez")
