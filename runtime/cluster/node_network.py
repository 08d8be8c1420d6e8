"""A network for nodes that are to be machines of their own: each in a Linux network namespace, on
one bridge, to which this program's own network has one wire.

No namespace has a name, and so nothing of them outlives who is in them: when this program ends,
by whatever, its nodes do, the kernel takes the namespaces away, and with them all wires, that to
this program's network among them. Only root may make them.
"""

import ctypes
import ipaddress
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import NotPossible

_CLONE_NEWNET = 0x40000000  # linux/sched.h
#: That of the thread that asks.
_OWN = "/proc/thread-self/ns/net"
#: Where networks of 254 addresses are taken from: an end of what nobody but this machine's own
#: networks may use (RFC 1918), and seldom used.
_NETWORKS = ipaddress.IPv4Network("10.213.0.0/16")
_NO_IPV6 = "/proc/sys/net/ipv6/conf/all/disable_ipv6"


class NoNodeNetwork(NotPossible):
    """There can be no network of nodes here; `str` says why."""


class Place:
    """One namespace, with an address. It is gone when nobody runs there any more and it is closed,
    and its wire with it."""

    def __init__(self, network: "NodeNetwork", number: int) -> None:
        self.address = network.address_of(number)
        self._network, self._port = network, f"port{number}"
        self._namespace, self._closed = _new_namespace(), False
        with network.bridge.inside():
            _ip("link", "add", self._port, "type", "veth", "peer", "name", "eth0",
                "netns", self._namespace.path)  # fmt: skip
            _ip("link", "set", self._port, "master", "br0", "up")
        with self.inside():
            _up("eth0", self.address)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread starts in this block runs there."""
        with self._namespace.inside():
            yield

    def cut(self) -> None:
        """Whatever goes there, and comes from there, is lost, and nobody is told."""
        self._set("down")

    def mend(self) -> None:
        """It arrives again, if anybody is there."""
        if not self._closed:
            self._set("up")

    def close(self) -> None:
        """Nobody is to be started there any more."""
        self._closed = True
        self._namespace.close()

    def _set(self, state: str) -> None:
        with self._network.bridge.inside():
            _ip("link", "set", self._port, state)


class NodeNetwork:
    """The bridge, and the wire to it. For one thread."""

    def __init__(self) -> None:
        """Raises NoNodeNetwork."""
        if why := impossible():
            raise NoNodeNetwork(why)
        self._places: list[Place] = []
        # Two programs that look at the same moment begin at different ones.
        self._hosts = free_network(os.getpid())
        self.address = self.address_of(0)  #: of this program, for whoever is in a place
        self.wire = f"tb{os.getpid()}"  #: of this program's network
        self.bridge = _new_namespace()
        try:
            with self.bridge.inside():
                _ip("link", "add", "br0", "type", "bridge")
                _ip("link", "set", "br0", "up")
            _ip("link", "add", self.wire, "type", "veth", "peer", "name", "out",
                "netns", self.bridge.path)  # fmt: skip
            with self.bridge.inside():
                _ip("link", "set", "out", "master", "br0", "up")
            _ip("address", "add", f"{self.address}/24", "dev", self.wire)
            _ip("link", "set", self.wire, "up")
        except BaseException:
            self.close()
            raise

    def address_of(self, number: int) -> str:
        """The first one is that of this program."""
        return str(self._hosts[number + 1])

    def place(self) -> Place:
        """One more. Raises NoNodeNetwork where there are as many as there are addresses."""
        number = len(self._places) + 1
        if number > self._hosts.num_addresses - 3:
            raise NoNodeNetwork(f"{self._hosts} has no address any more")
        made = Place(self, number)
        self._places.append(made)
        return made

    def close(self) -> None:
        """Nothing of it is left, once who is in a place has ended."""
        for place in self._places:
            place.close()
        # Gone with the bridge, too, but only when the kernel comes to it.
        subprocess.run(["ip", "link", "delete", self.wire], check=False, capture_output=True)
        self.bridge.close()


class _Namespace:
    """Known by an open file alone."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.path = f"/proc/{os.getpid()}/fd/{file}"

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread is there in this block, and nobody else of this process."""
        before = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self._file)
            try:
                yield
            finally:
                _enter(before)
        finally:
            os.close(before)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def impossible() -> str | None:
    """Why there can be no such network here; None where there can."""
    if not Path(_OWN).exists():
        return "there are network namespaces on Linux alone"
    if os.geteuid() != 0:
        return "only root makes network namespaces"
    if shutil.which("ip") is None:
        return "there is no command ip (Debian: iproute2)"
    try:
        namespace = _new_namespace()
        try:
            with namespace.inside():
                _ip("link", "add", "br0", "type", "bridge")
                _ip("link", "add", "one", "type", "veth", "peer", "name", "other")
        finally:
            namespace.close()
    except OSError as error:
        return f"no network namespace can be made: {error}"
    return None


def free_network(first: int) -> ipaddress.IPv4Network:
    """One of 254 addresses that nobody has a way to on this machine, looked for from one of them
    on. Raises NoNodeNetwork."""
    said = _ip("-4", "-o", "route", "show", "table", "all")
    used = list(_networks_in(said))
    all_of_them = list(_NETWORKS.subnets(new_prefix=24))
    first %= len(all_of_them)
    for each in all_of_them[first:] + all_of_them[:first]:
        if not any(each.overlaps(one) for one in used):
            return each
    raise NoNodeNetwork(f"all of {_NETWORKS} is in use")


def _networks_in(said: str) -> Iterator[ipaddress.IPv4Network]:
    """Those that a table of routes names, but the way to everything else."""
    for line in said.splitlines():
        words = line.split()
        name = words[1] if words[0] in _KINDS else words[0]
        if name != "default":
            yield ipaddress.IPv4Network(name, strict=False)


#: What a line of `ip route` may begin with, before it names a network.
_KINDS = {
    "unicast", "local", "broadcast", "multicast", "throw", "unreachable", "prohibit", "blackhole",
    "nat", "anycast",
}  # fmt: skip


def _new_namespace() -> _Namespace:
    """In a thread of its own, which is the only one that is ever in no other."""
    made: list[int | OSError] = []

    def make() -> None:
        try:
            _called("unshare", ctypes.c_int(_CLONE_NEWNET))
            made.append(os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make, name="namespace")
    thread.start()
    thread.join()
    [found] = made
    if isinstance(found, OSError):
        raise found
    namespace = _Namespace(found)
    with namespace.inside():
        _ip("link", "set", "lo", "up")
    return namespace


def _up(device: str, address: str) -> None:
    """Give a device of this namespace its address."""
    if Path(_NO_IPV6).exists():
        Path(_NO_IPV6).write_text("1")
    _ip("address", "add", f"{address}/24", "dev", device)
    _ip("link", "set", device, "up")
    # Ray takes the address of the way out for its own; without one it is 127.0.0.1.
    _ip("route", "add", "default", "dev", device)


def _enter(file: int) -> None:
    _called("setns", ctypes.c_int(file), ctypes.c_int(_CLONE_NEWNET))


def _called(name: str, *arguments: ctypes.c_int) -> None:
    if getattr(_C, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


_C = ctypes.CDLL(None, use_errno=True)


def _ip(*words: str) -> str:
    """What `ip` says. Raises OSError where it fails."""
    done = subprocess.run(["ip", *words], check=False, text=True, capture_output=True)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
