"""A raylet that is stopped until Ray has replaced its actors, and then goes on: a host has two
incarnations, of which the old one is refused.

    python -m tests.e2e.split_brain RAYLET | HOST_TOO

A host runs on a node whose raylet is stopped (SIGSTOP), while drivers send commands. The host runs
on beside it; or it is stopped, too, with commands that it has received and not decided, and goes on
when its successor has decided others. Prints, as JSON, what became of it. A program of its own: a
test session has one node.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import psutil

from runtime.cluster.local_nodes import LocalNode
from runtime.cluster.ray_session import end_ray, start_ray
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import ProcessKind
from runtime.topology.status import ProcessStatus
from tests.e2e.machine_that_goes import LIMIT_S, Driver, eventually, statuses
from tests.integration.systems import log_of, stored

NODES = 3
DRIVERS = 8
SOME = 200  #: commands

SETTINGS = Settings.load(
    gateway={"enabled": False},
    metrics={"port": 0},
    actor_system={
        "hosts": NODES,
        "actor_timeout_ms": 120_000,  # longer than Ray takes to find a silent node dead
        "actor_modules": ["tests.integration.devices"],
    },
)


class Play:
    """What happens, one scene after the other."""

    def __init__(self, nodes: Sequence[LocalNode]) -> None:
        self._system = ActorSystem.launch(SETTINGS, timeout_s=LIMIT_S)
        there = {each.name: each for each in self._all()}
        writers = there["writer"].machine  # is not to be struck: it would be refused nothing
        self._node = next(node for node in nodes if node.id != writers)
        self._before = next(
            each
            for each in there.values()
            if each.machine == self._node.id and each.kind is ProcessKind.POOLED_HOST
        )
        self._old = psutil.Process(self._before.pid)
        self._drivers = [Driver(self._system) for _ in range(DRIVERS)]
        self._some_more()

    def split(self, *, host_too: bool) -> dict[str, Any]:
        """The raylet is stopped until all is replaced that is on its node."""
        said: dict[str, Any] = {}
        epoch = self._epoch()
        self._node.freeze()
        if host_too:
            self._old.suspend()  # what it has received by then, it has not decided
        eventually(lambda: not self._node.known_alive())
        eventually(self._has_successor)
        self._some_more()
        said["epochs"] = self._epoch() - epoch
        said["two"] = self._runs()
        if host_too:
            self._old.resume()
            eventually(lambda: not self._runs())
            said["raylet"] = psutil.Process(self._node.pid).status()
        self._node.thaw()
        eventually(lambda: self._node.ended)
        self._node.end()
        eventually(lambda: not self._runs())
        self._some_more()
        for driver in self._drivers:
            driver.close()
        told = [each for driver in self._drivers for each in driver.acknowledged]
        said["acknowledged"], said["stored"] = len(set(told)), stored(self._system)
        said["drain"] = self._system.drain().result().problems
        return said

    def _some_more(self) -> None:
        """Commands to actors of all hosts are acknowledged."""
        counts = [len(driver.acknowledged) + SOME // DRIVERS for driver in self._drivers]
        eventually(
            lambda: all(
                len(driver.acknowledged) >= count
                for driver, count in zip(self._drivers, counts, strict=True)
            )
        )

    def _epoch(self) -> int:
        of_host = "SELECT epoch FROM epochs WHERE name = $1"
        return int(log_of(self._system, of_host, self._before.node)[0][0])

    def _has_successor(self) -> bool:
        now = {each.name: each for each in self._all()}.get(self._before.name)
        return now is not None and now.facts is not None and now.machine != self._node.id

    def _runs(self) -> bool:
        """Does the old incarnation? Its parent, if that is stopped, does not see that it ends."""
        try:
            return self._old.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def _all(self) -> list[ProcessStatus]:
        return [each for each in statuses(self._system) if isinstance(each, ProcessStatus)]


def main() -> None:
    host_too = sys.argv[1] == "HOST_TOO"
    try:
        print(json.dumps(Play(start_ray(NODES)).split(host_too=host_too)))
    finally:
        end_ray()


if __name__ == "__main__":
    os.environ.pop("RAY_AUTH_MODE", None)
    main()
