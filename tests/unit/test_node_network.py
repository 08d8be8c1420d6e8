"""A network for nodes: each place reaches all others until it is cut off, and nothing outlives who
has made it."""

import ipaddress
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.cluster import node_network
from runtime.cluster.node_network import NodeNetwork, NoNodeNetwork, free_network, impossible

ROOT = Path(__file__).resolve().parents[2]
needs_root = pytest.mark.skipif(impossible() is not None, reason=str(impossible()))

#: Makes a network, and ends by no doing of its own.
KILLED = """
import os, signal
from runtime.cluster.node_network import NodeNetwork
network = NodeNetwork()
network.place()
print(network.wire, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def network() -> Iterator[NodeNetwork]:
    made = NodeNetwork()
    yield made
    made.close()


def _arrives(receiving: socket.socket, address: str) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as sending:
        sending.sendto(b"word", (address, receiving.getsockname()[1]))
    receiving.settimeout(0.3)
    try:
        return receiving.recv(10) == b"word"
    except TimeoutError:
        return False


@needs_root
def test_places_are_reached_from_this_program_and_not_when_they_are_cut_off(
    network: NodeNetwork,
) -> None:
    place = network.place()
    with place.inside():
        receiving = socket.socket(type=socket.SOCK_DGRAM)
        receiving.bind((place.address, 0))
    with receiving:
        assert _arrives(receiving, place.address)
        place.cut()
        assert not _arrives(receiving, place.address)
        place.mend()
        until = 20
        while not _arrives(receiving, place.address) and until:
            until -= 1
        assert until


@needs_root
def test_places_reach_one_another_and_have_no_way_elsewhere(network: NodeNetwork) -> None:
    one, other = network.place(), network.place()
    with other.inside(), socket.create_server((other.address, 0)) as server:
        port = server.getsockname()[1]
        with one.inside():
            socket.create_connection((other.address, port), timeout=20.0).close()
        with one.inside(), pytest.raises(OSError):  # noqa: PT011 - whichever it is
            socket.create_connection(("127.0.0.1", port), timeout=5.0)


@needs_root
def test_this_thread_is_where_it_was_when_something_has_failed_in_a_place(
    network: NodeNetwork,
) -> None:
    def fail() -> None:
        assert own.readlink() != before
        raise ZeroDivisionError

    own = Path("/proc/thread-self/ns/net")
    before = own.readlink()
    with pytest.raises(ZeroDivisionError), network.place().inside():
        fail()

    assert own.readlink() == before


@needs_root
def test_of_a_program_that_is_killed_no_network_is_left() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert done.returncode == -signal.SIGKILL
    wire = done.stdout.strip()
    assert wire.startswith("tb")
    for _ in range(200):  # the kernel takes it away when it comes to it, and tells nobody
        if not Path(f"/sys/class/net/{wire}").exists():
            return
        subprocess.run(["ip", "link", "show"], check=True, capture_output=True)
    pytest.fail(f"{wire} is there still")


@needs_root
def test_of_a_network_that_is_closed_nothing_is_left() -> None:
    network = NodeNetwork()
    network.place()
    network.close()

    assert not Path(f"/sys/class/net/{network.wire}").exists()


def test_a_network_is_taken_to_which_this_machine_has_no_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routes = (
        "default via 10.0.0.1 dev eth0 \n"
        "10.213.0.0/23 dev eth1 scope link \n"
        "local 10.213.2.7 dev lo table local scope host \n"
        "broadcast 10.213.3.255 dev eth2 table local scope link \n"
    )
    monkeypatch.setattr(node_network, "_ip", lambda *_: routes)

    assert free_network(0) == ipaddress.IPv4Network("10.213.4.0/24")
    assert free_network(256 + 7) == ipaddress.IPv4Network("10.213.7.0/24")


def test_where_all_are_taken_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_network, "_ip", lambda *_: "10.0.0.0/8 dev eth0\n")

    with pytest.raises(NoNodeNetwork, match=r"all of 10\.213\.0\.0/16 is in use"):
        free_network(255)


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert impossible() in (
        "only root makes network namespaces",
        "there are network namespaces on Linux alone",
    )
    with pytest.raises(NoNodeNetwork, match="network namespaces"):
        NodeNetwork()
