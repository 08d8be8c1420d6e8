"""A system on several machines, and a Prometheus that scrapes them, while processes die and move.

The first machine has the head of Ray, the database, and this program; the others have raylets: one
for the core, one for hosts, and one that the core moves to. Prints, as JSON, what became of it: how
many events there are, and how many the Prometheus has summed up. A program of its own, because it
runs on the first of the machines.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter as Counted
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import ray

from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import MACHINE_LETTERS, host_name
from runtime.topology.placement import node_that_decides
from runtime.topology.status import ProcessStatus
from store.embedded.server import EmbeddedPostgres
from store.shards import dealt
from tests.e2e.machine_that_goes import LIMIT_S, Driver, eventually, statuses
from tests.e2e.place import free_port
from tests.integration.systems import log_of, stored
from tests.machines.namespaces import Machine
from tests.machines.prometheus import Prometheus, problems_of, prometheus
from tests.machines.relay import relay

ROLE, METRICS = "thornback.dev/role", "thornback.dev/metrics"
PUBLISHED, PROCESSED = "events_published_total", "events_processed_total"
ENOUGH = 50  #: commands that are acknowledged between two looks
WITHIN_S = 60


class Place:
    """The machines of one run."""

    def __init__(self, folder: Path, machines: list[Machine]) -> None:
        self.folder = folder
        self.head, *self.others = machines
        self._port = free_port()  #: of each exporter
        self._ray = f"{self.head.address}:{free_port()}"

    def address(self, machine: Machine) -> str:
        """Where its metrics are."""
        return f"{machine.address}:{self._port}"

    def settings(self, database: str) -> Settings:
        """An exporter on each machine but the first."""
        return Settings.load(
            gateway={"enabled": False},
            metrics={"host": "0.0.0.0", "port": self._port, "labels": {METRICS: "true"}},
            event_store={"connection_string": database},
            actor_system={
                "hosts": 2,
                "host_labels": {ROLE: "host"},
                "core_labels": {ROLE: "core"},
                "actor_timeout_ms": 120_000,  # of commands: longer than it takes to move
                "actor_modules": ["tests.integration.devices"],
            },
        )

    @contextmanager
    def on(self, machine: Machine, *command: str, **environment: str) -> Iterator[Any]:
        """Run something on a machine, with a temporary folder of the machine's own."""
        own = self.folder / machine.name
        own.mkdir(exist_ok=True)
        own_environment = {"TMPDIR": str(own), "RAY_TMPDIR": str(self.folder), **environment}
        process = subprocess.Popen(
            [*machine.inside, sys.executable, "-m", *command],
            env={**os.environ, **own_environment}, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)

    @contextmanager
    def joined(self, machine: Machine, role: str) -> Iterator[Any]:
        """A raylet on a machine, which has joined."""
        before = _alive()
        with self.on(
            machine, "jobs.node", f"--within={WITHIN_S}", "ray", "start", "--block",
            f"--address={self._ray}", f"--node-ip-address={machine.address}",
            "--num-cpus=0", f"--labels={ROLE}={role},{METRICS}=true",
            "--object-store-memory=100000000", f"--dashboard-agent-listen-port={free_port()}",
        ) as node:  # fmt: skip
            eventually(lambda: _alive() > before)
            yield node

    @contextmanager
    def head_of_ray(self) -> Iterator[None]:
        """Ray's head on the first machine, and this program in it."""
        host, _, port = self._ray.partition(":")
        head = subprocess.Popen(
            ["ray", "start", "--head", "--block", f"--node-ip-address={host}", f"--port={port}",
             "--num-cpus=0", "--include-dashboard=False", "--object-store-memory=100000000",
             f"--dashboard-agent-listen-port={free_port()}"],
            env={**os.environ, "RAY_TMPDIR": str(self.folder)}, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            eventually(partial(_answers, host, int(port)))
            ray.init(address=self._ray, _node_ip_address=host, log_to_driver=False)
            yield
        finally:
            ray.shutdown()
            head.send_signal(signal.SIGTERM)
            head.wait(LIMIT_S)

    @contextmanager
    def database(self) -> Iterator[str]:
        """A PostgreSQL on the first machine; where all machines find it."""
        server = EmbeddedPostgres(self.folder / "data" / "postgres")
        url = server.start()
        try:
            relay(self.head.address, int(url.rpartition(":")[2].partition("/")[0]))
            yield url.replace("127.0.0.1", self.head.address)
        finally:
            server.stop()


class Run:
    """One system, watched by one Prometheus."""

    def __init__(self, place: Place, system: ActorSystem, watching: Prometheus) -> None:
        self._place, self._system, self._watching = place, system, watching
        self.said: dict[str, Any] = {}

    def exact(self, what: str, meanwhile: Callable[[], Any] = lambda: None) -> None:
        """Send commands, while something happens; then all is quiet. What the log has by then, and
        what Prometheus comes to."""
        driver = Driver(self._system)
        eventually(lambda: len(driver.acknowledged) > ENOUGH)
        meanwhile()
        more = len(driver.acknowledged) + ENOUGH
        eventually(lambda: len(driver.acknowledged) > more)
        driver.close()
        count = stored(self._system)
        with suppress(AssertionError):  # what it is in the end is said
            eventually(lambda: self._sums() == [count, count])
        self.said[what] = {"log": count, "prometheus": self._sums()}

    def by_node(self) -> None:
        """The same by hosts."""
        chosen = self._system.settings
        node_of = partial(
            node_that_decides,
            chosen.event_bus.node_id,
            dealt([host_name(number) for number in range(chosen.actor_system.hosts)]),
            {},
        )
        of_log: Counted[str] = Counted()
        for source, count in log_of(self._system, "SELECT source, count(*) FROM events GROUP BY 1"):
            of_log[node_of(source)] += count
        found = self._watching.sums(PROCESSED, "node")
        self.said["by_node"] = {"log": dict(of_log), "prometheus": found}

    def kill(self, name: str) -> None:
        """Kill -9 a process; return when its successor is there."""
        pid = self._process(name).pid
        os.kill(pid, signal.SIGKILL)
        self._becomes(name, lambda it: it.pid != pid)

    def leave(self, node: "subprocess.Popen[bytes]") -> None:
        """End the machine of the core; return when directory and bus are on another one."""
        before = self._process("directory").machine
        node.send_signal(signal.SIGTERM)
        for name in ("directory", "bus"):
            self._becomes(name, lambda it: it.machine != before)

    def logs(self) -> None:
        """Whom the entries of each process name, and who it is."""
        self.said["logs"] = [
            {
                "expected": f"{each.node}@{each.machine[:MACHINE_LETTERS]}",
                "named": sorted(self._named(each.name)),
            }
            for each in statuses(self._system)
            if isinstance(each, ProcessStatus)
        ]

    def promtool(self) -> None:
        """What it says of what each machine shows."""
        for machine in self._place.others[1:]:
            url = f"http://{self._place.address(machine)}/metrics"
            with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
                self.said.setdefault("promtool", []).append(problems_of(answer.read().decode()))

    def _sums(self) -> list[int]:
        return [self._watching.sum(PUBLISHED), self._watching.sum(PROCESSED)]

    def _named(self, name: str) -> set[str]:
        process = ray.get_actor(name, namespace=self._system.namespace)
        pieces = ray.get(process.log.remote({}), timeout=LIMIT_S).values()
        # Not what an earlier incarnation has said: here another machine may have its files, too.
        now = [each.said.decode() for each in pieces if not each.ended]
        lines = [line for said in now for line in said.splitlines()]
        entries = [line.split(" ") for line in lines if line[:2] == "20" and "Z " in line]
        return {words[3].rstrip(":") for words in entries}

    def _process(self, name: str) -> ProcessStatus:
        return self._becomes(name, lambda _: True)

    def _becomes(self, name: str, as_expected: Callable[[ProcessStatus], bool]) -> ProcessStatus:
        found: ProcessStatus = eventually(lambda: self._there(name, as_expected))
        return found

    def _there(
        self, name: str, as_expected: Callable[[ProcessStatus], bool]
    ) -> ProcessStatus | None:
        for each in statuses(self._system):
            if isinstance(each, ProcessStatus) and each.name == name and each.facts is not None:
                return each if as_expected(each) else None
        return None


def _alive() -> int:
    return sum(each["Alive"] for each in ray.nodes())


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def main() -> None:
    folder = Path(sys.argv[1])
    place = Place(folder, [Machine(**each) for each in json.loads(sys.argv[2])])
    core, hosts, other = place.others
    with ExitStack() as stack:
        url = stack.enter_context(place.database())
        stack.enter_context(place.head_of_ray())
        first = stack.enter_context(place.joined(core, "core"))
        stack.enter_context(place.joined(hosts, "host"))
        system = ActorSystem.launch(place.settings(url), timeout_s=LIMIT_S)
        targets = [place.address(each) for each in place.others]
        run = Run(place, system, stack.enter_context(prometheus(folder, targets)))
        run.exact("quiet")
        run.exact("host killed", lambda: run.kill("host-0"))
        stack.enter_context(place.joined(other, "core"))
        run.exact("core moved", lambda: run.leave(first))
        run.exact("bus killed", lambda: run.kill("bus"))
        run.by_node()
        run.logs()
        run.promtool()
        system.drain().result()
    print(json.dumps(run.said))


if __name__ == "__main__":
    main()
