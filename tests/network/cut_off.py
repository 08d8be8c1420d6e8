"""Plays on machine `head`, with Ray's head: a machine with a host is cut off without a word,
replaced, and there again; then the database is.

    RAY_ADDRESS=... DATABASE_URL=... python -m tests.network.cut_off BRIDGE PORTS DATABASE

PORTS says, as JSON, at which port of the bridge each address is, and DATABASE that of the database.
Prints, as JSON, what became of it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
import ray

from actors.errors import ThornbackError
from runtime.cluster.ray_session import join_ray
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import ProcessKind
from runtime.topology.status import ProcessStatus
from tests.e2e.machine_that_goes import LIMIT_S, Driver, eventually, statuses
from tests.integration.devices import Add, Counter
from tests.integration.systems import log_of, stored

DRIVERS = 8
#: How long each answer is waited for: a machine that is silent is dead sooner.
TIMEOUT_MS = 60_000
#: What the system is launched with: what a database may be silent for.
SILENT_MS = 5_000

#: The machine that has what is not to be cut off; and so many there are.
CORE = {"thornback.dev/role": "core"}
MACHINES = 3

SETTINGS = Settings.load(
    gateway={"enabled": False},
    metrics={"port": 0},
    actor_system={
        "hosts": MACHINES,
        "core_labels": CORE,
        "actor_timeout_ms": SILENT_MS,
        "actor_modules": ["tests.integration.devices"],
    },
)


class Bridge:
    """Where the machines' wires end."""

    def __init__(self, name: str, ports: Mapping[str, str]) -> None:
        self._name, self._ports = name, ports

    @contextmanager
    def cut(self, address: str) -> Iterator[None]:
        """Whatever goes to that address, and comes from there, is lost."""
        self._set(address, "down")
        try:
            yield
        finally:
            self._set(address, "up")

    def _set(self, address: str, state: str) -> None:
        port = self._ports[address]
        subprocess.run(["ip", "-n", self._name, "link", "set", port, state], check=True)


def patient() -> ActorSystem:
    """A connection of somebody who waits for longer than anything may be silent."""
    own = SETTINGS.replaced("actor_system", "actor_timeout_ms", TIMEOUT_MS, "patience")
    return ActorSystem.connect(settings=own)


def machine_cut_off(system: ActorSystem, bridge: Bridge) -> dict[str, Any]:
    """One that has a host."""
    head = ray.get_runtime_context().get_node_id()
    before = next(
        each
        for each in _all(system)
        if each.kind is ProcessKind.POOLED_HOST and each.machine != head
    )
    old, epoch = psutil.Process(before.pid), _epoch(system, before.node)
    drivers = [Driver(patient()) for _ in range(DRIVERS)]
    _some_more(drivers)
    with bridge.cut(_address(before.machine)):
        began_s = time.monotonic()
        eventually(lambda: not _alive(before.machine))
        noticed_s = time.monotonic() - began_s
        eventually(lambda: _moved(system, before))
        _some_more(drivers)
        two = _runs(old)
    eventually(lambda: not _runs(old))
    _some_more(drivers)
    for driver in drivers:
        driver.close()
    told = {each for driver in drivers for each in driver.acknowledged}
    return {
        "noticed_s": noticed_s,
        "two": two,
        "epochs": _epoch(system, before.node) - epoch,
        "acknowledged": len(told),
        "stored": stored(system),
    }


def database_cut_off(bridge: Bridge, address: str) -> dict[str, Any]:
    """Somebody who waits is told so; and when it is there again, all is as before."""
    system, said = patient(), dict[str, Any]()
    ref = system.actor(Counter, "c-0")
    before = ref.state().result(timeout_s=LIMIT_S).total
    with bridge.cut(address):
        began_s = time.monotonic()
        try:
            ref.ask(Add()).result(timeout_s=LIMIT_S)
        except ThornbackError as error:
            said["told"] = type(error).__name__
        said["told_s"] = time.monotonic() - began_s
    eventually(lambda: _added(system))
    said["added"] = ref.state().result(timeout_s=LIMIT_S).total - before
    return said


def _added(system: ActorSystem) -> bool:
    try:
        return bool(system.actor(Counter, "c-0").ask(Add()).result(timeout_s=LIMIT_S))
    except ThornbackError:
        return False


def _some_more(drivers: list[Driver]) -> None:
    """Each of them has some more acknowledged."""
    counts = [len(driver.acknowledged) + 25 for driver in drivers]
    eventually(
        lambda: all(
            len(driver.acknowledged) >= count for driver, count in zip(drivers, counts, strict=True)
        )
    )


def _all(system: ActorSystem) -> list[ProcessStatus]:
    return [each for each in statuses(system) if isinstance(each, ProcessStatus)]


def _moved(system: ActorSystem, before: ProcessStatus) -> bool:
    now = {each.name: each for each in _all(system)}.get(before.name)
    return now is not None and now.facts is not None and now.machine != before.machine


def _epoch(system: ActorSystem, node: str) -> int:
    return int(log_of(system, "SELECT epoch FROM epochs WHERE name = $1", node)[0][0])


def _alive(machine: str) -> bool:
    return any(each["NodeID"] == machine and each["Alive"] for each in ray.nodes())


def _address(machine: str) -> str:
    (address,) = (each["NodeManagerAddress"] for each in ray.nodes() if each["NodeID"] == machine)
    return str(address)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main() -> None:
    bridge = Bridge(sys.argv[1], json.loads(sys.argv[2]))
    join_ray()
    eventually(lambda: sum(each["Alive"] for each in ray.nodes()) == MACHINES)
    system = ActorSystem.launch(SETTINGS, timeout_s=LIMIT_S)
    said = {
        "machine": machine_cut_off(system, bridge),
        "database": database_cut_off(bridge, sys.argv[3]),
    }
    said["drain"] = {"problems": list(system.drain().result().problems)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
