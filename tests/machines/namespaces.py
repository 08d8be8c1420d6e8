"""Machines of this one: network namespaces on one bridge, with an address each.

The bridge is in a namespace, too, in which a test's own programs run. So nothing of this machine's
network changes, and all of it vanishes with the namespaces. Only root can make them.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One of them."""

    name: str
    address: str
    inside: Sequence[str] = ()  #: what a command line begins with that runs there


def impossible() -> str | None:
    """Why there can be none here; None where there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if shutil.which("ip") is None:
        return "there is no ip (Debian: iproute2)"
    trial = f"tb{os.getpid()}-trial"
    made = subprocess.run(["ip", "netns", "add", trial], check=False, capture_output=True)
    if made.returncode != 0:
        return f"no network namespace can be made: {made.stderr.decode().strip()}"
    _ip("netns", "delete", trial)
    return None


@contextmanager
def machines(*names: str) -> Iterator[list[Machine]]:
    """The first is where the bridge is; each reaches all others."""
    prefix = f"tb{os.getpid()}-"
    made = [
        Machine(
            name=name,
            address=f"10.77.0.{number + 1}",
            inside=("ip", "netns", "exec", prefix + name),
        )
        for number, name in enumerate(names)
    ]
    try:
        hub = _hub(prefix, made[0])
        for each in made[1:]:
            _joined(hub, prefix, each, made[0].address)
        yield made
    finally:
        for each in made:
            subprocess.run(
                ["ip", "netns", "delete", prefix + each.name], check=False, capture_output=True
            )


def _hub(prefix: str, machine: Machine) -> str:
    hub = prefix + machine.name
    _ip("netns", "add", hub)
    _ip("-n", hub, "link", "set", "lo", "up")
    _ip("-n", hub, "link", "add", "br0", "type", "bridge")
    _ip("-n", hub, "address", "add", f"{machine.address}/24", "dev", "br0")
    _ip("-n", hub, "link", "set", "br0", "up")
    _ip("-n", hub, "route", "add", "default", "dev", "br0")
    return hub


def _joined(hub: str, prefix: str, machine: Machine, gateway: str) -> None:
    here, port = prefix + machine.name, f"to-{machine.name}"
    _ip("netns", "add", here)
    _ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", here)
    _ip("-n", hub, "link", "set", port, "master", "br0", "up")
    _ip("-n", here, "link", "set", "lo", "up")
    _ip("-n", here, "address", "add", f"{machine.address}/24", "dev", "eth0")
    _ip("-n", here, "link", "set", "eth0", "up")
    # Ray takes the address of the way out for its own; without one it is 127.0.0.1.
    _ip("-n", here, "route", "add", "default", "via", gateway)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], check=False, text=True, capture_output=True)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
