"""A real PostgreSQL server in a folder of the project, for those who have none.

The folder holds a marker (port, password), a log and the cluster. The server is nobody's
child: it outlives whoever started it, and the next `start()` on the folder finds it. The
postmaster and every backend inherit one locked file, `alive`: its lock is free exactly
when no process of the server is left, whichever way it ended.

PostgreSQL refuses to run as root: root's server runs as `postgres`, or else `nobody`. If
that user cannot reach the folder (under a 0700 home), everything is in
`/var/lib/thornback/<name>-<hash of the path>` instead and a note in the folder says so;
binaries it cannot execute are copied beside the cluster. `destroy()` removes all of it.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

import psutil

from store.embedded.binaries import MajorMismatch as MajorMismatch
from store.embedded.binaries import NoBinaries as NoBinaries
from store.embedded.binaries import chosen_binaries
from store.embedded.folders import delete, is_at, make_folder, private, sync_folder
from store.embedded.server_user import Command, ServerUser, ToolFailed
from store.errors import EmbeddedError as EmbeddedError

NAME = "thornback"  #: the database, and the role that owns it
SETTINGS: Mapping[str, str] = {
    # One way in, with a password. A socket file would be a second one, and its path must
    # not pass 107 bytes.
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "cluster_name": NAME,  # shown by ps
    # An acknowledged event is on disk: never traded for speed, so never left to a default.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Few, long checkpoints: after each one every page is logged in full once more.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "wal_buffers": "16MB",  # a whole segment: a batch seldom waits for a WAL write
    # Safe because only crash recovery reads this WAL, and it needs no more: there is no
    # replica and no archive. Backups are pg_dump's; pg_basebackup is not possible.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "256MB",  # the hot end of the log and its indexes; fits a laptop
    "max_connections": "200",  # a pool of 20 (the default) in each of several processes
    "jit": "off",  # compiling costs more than short statements take
    "autovacuum": "on",  # a log needs it too: statistics, visibility, frozen rows
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",  # stderr is the log file already
}
LINGER_S = 10.0  #: how long the processes of a killed server may take to end
START_S = 300.0  #: crash recovery replays up to max_wal_size before it is ready
STOP_S = 120.0  #: a fast shutdown writes every dirty page
_POLL_S = 0.02
_PORT_ATTEMPTS = 3  #: someone may take the port between our choice and the server's bind
_MARKER, _NOTE, _LOCK, _ALIVE = "embedded.json", "elsewhere.txt", "lock", "alive"
_ROOTS = Path("/var/lib") / NAME  # not /var/tmp, where old files are cleaned away


class ForeignFolder(EmbeddedError):
    """The folder holds something that is no embedded server: hands off."""


class DatabasePortTaken(EmbeddedError):
    """The port that was asked for is in use."""


class NotStarted(EmbeddedError):
    """The folder's server was never started, so it has no address yet."""


class ServerFailed(EmbeddedError):
    """PostgreSQL did not do what was asked; the problem ends with what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Marker:
    """What the folder remembers between starts. Its presence makes the folder ours."""

    password: str
    port: int = 0  #: of the latest start; 0: none yet


class EmbeddedPostgres:
    """The server of one folder; objects, threads and processes may share the folder.

    Methods block; nothing starts or stops with the object itself. `port` is for those who
    need a certain one; otherwise a free one is chosen and kept for as long as it stays
    free. `binaries` is the folder of `initdb` and `postgres`, searched for by default.
    Not promised: a folder shared by machines, or by users of whom none is root.
    """

    def __init__(
        self, folder: Path, *, port: int | None = None, binaries: Path | None = None
    ) -> None:
        self._folder = folder.resolve()
        self._port, self._binaries = port, binaries
        self._user = ServerUser()

    @property
    def url(self) -> str:
        """The connection string of the latest start, whoever did it; raises NotStarted."""
        marker = self._marker()
        if marker is None or not marker.port:
            raise NotStarted(str(self._folder), "never started")
        return f"postgresql://{NAME}:{marker.password}@127.0.0.1:{marker.port}/{NAME}"

    def start(self) -> str:
        """Return the connection string of a server that answers, starting it if need be.

        After a crash this waits for the old processes to end and for the recovery. Raises
        an EmbeddedError that says what to do.
        """
        with self._locked():
            marker = self._marker() or self._remember(_Marker(password=secrets.token_urlsafe(24)))
            binaries = self._executable(self._choose_binaries())
            if self._postmaster() is None or not self._settled():
                self._await_end(LINGER_S)
                self._initialise(binaries, marker)
                marker = self._launch(binaries, marker)
            self._ensure_database(binaries, marker)
            return self.url

    def stop(self) -> None:
        """Shut down cleanly and wait for the end of it, whoever started the server.

        Does nothing if none runs. Raises ServerFailed after STOP_S.
        """
        if self._marker() is not None:
            with self._locked():
                self._shut_down()

    def running(self) -> bool:
        """Whether the server takes connections now."""
        server = self._postmaster()
        return server is not None and server[1] == "ready"

    def destroy(self) -> None:
        """Stop the server and delete the folder; no folder is no error.

        Raises ForeignFolder, and touches nothing, if no server was ever started there.
        """
        if self._marker() is not None:
            with self._locked():
                self._shut_down()
                # Renamed first: who waits for the lock shall find all of it or nothing.
                home = self._home
                if (self._folder / _NOTE).exists():
                    shutil.rmtree(self._folder)
                shutil.rmtree(home.rename(f"{home}.{secrets.token_hex(4)}"))
        elif self._folder.exists() and not (self._folder / _NOTE).exists():
            raise ForeignFolder(str(self._folder), "holds no embedded server: not deleted")
        elif (self._folder / _NOTE).exists():
            shutil.rmtree(self._folder)

    # The folder ------------------------------------------------------------------------

    @property
    def _home(self) -> Path:
        """Where everything is: the folder, or the one that stands in for it."""
        digest = hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:12]
        stand_in = _ROOTS / f"{self._folder.name}-{digest}"
        moved = (self._folder / _NOTE).exists() or (stand_in / _MARKER).exists()
        return stand_in if self._user and moved else self._folder

    @property
    def _cluster(self) -> Path:
        return self._home / "data"

    def _make_home(self) -> Path:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o711 if self._user else 0o700  # the server's user has to pass through
        make_folder(self._folder, mode)
        # What a start makes before the marker, then the marker: both looks are needed.
        made_first = {_LOCK, _NOTE, f"{_MARKER}.new"}
        if {path.name for path in self._folder.iterdir()} - made_first and self._marker() is None:
            raise ForeignFolder(str(self._folder), "holds other things: name an empty folder")
        if self._marker() is None and not self._user.may_execute(self._folder):
            note = f"The server's user cannot reach this folder: its data is below {_ROOTS}.\n"
            (self._folder / _NOTE).write_text(note)
        if self._home != self._folder:
            make_folder(_ROOTS, mode)
            make_folder(self._home, mode)
        return self._home

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One start, stop or destroy at a time, among all processes."""
        while True:
            try:
                path = self._make_home() / _LOCK
                lock = path.open("a")
            except FileNotFoundError:  # a destroy came in between: make it anew
                continue
            with lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if is_at(lock, path):  # else the owner before us destroyed the folder
                    yield
                    return

    def _marker(self) -> _Marker | None:
        with suppress(FileNotFoundError):  # not ours, or not yet
            return _Marker(**json.loads((self._home / _MARKER).read_bytes()))
        return None

    def _remember(self, marker: _Marker) -> _Marker:
        new = self._home / f"{_MARKER}.new"
        with open(new, "w", opener=private) as file:
            json.dump(asdict(marker), file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._home / _MARKER)
        sync_folder(self._home)
        return marker

    # Binaries --------------------------------------------------------------------------

    def _choose_binaries(self) -> Path:
        return chosen_binaries(self._cluster, given=self._binaries, where=self._folder)

    def _executable(self, binaries: Path) -> Path:
        """The binaries, or a copy of them that the server's user can execute."""
        if self._user.may_execute(binaries / "postgres"):
            return binaries
        install, package = binaries.parent, binaries.parent.parent
        version = (binaries / "postgres").stat().st_mtime_ns  # an upgrade makes a new copy
        copy, partial = self._home / f"{install.name}-{version}", self._home / "copy.partial"
        if not copy.exists():
            delete(partial)
            for part in (binaries.name, "lib", "share"):
                shutil.copytree(install / part, partial / package.name / install.name / part)
            bundled = package.with_name(f"{package.name}.libs")  # where a wheel keeps libpq
            if bundled.exists():
                shutil.copytree(bundled, partial / bundled.name)
            self._user.own(partial)
            partial.rename(copy)
        return copy / package.name / install.name / binaries.name

    # The server ------------------------------------------------------------------------

    def _postmaster(self) -> tuple[int, str] | None:
        """The live postmaster's process id and status; None if its file is stale."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        if not lines or not _serves(int(lines[0]), self._cluster):
            return None
        return int(lines[0]), "".join(lines[7:8]).strip()

    def _settled(self) -> bool:
        """Wait until the server takes connections (True) or nothing is left of it (False)."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.running():
                return True
            if self._ended():
                return False
            time.sleep(_POLL_S)  # its status is a line in a file: there is no event
        raise self._failed(f"not ready after {START_S:g} s")

    def _ended(self) -> bool:
        with (self._home / _ALIVE).open("a") as alive:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return self._postmaster() is None

    def _await_end(self, timeout_s: float) -> None:
        """Wait until no process of the server is left, backends included."""
        with (self._home / _ALIVE).open("a") as alive:
            # A thread, because flock has no timeout; daemon, because it may never return.
            lock = (alive.fileno(), fcntl.LOCK_EX)
            waiter = threading.Thread(target=fcntl.flock, args=lock, daemon=True)
            waiter.start()
            waiter.join(timeout_s)
            if waiter.is_alive():
                raise self._failed(f"processes of the server live on after {timeout_s:g} s")

    def _initialise(self, binaries: Path, marker: _Marker) -> None:
        """Make the cluster if there is none, whole or not at all."""
        if (self._cluster / "PG_VERSION").exists():
            return
        partial = self._home / "data.partial"
        delete(partial)
        partial.mkdir(mode=0o700)
        self._user.own(partial)
        with tempfile.NamedTemporaryFile("w", dir=self._home) as password:
            password.write(marker.password)
            password.flush()
            self._user.own(Path(password.name))
            access = ["-U", NAME, "--auth=scram-sha-256", f"--pwfile={password.name}"]
            self._run([binaries / "initdb", "-D", partial, "-E", "UTF8", "--locale=C", *access])
        partial.rename(self._cluster)
        sync_folder(self._home)

    def _launch(self, binaries: Path, marker: _Marker) -> _Marker:
        """Start the server, nothing of the old one being left, and wait until it is ready."""
        for _ in range(_PORT_ATTEMPTS):
            marker = self._remember(replace(marker, port=self._choose_port(marker.port)))
            self._spawn(binaries, marker.port)
            if self._settled():
                return marker
            if _is_free(marker.port):
                break
        raise self._failed("it ended while starting")

    def _choose_port(self, remembered: int) -> int:
        port = remembered if self._port is None else self._port
        if port and _is_free(port):
            return port
        if self._port is not None:
            raise DatabasePortTaken(f"port {port}", "taken: name another, or none for a free one")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            return int(probe.getsockname()[1])

    def _spawn(self, binaries: Path, port: int) -> None:
        # PostgreSQL would take a zombie, or whoever has the old pid today, for the old server.
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        log = self._home / "server.log"
        if log.exists():
            log.rename(log.with_suffix(".log.1"))  # a file a run: none grows for ever
        settings = {**SETTINGS, "port": str(port)}
        options = shlex.join(f"--{name}={value}" for name, value in settings.items())
        # pg_ctl gives the server a session of its own, beyond Ctrl-C and the starter's end.
        command: Command = [binaries / "pg_ctl", "start", "-sW", "-D", self._cluster]
        with open(log, "w", opener=private) as output, (self._home / _ALIVE).open("a") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)  # theirs by inheritance when we close the file
            self._run([*command, "-o", options], output=output, inherit=[alive.fileno()])

    def _shut_down(self) -> None:
        server = self._postmaster()
        if server is not None:
            with suppress(ProcessLookupError):  # it ended in this very moment
                os.kill(server[0], signal.SIGINT)  # what PostgreSQL calls a fast shutdown
        self._await_end(STOP_S)

    def _ensure_database(self, binaries: Path, marker: _Marker) -> None:
        """Create the database if it is missing; this also proves that the server answers."""
        address = ["-h", "127.0.0.1", "-p", str(marker.port), "-U", NAME, "-d", "postgres"]
        psql: Command = [binaries / "psql", "-XAt", *address, "-c"]
        access = {"PGPASSWORD": marker.password, "PGCONNECT_TIMEOUT": "10"}
        if not self._run([*psql, f"SELECT 1 FROM pg_database WHERE datname = '{NAME}'"], access):
            self._run([*psql, f"CREATE DATABASE {NAME}"], access)

    def _run(
        self,
        command: Command,
        variables: Mapping[str, str] | None = None,
        *,
        output: IO[str] | None = None,
        inherit: Sequence[int] = (),
    ) -> str:
        try:
            return self._user.run(command, variables, output=output, inherit=inherit)
        except ToolFailed as error:
            raise self._failed(f"{error.where}: {error.problem}") from error

    def _failed(self, problem: str) -> ServerFailed:
        log = self._home / "server.log"
        tail = log.read_text(errors="replace").splitlines()[-20:] if log.exists() else []
        return ServerFailed(str(self._folder), "\n".join([problem.strip(), f"{log} ends:", *tail]))


def _serves(pid: int, cluster: Path) -> bool:
    """Whether this process is the cluster's server, not a zombie or a later owner of the pid."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # a zombie is the former
        return str(cluster) in psutil.Process(pid).cmdline()
    return False


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
