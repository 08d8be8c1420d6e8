"""What is open to whom, of a system that runs as k8s/ has it, asked from other machines.

A minute and more, so it is no part of `make test`: `make network-test` runs it, as root.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.machines.namespaces import impossible
from tests.network.cluster import CLOSED, Cluster, cluster
from tests.network.pods import TOOL

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif("NETWORK_TEST" not in os.environ, reason="`make network-test` runs it"),
]

#: Ports that manifests and documents name; all others are chosen by Ray.
API, METRICS, RAY_METRICS, HEAD, DASHBOARD, CLIENT, AGENT = (
    8080,
    9090,
    8090,
    6379,
    8265,
    10001,
    52365,
)
PODS = ("head", "host")
#: What a gateway tells everybody.
OF_EVERYBODY = ["GET / 200", "GET /livez 200", "GET /readyz 200", "GET /docs 200"]
#: What Ray tells everybody who reaches it: whether it lives, and pages without anything in them.
OF_RAY = {
    "GET / 200", "GET /api/healthz 200", "GET /api/local_raylet_healthz 200",
    "GET /api/gcs_healthz 200",
}  # fmt: skip


@pytest.fixture(scope="module")
def system() -> Iterator[Cluster]:
    if why := impossible(TOOL):
        pytest.skip(why)
    with cluster() as made:
        yield made


@pytest.fixture
def unguarded(system: Cluster) -> Iterator[Cluster]:
    """The same without its policies, as where no network plugin enforces them."""
    system.open_all()
    yield system
    system.close_all()


def test_clients_reach_the_gateway_and_nothing_else(system: Cluster) -> None:
    assert system.answers("client", "host") == {API: OF_EVERYBODY}
    assert system.answers("client", "head") == {}


def test_a_stranger_reaches_nothing(system: Cluster) -> None:
    assert [system.answers("stranger", pod) for pod in PODS] == [{}, {}]


def test_prometheus_reaches_metrics_and_nothing_else(system: Cluster) -> None:
    for pod in PODS:
        assert system.answers("prometheus", pod).keys() == {METRICS, RAY_METRICS}


def test_who_submits_reaches_the_heads_jobs_and_nothing_else(system: Cluster) -> None:
    assert system.answers("submitter", "head").keys() == {DASHBOARD}
    assert system.answers("submitter", "host") == {}


def test_every_port_was_asked(system: Cluster) -> None:
    """Nothing above is closed because nobody listened there."""
    assert system.listening("head").keys() >= {
        HEAD, DASHBOARD, CLIENT, AGENT, METRICS, RAY_METRICS,
    }  # fmt: skip
    assert system.listening("host").keys() >= {API, AGENT, METRICS, RAY_METRICS}
    assert API not in system.listening("head")


def test_the_gateway_asks_for_a_token_and_takes_it(system: Cluster) -> None:
    asked = f"http://{system.address('host')}:{API}/v1/types"
    script = (
        "import sys, urllib.request, urllib.error\n"
        "shown = {'Authorization': 'Bearer ' + sys.argv[2]} if sys.argv[2:] else {}\n"
        "try:\n"
        "    asked = urllib.request.Request(sys.argv[1], None, shown)\n"
        "    print(urllib.request.urlopen(asked).status)\n"
        "except urllib.error.HTTPError as error:\n"
        "    print(error.code, error.read().decode())\n"
    )
    refused = system.run("client", sys.executable, "-c", script, asked)
    assert refused[:3] == "401"
    system.said.append(refused)
    system.said.append(system.run("client", sys.executable, "-c", script, asked, "thb_made_up"))
    answered = system.run("client", sys.executable, "-c", script, asked, system.token)
    assert answered.strip() == "200"


@pytest.mark.parametrize("pod", PODS)
def test_without_policies_rays_token_is_what_keeps_strangers_out(
    unguarded: Cluster, pod: str
) -> None:
    loopback_alone = {port for port, others in unguarded.listening(pod).items() if not others}
    told = unguarded.answers("stranger", pod)
    assert not loopback_alone & told.keys()
    # Counts are for whoever reaches them: ours, Ray's own, and those that its dashboard keeps.
    counts = {port for port, found in told.items() if "GET /metrics 200" in found}
    assert counts >= {METRICS, RAY_METRICS}
    rest = {port: found for port, found in told.items() if port not in counts and found}
    assert rest.pop(API, OF_EVERYBODY) == OF_EVERYBODY
    assert {each for found in rest.values() for each in found} <= OF_RAY


@pytest.mark.parametrize("pod", PODS)
def test_the_same_questions_are_answered_to_who_has_rays_token(
    unguarded: Cluster, pod: str
) -> None:
    """So those above were refused for want of one, and not for being wrong."""
    told = unguarded.answers("stranger", pod, RAY_TOKEN=unguarded.ray_token)
    answered = {each.partition("/")[0] for found in told.values() for each in found}
    assert answered >= {"NodeManagerService", "CoreWorkerService", "ObjectManagerService"}
    if pod == "head":
        assert answered >= {"NodeInfoGcsService", "RayletDriver"}
        assert "GET /api/jobs/ 200" in told[DASHBOARD]


@pytest.mark.parametrize(
    "command",
    [
        ["ray", "status", "--address={head}:6379"],
        ["ray", "job", "list", "--address=http://{head}:8265"],
        [sys.executable, "-c", "import ray; ray.init('ray://{head}:10001')"],
        [sys.executable, "-c", "import ray; ray.init('{head}:6379')"],
    ],
    ids=["status", "jobs", "client", "driver"],
)
def test_without_policies_rays_own_programs_need_the_token(
    unguarded: Cluster, command: list[str]
) -> None:
    line = [each.format(head=unguarded.address("head")) for each in command]
    with pytest.raises(AssertionError, match=r"(?i)auth|token|401|connection"):
        unguarded.run("stranger", *line, RAY_AUTH_MODE="disabled", RAY_AUTH_TOKEN="")


def test_no_secret_stands_where_it_can_be_seen(system: Cluster) -> None:
    """Not in the list of processes, nor of jobs, nor in metrics, logs, settings and errors."""
    shown = list(system.said)
    head = system.address("head")
    shown.append(system.run("submitter", "ray", "job", "list", f"--address=http://{head}:8265"))
    assert "jobs.launch" in shown[-1]
    fetch = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
    for pod in PODS:
        for port in (METRICS, RAY_METRICS):
            url = f"http://{system.address(pod)}:{port}/metrics"
            shown.append(system.run("prometheus", sys.executable, "-c", fetch, url))
            assert "# HELP" in shown[-1]
    listed = subprocess.run(["ps", "-ww", "-e", "-o", "args"], check=True, stdout=subprocess.PIPE)
    shown.append(listed.stdout.decode())
    assert "jobs.node" in shown[-1]
    logs = [file for file in system.folder.rglob("*.log") if file.is_file()]
    logs += [file for file in system.folder.rglob("logs/**/*") if file.is_file()]
    assert len(logs) > 10
    shown += [file.read_text(errors="replace") for file in logs]
    assert not [text[:300] for text in shown if any(secret in text for secret in system.secrets)]


def test_a_secret_would_be_found(system: Cluster) -> None:
    assert len(set(system.secrets)) == 3
    assert all(len(secret) > 15 for secret in system.secrets)
    assert json.dumps(system.environment("head")).count(system.ray_token) == 1


def test_the_pods_that_are_under_policies_are_those_of_the_system(system: Cluster) -> None:
    closed = {
        name for name, pod in system.machines.pods.items() if pod.namespace == "thornback-dev"
    }
    assert closed == set(CLOSED)


def test_at_the_end_of_all_pods_each_ends_with_0(system: Cluster) -> None:
    """Last: the head's preStop drains, and SIGTERM comes to what has Ray leave the machine."""
    assert system.end_pods() == {"head": 0, "host": 0}
    assert "stopped" in system.said[-1]
