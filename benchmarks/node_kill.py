"""How long the loss of a node is felt: three Ray nodes of this machine, one of which is killed.

    DATABASE_URL=... python -m benchmarks.node_kill ACTORS DEFAULT | SHORTENED

Each node has a host, and ACTORS actors are resident in all. While commands go to all of them, a
node with a host is killed with all that runs on it. Prints the seconds from then until every actor
has answered a command that was sent afterwards. A program of its own: the bench's Ray has one node.
"""

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.devices import Meter, TakeReading
from benchmarks.sizes import require
from runtime.cluster.local_nodes import HEALTH_CHECK, LocalNode
from runtime.cluster.ray_session import end_ray, start_ray, uninterrupted
from runtime.driver.bulk import Item
from runtime.driver.ref import ActorRef
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import ProcessKind
from runtime.topology.status import ProcessStatus

NODES = 3
PATIENCE_S = 300.0
#: What the head is told of nodes, by name; nothing is Ray's own.
CHECKS: Mapping[str, Mapping[str, int]] = {"DEFAULT": {}, "SHORTENED": HEALTH_CHECK}

Refs = Sequence[ActorRef[Any]]


class Load:
    """Commands to all actors, round after round, until it is told to end."""

    def __init__(self, system: ActorSystem, refs: Refs) -> None:
        self._system, self._refs = system, refs
        self._over = threading.Event()
        self._rounds = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_round(self) -> None:
        """Until a round has been answered that nobody has waited for."""
        require(self._rounds.acquire(timeout=PATIENCE_S), "there is no load")

    def end(self) -> None:
        """Send no more, and wait for what is under way."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            told = self._system.tell_many(once_each(self._refs), patience_s=PATIENCE_S)
            require(not told.failed, f"commands have failed: {told!r}")
            self._rounds.release()


def once_each(refs: Refs) -> Iterator[Item]:
    """A reading for each."""
    for number, ref in enumerate(refs):
        yield ref, TakeReading(celsius=20.0, room="hall", number=number)


def host_node(system: ActorSystem, nodes: Sequence[LocalNode]) -> LocalNode:
    """One that has a host, and not the writer: it is the loss of hosts that is measured."""
    there = [each for each in system.status().result() if isinstance(each, ProcessStatus)]
    hosts = {each.machine for each in there if each.kind is ProcessKind.POOLED_HOST}
    writers = {each.machine for each in there if each.kind is ProcessKind.WRITER}
    return next(node for node in nodes if node.id in hosts - writers)


def recovery_s(system: ActorSystem, nodes: Sequence[LocalNode], actors: int) -> float:
    """From the kill until every actor has answered again."""
    refs = [system.actor(Meter, f"{number:05}") for number in range(actors)]
    load = Load(system, refs)
    load.wait_round()
    struck = host_node(system, nodes)
    began_s = time.perf_counter()
    struck.kill()
    told = system.tell_many(once_each(refs), patience_s=PATIENCE_S)
    took_s = time.perf_counter() - began_s
    require((told.commands, told.failed) == (actors, 0), f"not every actor has answered: {told!r}")
    load.end()
    return took_s


def main() -> None:
    actors, check = int(sys.argv[1]), CHECKS[sys.argv[2]]
    settings = Settings.load(
        actor_system={"hosts": NODES, "actor_modules": ["benchmarks.devices"]},
        metrics={"port": 0},
        gateway={"enabled": False},
    )
    try:
        with uninterrupted():
            nodes = start_ray(NODES, health_check=check)
        system = ActorSystem.launch(settings)
        print(recovery_s(system, nodes, actors))
        system.drain().result()
    finally:
        end_ray()


if __name__ == "__main__":
    main()
