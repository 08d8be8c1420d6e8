"""Two machines of one Ray, each with a certificate of its own; and a database that both reach.

The program that makes them runs on the first one, "near", which has the head of Ray and the
database; the other one, "far", has a raylet. PostgreSQL is at a socket file, which network
namespaces share: nothing of it is on the network.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import ray

from runtime.settings.settings import FILES_OF_TLS
from store.embedded import server
from store.embedded.server import EmbeddedPostgres
from tests.e2e.machine_that_goes import LIMIT_S, eventually
from tests.e2e.place import free_port
from tests.machines.namespaces import Machine
from tests.unit.certificates import Authority

ROLE = "thornback.dev/role"  #: the label of both, with their names
ADDRESSES = {"near": "10.78.0.1", "far": "10.78.0.2"}


class Pair:
    """What runs on two machines."""

    def __init__(self, folder: Path, near: Machine, far: Machine, stack: ExitStack) -> None:
        self.folder, self.near, self.far, self._stack = folder, near, far, stack
        self.authority = Authority(folder, "ca")
        self.certificates = {each.name: self.authority.write(each.name) for each in (near, far)}
        self.database = stack.enter_context(_database(folder))
        self._ray = f"{near.address}:{free_port()}"

    def begin(self) -> None:
        """Have Ray on both, and this program in it."""
        host, _, port = self._ray.partition(":")
        self._start(self.near, "--head", f"--port={port}", "--include-dashboard=False")
        eventually(partial(_answers, host, int(port)))
        os.environ.update(self.environment(self.near))
        ray.init(address=self._ray, _node_ip_address=host, log_to_driver=False)
        self._stack.callback(ray.shutdown)
        self._start(self.far, f"--address={self._ray}")
        eventually(lambda: sum(each["Alive"] for each in ray.nodes()) == 2)

    def environment(self, machine: Machine) -> dict[str, str]:
        """Of what runs there: where its certificate is."""
        files = (*self.certificates[machine.name], self.authority.file)
        return dict(zip(FILES_OF_TLS.values(), map(str, files), strict=True))

    def settings(self, *, hosts: str, core: str) -> dict[str, Any]:
        """Hosts on one machine and the core on one, without exporter and gateway."""
        return {
            "gateway": {"enabled": False},
            "metrics": {"port": 0},
            "event_store": {"connection_string": self.database},
            "actor_system": {"host_labels": {ROLE: hosts}, "core_labels": {ROLE: core}},
        }

    def _start(self, machine: Machine, *arguments: str) -> None:
        own = self.folder / machine.name
        own.mkdir()
        environment = {
            **os.environ, **self.environment(machine), "TMPDIR": str(own),
            "RAY_TMPDIR": str(self.folder), "RAY_raylet_start_wait_time_s": "120",
        }  # fmt: skip
        node = subprocess.Popen(
            [*machine.inside, sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
             f"--node-ip-address={machine.address}", "--num-cpus=0",
             f"--labels={ROLE}={machine.name}", "--object-store-memory=100000000",
             f"--dashboard-agent-listen-port={free_port()}", *arguments],
            env=environment, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self._stack.callback(_end, node)


@contextmanager
def pair(near: Machine, far: Machine) -> Iterator[Pair]:
    """Two machines, of which this program is on the first; all of it ends afterwards."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tb-", dir="/tmp"))
        Path(folder).chmod(0o711)  # root's PostgreSQL runs as another user, who has to get through
        made = Pair(Path(folder), near, far, stack)
        made.begin()
        yield made


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    socket_folder = folder / "socket"
    socket_folder.mkdir()
    socket_folder.chmod(0o777)
    with mock.patch.object(
        server, "SETTINGS", {**server.SETTINGS, "unix_socket_directories": str(socket_folder)}
    ):
        postgres = EmbeddedPostgres(folder / "postgres")
        try:
            url = urlsplit(postgres.start())
            who = f"{url.username}:{url.password}"
            yield f"postgresql://{who}@{url.path}?host={socket_folder}&port={url.port}"
        finally:
            postgres.destroy()


def _end(node: "subprocess.Popen[bytes]") -> None:
    node.send_signal(signal.SIGTERM)
    node.wait(LIMIT_S)


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
