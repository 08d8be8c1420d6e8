"""Pods as machines of this one: network namespaces on one bridge, with an address each.

The bridge is in a namespace, too, so nothing of this machine's own network changes, and all of it
vanishes with the namespaces. Only root can make them.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

TOOLS = ("ip", "iptables-restore", "sysctl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """Where a pod is, and as what policies see it."""

    name: str
    address: str
    namespace: str  #: of Kubernetes
    labels: Mapping[str, str]
    labels_of_namespace: Mapping[str, str]


class Network:
    """Machines that reach one another, until rules say otherwise."""

    def __init__(self, prefix: str, pods: Sequence[Pod]) -> None:
        self._prefix = prefix
        self.pods = {pod.name: pod for pod in pods}

    def inside(self, name: str, *command: str) -> list[str]:
        """A command line that runs a command on a machine."""
        return ["ip", "netns", "exec", self._prefix + name, *command]

    def restore(self, name: str, rules: str) -> None:
        """Put rules in the place of those that a machine has."""
        _done(*self.inside(name, "iptables-restore"), told=rules)

    def make(self) -> None:
        """All machines, each with its way to the others."""
        bridge = self._prefix + "bridge"
        _done("ip", "netns", "add", bridge)
        _done("ip", "-n", bridge, "link", "add", "br0", "type", "bridge")
        _done("ip", "-n", bridge, "link", "set", "br0", "up")
        for number, (name, pod) in enumerate(self.pods.items()):
            self._machine(bridge, number, self._prefix + name, pod.address)

    def remove(self) -> None:
        """All of them; what runs there goes on without a network."""
        for name in [*self.pods, "bridge"]:
            subprocess.run(
                ["ip", "netns", "delete", self._prefix + name], check=False, capture_output=True
            )

    def _machine(self, bridge: str, number: int, here: str, address: str) -> None:
        _done("ip", "netns", "add", here)
        _done("ip", "netns", "exec", here, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        _done("ip", "-n", bridge, "link", "add", f"port{number}", "type", "veth",
              "peer", "name", "eth0", "netns", here)  # fmt: skip
        _done("ip", "-n", bridge, "link", "set", f"port{number}", "master", "br0", "up")
        _done("ip", "-n", here, "link", "set", "lo", "up")
        _done("ip", "-n", here, "address", "add", f"{address}/24", "dev", "eth0")
        _done("ip", "-n", here, "link", "set", "eth0", "up")
        # Ray takes the address of the way out for its own; without one it is 127.0.0.1.
        gateway = address.rpartition(".")[0] + ".254"
        _done("ip", "-n", here, "route", "add", "default", "via", gateway)


@contextmanager
def network(pods: Sequence[Pod]) -> Iterator[Network]:
    """Machines for as long as this lasts."""
    made = Network(f"tb{os.getpid()}-", pods)
    try:
        made.make()
        yield made
    finally:
        made.remove()


def impossible() -> str | None:
    """Why there can be no machines here; None where there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"there is no {', '.join(missing)} (Debian: iproute2, iptables, procps)"
    trial = f"tb{os.getpid()}-trial"
    made = subprocess.run(["ip", "netns", "add", trial], check=False, capture_output=True)
    if made.returncode != 0:
        return f"no network namespace can be made: {made.stderr.decode().strip()}"
    _done("ip", "netns", "delete", trial)
    return None


def _done(*command: str, told: str | None = None) -> None:
    done = subprocess.run(command, check=False, text=True, input=told, capture_output=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
