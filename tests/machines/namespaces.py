"""Machines of this one: network namespaces on one bridge, with an address each.

The bridge is in a namespace, too. So nothing of this machine's network changes, and all of it
vanishes with the namespaces; what still runs there goes on without a network. Only root can make
them.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

_NO_IPV6 = "/proc/sys/net/ipv6/conf/all/disable_ipv6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One of them."""

    name: str
    address: str
    inside: Sequence[str] = ()  #: what a command line begins with that runs there


def impossible(*tools: str) -> str | None:
    """Why there can be none here, or none with these tools; None where there can."""
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if missing := [tool for tool in ("ip", *tools) if shutil.which(tool) is None]:
        return f"there is no {', '.join(missing)} (Debian: iproute2, iptables)"
    trial = f"tb{os.getpid()}-trial"
    made = subprocess.run(["ip", "netns", "add", trial], check=False, capture_output=True)
    if made.returncode != 0:
        return f"no network namespace can be made: {made.stderr.decode().strip()}"
    done("ip", "netns", "delete", trial)
    return None


@contextmanager
def machines(addresses: Mapping[str, str]) -> Iterator[list[Machine]]:
    """One a name, at an IPv4 address of one /24; each reaches all others, as long as this lasts."""
    prefix = f"tb{os.getpid()}-"
    made = [
        Machine(name=name, address=address, inside=("ip", "netns", "exec", prefix + name))
        for name, address in addresses.items()
    ]
    bridge = prefix + "bridge"
    try:
        done("ip", "netns", "add", bridge)
        done("ip", "-n", bridge, "link", "add", "br0", "type", "bridge")
        done("ip", "-n", bridge, "link", "set", "br0", "up")
        for number, each in enumerate(made):
            _joined(bridge, f"port{number}", prefix + each.name, each)
        yield made
    finally:
        for namespace in [*(prefix + name for name in addresses), bridge]:
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


def _joined(bridge: str, port: str, here: str, machine: Machine) -> None:
    done("ip", "netns", "add", here)
    done(*machine.inside, "sh", "-c", f"test ! -e {_NO_IPV6} || echo 1 > {_NO_IPV6}")
    done("ip", "-n", bridge, "link", "add", port, "type", "veth",
         "peer", "name", "eth0", "netns", here)  # fmt: skip
    done("ip", "-n", bridge, "link", "set", port, "master", "br0", "up")
    done("ip", "-n", here, "link", "set", "lo", "up")
    done("ip", "-n", here, "address", "add", f"{machine.address}/24", "dev", "eth0")
    done("ip", "-n", here, "link", "set", "eth0", "up")
    # Ray takes the address of the way out for its own; without one it is 127.0.0.1.
    out = machine.address.rpartition(".")[0] + ".254"
    done("ip", "-n", here, "route", "add", "default", "via", out)


def done(*command: str, told: str | None = None) -> None:
    """Run a command to its end. Raises OSError where that is none."""
    ended = subprocess.run(command, check=False, text=True, input=told, capture_output=True)
    if ended.returncode != 0:
        raise OSError(f"{' '.join(command)}: {ended.stderr.strip()}")
