"""A place of one's own on this machine: a clean environment, a folder that vanishes, and
a count of the processes that were started there."""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from store.embedded.server import EmbeddedPostgres

ROOT = Path(__file__).parents[2]

#: Every process that is started in a place inherits this variable with the place's folder.
MARK = "THORNBACK_EVENT_STORE__DATA_FOLDER"

#: No command of the README may take longer on a slow machine.
PATIENCE_S = 150.0


@dataclass(frozen=True, slots=True)
class Place:
    """Runs commands from the project's root, as a user who has activated `.venv` would; or
    from another `root`, as the environment says."""

    folder: Path
    environment: Mapping[str, str]
    root: Path = ROOT

    @property
    def data(self) -> Path:
        """The data folder of this place alone."""
        return Path(self.environment[MARK])

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command; what it prints is in its `stdout`."""
        return subprocess.Popen(
            command, cwd=self.root, env=dict(self.environment), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; `variables` are added to its environment."""
        return subprocess.run(
            command, cwd=self.root, env={**self.environment, **variables}, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
        )  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        """Whoever was started here and still runs, whatever became of its parent."""
        return [process for process in psutil.process_iter() if self._started(process)]

    def left_running(self, patience_s: float = 20.0) -> list[str]:
        """The command lines of those that do not end by themselves."""
        _, alive = psutil.wait_procs(self.processes(), timeout=patience_s)
        return [" ".join(process.cmdline()) for process in alive]

    def clear(self) -> None:
        """End what is left here and delete the folder."""
        left = self.processes()
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10)
        EmbeddedPostgres(self.data / "postgres").destroy()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _started(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            marked = process.environ().get(MARK) == str(self.data)
            return marked or str(self.folder) in " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


@contextmanager
def place(**variables: str) -> Iterator[Place]:
    """A new place; `variables` are added to the environment of what is started there."""
    # Directly below /tmp: the paths of Ray's sockets must stay below 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))
    folder.chmod(0o711)  # root's PostgreSQL runs as another user, who has to get through
    made = Place(folder, _environment(folder) | variables)
    try:
        yield made
    finally:
        made.clear()


def free_port() -> int:
    """A port that nobody has; somebody may take it before it is used. It is none of those that
    the system gives to whoever takes any, as a Ray that is started takes many, and none of 10,002
    to 19,999, which `ray start` gives to its workers."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("a hundred ports are taken")


def _environment(folder: Path) -> dict[str, str]:
    (folder / "home").mkdir()
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "COLUMNS": "200",  # tables are not folded
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        # By default Ray's workers stand behind whatever else the machine does: other tests, here.
        "RAY_worker_niceness": "0",
        "THORNBACK_METRICS__PORT": str(free_port()),
        "THORNBACK_GATEWAY__PORT": str(free_port()),
        MARK: str(folder / "data"),
    }
