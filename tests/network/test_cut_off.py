"""A machine that is cut off, and a database that is: nobody is told anything, packets are lost.

Some minutes, so it is no part of `make test`: `make network-test` runs it, as root.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from runtime.cluster.local_nodes import HEALTH_CHECK
from tests.e2e.place import ROOT
from tests.machines.namespaces import Machine, impossible, machines
from tests.network.cut_off import CORE

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.chaos,
    pytest.mark.skipif("NETWORK_TEST" not in os.environ, reason="`make network-test` runs it"),
]

PATIENCE_S = 600.0
ADDRESSES = {
    "head": "10.78.0.1", "one": "10.78.0.2", "other": "10.78.0.3", "database": "10.78.0.4",
}  # fmt: skip
RAY_PORT = 6379


class Stage:
    """Machines with a Ray over three of them, and a PostgreSQL on the fourth."""

    def __init__(self, there: Sequence[Machine], folder: Path, ends: ExitStack) -> None:
        self._there = {each.name: each for each in there}
        self._folder, self._ends = folder, ends
        self._token = secrets.token_hex(32)
        module = ("-m", "tests.network.database", str(folder / "postgres"), ADDRESSES["database"])
        database = self._start("database", sys.executable, *module, stdout=subprocess.PIPE)
        assert database.stdout is not None
        self.url = database.stdout.readline().strip()
        health = json.dumps(HEALTH_CHECK)
        (label,) = (f"{name}={value}" for name, value in CORE.items())
        self._node(
            "head", "--head", f"--port={RAY_PORT}", "--include-dashboard=false",
            f"--labels={label}", f"--temp-dir={folder}/ray", f"--system-config={health}",
        )  # fmt: skip
        for name in ("one", "other"):
            self._node(name, f"--address={ADDRESSES['head']}:{RAY_PORT}")

    def play(self) -> dict[str, Any]:
        """What the program says that plays on the head."""
        bridge = self._there["head"].inside[3].removesuffix("head") + "bridge"
        ports = {address: f"port{number}" for number, address in enumerate(ADDRESSES.values())}
        module = ("-m", "tests.network.cut_off", bridge, json.dumps(ports), ADDRESSES["database"])
        done = subprocess.run(
            [*self._there["head"].inside, sys.executable, *module], cwd=ROOT, check=False,
            text=True, env=self._environment("head"), timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        found: dict[str, Any] = json.loads(
            next(line for line in done.stdout.splitlines() if line[:1] == "{")
        )
        return found

    def _node(self, name: str, *options: str) -> None:
        common = ("--block", f"--node-ip-address={ADDRESSES[name]}", "--num-cpus=2",
                  "--object-store-memory=100000000")  # fmt: skip
        with (self._folder / f"{name}.log").open("w") as log:
            self._start(name, "ray", "start", *options, *common, stdout=log)
        if "--head" in options:
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        ask = f"import socket; socket.create_connection(('{ADDRESSES['head']}', {RAY_PORT}))"
        until_s = time.monotonic() + PATIENCE_S
        probe = [*self._there["one"].inside, sys.executable, "-c", ask]
        while subprocess.run(probe, check=False, capture_output=True).returncode:
            assert time.monotonic() < until_s, "the head does not start"
            time.sleep(0.5)  # it announces itself to nobody

    def _start(self, name: str, *command: str, stdout: Any) -> "subprocess.Popen[str]":
        started = subprocess.Popen(
            [*self._there[name].inside, *command], cwd=ROOT, env=self._environment(name),
            text=True, stdin=subprocess.DEVNULL, stdout=stdout,
            stderr=None if stdout is subprocess.PIPE else subprocess.STDOUT,
        )  # fmt: skip
        self._ends.callback(_end, started)
        return started

    def _environment(self, name: str) -> dict[str, str]:
        own = self._folder / name
        own.mkdir(mode=0o711, exist_ok=True)
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(own),
            "TMPDIR": str(own),
            "LANG": "C.UTF-8",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self._token,
            "RAY_ADDRESS": f"{ADDRESSES['head']}:{RAY_PORT}",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "DATABASE_URL": getattr(self, "url", ""),
        }


def _end(started: "subprocess.Popen[str]") -> None:
    started.send_signal(signal.SIGTERM)
    try:
        started.wait(60.0)
    except subprocess.TimeoutExpired:
        started.kill()
    with started:  # closes its pipe
        started.wait()


@pytest.fixture(scope="module")
def said() -> Iterator[dict[str, Any]]:
    if why := impossible():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))  # short: Ray has sockets there
    folder.chmod(0o711)  # root's PostgreSQL runs as another user, who has to get through
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        there = ends.enter_context(machines(ADDRESSES))
        yield Stage(there, folder, ends).play()


def test_a_machine_that_is_cut_off_is_replaced_and_nothing_is_twice_or_lost(
    said: dict[str, Any],
) -> None:
    came = said["machine"]
    assert came["two"], "the old incarnation ran on beside its successor"
    assert came["epochs"] > 0
    assert came["acknowledged"] == came["stored"]


def test_who_waits_for_a_database_that_is_cut_off_is_told_so(said: dict[str, Any]) -> None:
    came = said["database"]
    assert came["told"] == "StoreUnavailable"
    assert came["added"] >= 1, "and it is there again"
    assert said["drain"]["problems"] == []
