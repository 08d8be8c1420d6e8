"""Machines to run a cluster on, all of them on this one: namespaces of Linux.

Each has a name, an address, processes, shared memory and a /tmp of its own, and sshd; what they
have in common is the root file system, which their users cannot write to. A further one, the
laptop, is where `ray up` is run; the network of all ends there. Every process of a machine ends
with its first one, which ends with this program, whatever becomes of that; and so does all that
was mounted.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from tests.e2e.place import ROOT

#: The addresses of ray-cluster.yaml, which are for examples and nobody's.
NETWORK, LAPTOP, HEAD = "192.0.2.0/24", "192.0.2.1", "192.0.2.10"
USER = "thornback"

HERE = Path(__file__).parent
TOOLS = (
    "bash", "curl", "hostname", "ip", "mount", "nsenter", "openssl", "rsync", "setpriv", "ssh",
    "ssh-keygen", "sshd", "unshare", "useradd",
)  # fmt: skip

Words = str | Path


def lacking() -> str | None:
    """Why there could be no machines here."""
    if sys.platform != "linux":
        return "namespaces are Linux'"
    if os.geteuid() != 0:
        return "only root makes namespaces with a network and file systems of their own"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if missing:
        return f"there is no {', '.join(missing)}"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "the kernel has no overlay file system"
    made = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "ip", "link", "add", "lab", "type",
         "bridge"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"no namespaces: {made.stderr.strip()}" if made.returncode else None


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, for as long as its first process lives."""

    name: str
    folder: Path
    first: int  #: its first process, as this machine counts them
    place: Path  #: the folder that commands are run in
    environment: Mapping[str, str]

    def start(
        self, *command: Words, output: IO[str] | int | None = None, user: int | None = None
    ) -> "subprocess.Popen[str]":
        """Start a command there; it ends with the machine."""
        return subprocess.Popen(
            self._there(command, user), env=dict(self.environment), text=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(
        self, *command: Words, timeout_s: float = 60.0, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command there to its end. Raises AssertionError with what it said where it
        fails and is to be checked, and TimeoutExpired."""
        done = subprocess.run(
            self._there(command, None), env=dict(self.environment), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout_s, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{self.name}: {command}\n{done.stdout}"
        return done

    def eventually(self, what: str, holds: Callable[[], Any], within_s: float = 60.0) -> Any:
        """Wait for what announces itself to nobody. Raises AssertionError."""
        return eventually(f"{self.name}: {what}", holds, within_s)

    def processes(self) -> list[str]:
        """The command lines of what its user runs there."""
        lines = []
        for each in psutil.Process(self.first).children(recursive=True):
            try:
                if each.username() != "root" and each.status() != psutil.STATUS_ZOMBIE:
                    lines.append(" ".join(each.cmdline()))
            except psutil.NoSuchProcess:
                continue
        return lines

    def _there(self, command: Sequence[Words], user: int | None) -> list[Words]:
        entered = ["nsenter", "--target", str(self.first), "--mount", "--uts", "--ipc", "--net",
                   "--pid"]  # fmt: skip
        group = [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}",
                                         "--clear-groups"]  # fmt: skip
        return [*entered, "--", "env", f"--chdir={self.place}", *group, *command]


def eventually(what: str, holds: Callable[[], Any], within_s: float) -> Any:
    """Wait until something holds, and give it back. Raises AssertionError."""
    until_s = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < until_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.5)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """The laptop, a head and workers, on one network."""

    folder: Path
    laptop: Machine
    head: Machine
    workers: tuple[Machine, ...]
    addresses: tuple[str, ...]  #: of the workers

    def all(self) -> tuple[Machine, ...]:
        """Those of the cluster."""
        return self.head, *self.workers


@contextmanager
def machines(
    workers: int, wheels: Path, cluster_file: Callable[[Sequence[str]], str], below: Path
) -> Iterator[Machines]:
    """New machines; `cluster_file` says what stands in ray-cluster.yaml on the laptop, given the
    addresses of the workers. Their files are in a folder `below` that one, which is not in /tmp.
    All of it is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="thornback-machines-", dir=below))
    folder.chmod(0o711)
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        addresses = [f"192.0.2.{11 + number}" for number in range(workers)]
        home = folder / "laptop" / "home"
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        key = home / ".ssh" / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (folder / "laptop" / "ray-cluster.yaml").write_text(cluster_file(addresses))
        laptop = _laptop(ending, folder / "laptop")
        made = []
        for name, address in zip(_names(workers), [HEAD, *addresses], strict=True):
            (folder / name).mkdir(mode=0o755)
            made.append(_machine(ending, folder / name, wheels, key.with_suffix(".pub")))
            _connect(laptop, made[-1], address)
        yield Machines(
            folder=folder, laptop=laptop, head=made[0], workers=tuple(made[1:]),
            addresses=tuple(addresses),
        )  # fmt: skip


def _names(workers: int) -> list[str]:
    return ["head", *(f"worker-{number}" for number in range(1, workers + 1))]


def _laptop(ending: ExitStack, folder: Path) -> Machine:
    kept = sorted({str(ROOT), sys.prefix, sys.base_prefix})
    first = _begun(ending, HERE / "laptop.sh", folder, ROOT, folder / "ray-cluster.yaml", *kept)
    environment = {
        "HOME": str(folder / "home"),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
    }
    made = Machine("laptop", folder, first, ROOT, environment)
    made.run("ip", "link", "set", "lo", "up")
    made.run("ip", "link", "add", "lab", "type", "bridge")
    made.run("ip", "address", "add", f"{LAPTOP}/24", "dev", "lab")
    made.run("ip", "link", "set", "lab", "up")
    return made


def _machine(ending: ExitStack, folder: Path, wheels: Path, key: Path) -> Machine:
    name = folder.name
    first = _begun(ending, HERE / "machine.sh", name, folder, wheels, key)
    return Machine(name, folder, first, Path("/"), {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def _begun(ending: ExitStack, *command: Words) -> int:
    """Start the first process of a machine, and wait until it is ready; its process id."""
    started = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--uts", "--ipc", "--net",
         "--pid", "--fork", "--kill-child", "--mount-proc", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"},
    )  # fmt: skip
    ending.callback(_ended, started)
    said = ""
    assert started.stdout is not None
    for line in started.stdout:  # ends where it does
        said += line
        if line == "ready\n":
            (first,) = psutil.Process(started.pid).children()
            return first.pid
    raise AssertionError(f"{command[0]} ended:\n{said}")


def _ended(started: "subprocess.Popen[str]") -> None:
    """End the first process of a machine, and with it all others."""
    with started:  # closes its pipe
        first = psutil.Process(started.pid).children()
        started.kill()
        psutil.wait_procs(first, timeout=60)


def _connect(laptop: Machine, machine: Machine, address: str) -> None:
    """Lead a wire from a machine to the laptop."""
    subprocess.run(
        ["nsenter", "--target", str(laptop.first), "--net", "ip", "link", "add", machine.name,
         "type", "veth", "peer", "name", "eth0", "netns", str(machine.first)], check=True,
    )  # fmt: skip
    laptop.run("ip", "link", "set", machine.name, "master", "lab", "up")
    machine.run("ip", "link", "set", "lo", "up")
    machine.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
    machine.run("ip", "link", "set", "eth0", "up")
    machine.run("ip", "route", "add", "default", "via", LAPTOP)
