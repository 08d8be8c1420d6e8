"""A cluster as k8s/ has it, and a system launched on it: Ray's head and a pod of hosts in network
namespaces, started by the pods' own commands, behind what the NetworkPolicies make of iptables.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.manifests.firewall import OPEN, table
from tests.manifests.placement import Group, groups
from tests.manifests.rendered import ROOT, of_kind, overlay, settings_file
from tests.network.pods import Network, Pod, network

LIMIT_S = 180.0
MANIFESTS = overlay("dev")
NAMESPACE = "thornback-dev"
HEAD, HOST = groups(MANIFESTS)
POLICIES = [
    *of_kind(MANIFESTS, "NetworkPolicy"),
    # Of components/monitoring, which dev has not.
    *(
        {**each, "metadata": {**each["metadata"], "namespace": NAMESPACE}}
        for each in of_kind(overlay("prod"), "NetworkPolicy")
        if each["metadata"]["name"] == "metrics"
    ),
]

#: Everybody who may want something of the system's pods, and what policies know of him.
PODS = [
    Pod(
        name=name, address=f"10.77.0.{number}", namespace=namespace,
        labels=labels, labels_of_namespace=of_namespace,
    )
    for number, (name, namespace, labels, of_namespace) in enumerate(
        [
            ("head", NAMESPACE, HEAD.of_pods, {}),
            ("host", NAMESPACE, HOST.of_pods, {}),
            ("submitter", NAMESPACE, {"thornback.dev/role": "submitter"}, {}),
            ("database", "databases", {}, {}),
            ("client", "clients", {}, {"thornback.dev/client": "true"}),
            ("stranger", "strangers", {}, {}),
            (
                "prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"},
                {"kubernetes.io/metadata.name": "monitoring"},
            ),
        ],
        1,
    )
]  # fmt: skip
CLOSED = ("head", "host", "submitter")  #: those that are under policies


class Cluster:
    """What runs, how it is reached, and what nobody may see."""

    def __init__(self, machines: Network, folder: Path) -> None:
        self.machines, self.folder = machines, folder
        self.ray_token = secrets.token_hex(32)
        self.url = ""  #: of the database
        self.token = ""  #: of a client
        self.pods: dict[str, subprocess.Popen[bytes]] = {}  #: that run
        self.said: list[str] = []  #: what was printed where it may be kept: by jobs
        (folder / "thornback.toml").write_text(settings_file(MANIFESTS))

    @property
    def secrets(self) -> list[str]:
        """What may stand nowhere."""
        password = urlsplit(self.url).password
        assert password
        return [self.ray_token, password, self.token.split("_", 2)[2]]

    def close_all(self) -> None:
        """Put the policies in force."""
        for name in CLOSED:
            self.machines.restore(name, table(self.machines.pods[name], PODS, POLICIES))

    def open_all(self) -> None:
        """As where nobody enforces policies."""
        for name in CLOSED:
            self.machines.restore(name, OPEN)

    def environment(self, name: str) -> dict[str, str]:
        """Of a machine's programs, as a pod has it."""
        own = self.folder / name
        own.mkdir(mode=0o711, exist_ok=True)
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),  # the image has the project installed
            "HOME": str(own),
            "TMPDIR": str(own),
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.ray_token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
        }

    def of_pod(self, name: str, group: Group, params: Sequence[str]) -> dict[str, str]:
        """The environment of a pod of a group: what the manifest has, and what KubeRay adds."""
        known = {
            "metadata.name": f"thornback-{name}",
            "postgres-secret": self.url,
        }
        found = self.environment(name)
        for each in group.ray["env"]:
            source: dict[str, Any] = each.get("valueFrom", {})
            key = source.get("fieldRef", {}).get("fieldPath") or source.get("secretKeyRef", {}).get(
                "name"
            )
            found[each["name"]] = known[key] if key else each["value"]
        return found | {
            "HOME": str(self.folder / name),
            "THORNBACK_CONFIG": str(self.folder / "thornback.toml"),
            "RAY_ADDRESS": f"{'127.0.0.1' if group is HEAD else self.address('head')}:6379",
            "KUBERAY_GEN_RAY_START_CMD": " ".join(["ray start", *params, *_params(group)]),
        }

    def run(self, name: str, *command: str, **variables: str) -> str:
        """Run a command on a machine to its end; what it prints. Its end is to be 0."""
        done = subprocess.run(
            self.machines.inside(name, *command), cwd=ROOT, check=False, text=True,
            env=self.environment(name) | variables, timeout=LIMIT_S, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"{command} on {name}: {done.stdout}")
        return done.stdout

    def ready(self, name: str) -> bool:
        """What the readiness probe of a pod of hosts says, on any machine."""
        probe = self.machines.inside(name, *HOST.ray["readinessProbe"]["exec"]["command"])
        return subprocess.run(probe, check=False, timeout=LIMIT_S).returncode == 0

    def listening(self, name: str) -> dict[int, bool]:
        """The ports of a machine where somebody listens, and whether others may come there."""
        found: dict[int, bool] = {}
        for line in self.run(name, "cat", "/proc/net/tcp").splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, port = local.split(":")
            if state == "0A":
                number = int(port, 16)
                found[number] = found.get(number, False) or not address.endswith("7F")
        return found

    def answers(self, asking: str, asked: str, **variables: str) -> dict[int, list[str]]:
        """By port: what one machine is told by another, without any token unless RAY_TOKEN has
        one, at every port where somebody listens."""
        ports = map(str, sorted(self.listening(asked)))
        program = (sys.executable, "-m", "tests.network.probing")
        said = self.run(asking, *program, self.address(asked), *ports, **variables)
        return {int(port): each for port, each in json.loads(said).items()}

    def end_pods(self) -> dict[str, int]:
        """End those that run, as Kubernetes does when all are deleted; their exit codes."""
        if not self.pods:
            return {}
        stop = HEAD.ray["lifecycle"]["preStop"]["exec"]["command"]
        self.said.append(self.run("head", *stop, **self.of_pod("head", HEAD, [])))
        codes = {name: _end(self.pods.pop(name)) for name in reversed(list(self.pods))}
        return dict(sorted(codes.items()))

    def address(self, name: str) -> str:
        """Of a machine."""
        return self.machines.pods[name].address


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A system that runs; all of it ends afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))  # short: Ray has sockets there
    folder.chmod(0o711)  # root's PostgreSQL runs as another user, who has to get through
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        made = Cluster(ends.enter_context(network(PODS)), folder)
        made.close_all()
        _database(made, ends)
        ends.callback(_end_all, made)
        _launched(made)
        yield made


def _database(made: Cluster, ends: ExitStack) -> None:
    address = made.machines.pods["database"].address
    server = subprocess.Popen(
        made.machines.inside(
            "database", sys.executable, "-m", "tests.network.database",
            str(made.folder / "postgres"), address,
        ),
        cwd=ROOT, env=made.environment("database"), text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    ends.callback(_end, server)
    assert server.stdout is not None
    made.url = server.stdout.readline().strip()
    assert made.url, "the database does not start"


def _launched(made: Cluster) -> None:
    """Pods, schema, token and launch, in the order of docs/deployment.md."""
    address = made.machines.pods["head"].address
    head = ["--head", "--port=6379", "--dashboard-host=0.0.0.0"]
    for name, group, params in (
        ("head", HEAD, [*head, f"--temp-dir={made.folder}/ray"]),
        ("host", HOST, [f"--address={address}:6379"]),
    ):
        made.pods[name] = _pod(made, name, group, params)
        _eventually(partial(made.ready, name))
    in_head = made.of_pod("head", HEAD, [])
    made.run("head", "python", "-m", "jobs.migrate", **in_head)
    create = ("python", "-m", "jobs.tokens", "create", "operator", "--scope", "admin", "--json")
    made.token = json.loads(made.run("head", *create, **in_head).splitlines()[-1])["token"]
    [job] = of_kind(MANIFESTS, "RayJob")
    submit = ("ray", "job", "submit", f"--address=http://{address}:8265", "--")
    made.said.append(made.run("submitter", *submit, *job["spec"]["entrypoint"].split()))
    _eventually(lambda: 8080 in made.listening("host"))
    _eventually(lambda: made.ready("host"))


def _pod(
    made: Cluster, name: str, group: Group, params: Sequence[str]
) -> "subprocess.Popen[bytes]":
    with (made.folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            made.machines.inside(name, *group.ray["command"]), cwd=ROOT,
            env=made.of_pod(name, group, params), stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT,
        )  # fmt: skip


def _params(group: Group) -> list[str]:
    """Of `ray start`, as KubeRay makes them of rayStartParams and labels."""
    labels = ",".join(f"{key}={value}" for key, value in sorted(group.of_ray.items()))
    given = {**group.params, "labels": labels}
    return ["--block", *(f"--{name}={value}" for name, value in sorted(given.items()))]


def _end_all(made: Cluster) -> None:
    """Whatever became of it."""
    for name in reversed(list(made.pods)):
        _end(made.pods.pop(name))


def _end(process: "subprocess.Popen[Any]") -> int:
    process.send_signal(signal.SIGTERM)
    with process:
        return process.wait(LIMIT_S)


def _eventually(holds: Callable[[], bool]) -> None:
    """Wait for what announces itself to nobody."""
    until_s = time.monotonic() + LIMIT_S
    while not holds():
        if time.monotonic() > until_s:
            raise AssertionError(f"not within {LIMIT_S:g} s")
        time.sleep(0.5)
