"""Nodes of Ray on this machine: a head, and two that have all of a system, one after the other.

The whole system runs on the first, which is ended by SIGTERM when the second is there, while a
driver sends commands. Prints, as JSON, what became of it. A program of its own: a test session has
one node.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.cluster_utils import Cluster

from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.status import GatewayFacts, ProcessStatus, Status
from tests.e2e.place import free_port
from tests.integration.devices import Add, Counter
from tests.integration.systems import stored

LIMIT_S = 120.0
SIDE = "thornback.dev/side"
LABELS = {SIDE: "system"}
WITHIN_S = 60

SETTINGS = Settings.load(
    gateway={"port": 0, "labels": LABELS},
    metrics={"port": 0},
    actor_system={
        "hosts": 2,
        "host_labels": LABELS,
        "core_labels": LABELS,
        "actor_timeout_ms": 120_000,  # of commands: longer than it takes to move
        "actor_modules": ["tests.integration.devices"],
    },
)


class Driver:
    """Sends one command after the other, and keeps the ids of the events that it was told of."""

    def __init__(self, system: ActorSystem) -> None:
        self._system = system
        self.acknowledged: list[str] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._enough.is_set():
            number += 1
            asked = self._system.actor(Counter, f"c-{number % 20}").ask(Add())
            self.acknowledged += [str(each.id) for each in asked.result(timeout_s=LIMIT_S)]

    def close(self) -> None:
        """Send no more, and wait for what is under way."""
        self._enough.set()
        self._thread.join()


@contextmanager
def joined(address: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A node that belongs to the system, and what attends to it; it is ended afterwards."""
    node = subprocess.Popen(
        [sys.executable, "-m", "jobs.node", f"--within={WITHIN_S}",
         "ray", "start", f"--address={address}", "--block", "--num-cpus=0",
         f"--labels={SIDE}=system", "--object-store-memory=100000000",
         f"--dashboard-agent-listen-port={free_port()}"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield node
    finally:
        node.send_signal(signal.SIGTERM)
        node.wait(LIMIT_S)


def machines() -> set[str]:
    """Those with the labels of the system that are alive."""
    alive = (each for each in ray.nodes() if each["Alive"])
    return {each["NodeID"] for each in alive if each["Labels"].get(SIDE) == "system"}


def eventually(holds: Callable[[], Any]) -> Any:
    """Wait for what announces itself to nobody."""
    until_s = time.monotonic() + LIMIT_S
    while not (found := holds()):
        assert time.monotonic() < until_s, holds
        time.sleep(0.2)
    return found


def gateways(system: ActorSystem) -> dict[str, str]:
    """By machine: where the gateways listen that have started."""
    found = {}
    for status in statuses(system):
        if isinstance(status, ProcessStatus) and isinstance(status.facts, GatewayFacts):
            found[status.machine] = status.facts.address
    return found


def statuses(system: ActorSystem) -> tuple[Status, ...]:
    """How all are; nothing while the directory moves."""
    try:
        return tuple(system.status().result())
    except Exception as error:  # it is away, in whichever way
        print(f"no status: {error}", file=sys.stderr)
        return ()


def alive(address: str) -> bool:
    """Does a gateway answer?"""
    with urllib.request.urlopen(f"{address}/livez", timeout=LIMIT_S) as answer:
        return bool(answer.status == 200)


def moved(system: ActorSystem, machine: str) -> bool:
    """Are all there, and on that machine?"""
    found = statuses(system)
    there = [each for each in found if isinstance(each, ProcessStatus) and each.facts is not None]
    return len(found) == len(there) == 6 and {each.machine for each in there} == {machine}


def main() -> None:
    head = {"num_cpus": 0, "object_store_memory": 100_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        with joined(cluster.address) as first:
            print(json.dumps(played(cluster.address, first)))
    finally:
        ray.shutdown()
        cluster.shutdown()


def played(address: str, first: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """What becomes of the system on `first`, which ends."""
    eventually(machines)
    (before,) = machines()
    system = ActorSystem.launch(SETTINGS, timeout_s=LIMIT_S)
    said: dict[str, Any] = {"one": alive(gateways(system)[before])}
    with joined(address):
        become_of(system, before, first, said)
    return said


def become_of(
    system: ActorSystem, before: str, first: "subprocess.Popen[bytes]", said: dict[str, Any]
) -> None:
    """Another node is there; the first ends."""
    eventually(lambda: len(machines()) == 2)
    (after,) = machines() - {before}
    eventually(lambda: after in gateways(system))
    said["two"] = all(map(alive, gateways(system).values())) and len(gateways(system)) == 2
    driver = Driver(system)
    eventually(lambda: len(driver.acknowledged) > 50)
    began_s = time.monotonic()
    first.send_signal(signal.SIGTERM)
    said["exit"] = first.wait(LIMIT_S)
    said["left_after_s"] = time.monotonic() - began_s
    eventually(lambda: moved(system, after))
    said["moved_after_s"] = time.monotonic() - began_s
    more = len(driver.acknowledged) + 20
    eventually(lambda: len(driver.acknowledged) > more)
    driver.close()
    said["acknowledged"], said["stored"] = len(set(driver.acknowledged)), stored(system)
    said["gateways"] = list(gateways(system)) == [after]
    said["still"] = alive(gateways(system)[after])
    system.drain().result()


if __name__ == "__main__":
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    main()
