"""A real PostgreSQL server in a folder of the project, for those who have none.

The server is nobody's child: it outlives whoever started it, and the next `start()` on the
folder finds it. What lies in the folder, and who may reach it, is store/embedded/home.py's.
"""

import fcntl
import os
import random
import secrets
import shlex
import signal
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from store.embedded.binaries import MajorMismatch as MajorMismatch
from store.embedded.binaries import NoBinaries as NoBinaries
from store.embedded.binaries import chosen_binaries
from store.embedded.home import NAME, Home, Marker
from store.embedded.home import ForeignFolder as ForeignFolder
from store.embedded.home import ServerFailed as ServerFailed
from store.embedded.home import UnusableFolder as UnusableFolder
from store.embedded.memory import shared_buffers
from store.embedded.server_user import Command
from store.errors import EmbeddedError as EmbeddedError

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
#: A port is kept for as long as nobody takes it while the server is down, so it is none that
#: the system gives to outgoing connections (Linux from 32768, others from 49152), nor one of
#: Ray's workers (10002 to 19999).
PORTS = range(20_000, 32_000)
_POLL_S = 0.02
_PORT_ATTEMPTS = 3  #: someone may take the port between our choice and the server's bind


class DatabasePortTaken(EmbeddedError):
    """The port that was asked for is in use."""


class NotStarted(EmbeddedError):
    """The folder's server was never started, so it has no address yet."""


class EmbeddedPostgres:
    """The server of one folder; objects, threads and processes may share the folder.

    Methods block; nothing starts or stops with the object itself. `port` is for those who
    need a certain one; otherwise a free one is chosen and kept for as long as it stays
    free. `binaries` is the folder of `initdb` and `postgres`, searched for by default. `servers`
    says how many of these share the part of the memory that is for them, from the next start on.
    Not promised: a folder shared by machines, or by users of whom none is root.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        binaries: Path | None = None,
        servers: int = 1,
    ) -> None:
        self._home = Home(folder)
        self._port, self._binaries, self._servers = port, binaries, servers

    @property
    def url(self) -> str:
        """The connection string of the latest start, whoever did it; raises NotStarted."""
        marker = self._home.marker()
        if marker is None or not marker.port:
            raise NotStarted(str(self._home.folder), "never started")
        return f"postgresql://{NAME}:{marker.password}@127.0.0.1:{marker.port}/{NAME}"

    def check(self) -> None:
        """Look whether a start has a folder for data with room in it, and binaries of PostgreSQL;
        the folder is made. Raises the EmbeddedError that a start would raise."""
        self._home.usable()
        self._home.check_room()
        chosen_binaries(self._home.cluster, given=self._binaries, where=self._home.folder)

    def start(self) -> str:
        """Return the connection string of a server that answers, starting it if need be.

        After a crash this waits for the old processes to end and for the recovery. Raises
        an EmbeddedError that says what to do.
        """
        with self._home.locked():
            home = self._home
            marker = home.marker() or home.remember(Marker(password=secrets.token_urlsafe(24)))
            found = chosen_binaries(home.cluster, given=self._binaries, where=home.folder)
            binaries = home.executable(found)
            if self._postmaster() is None or not self._settled():
                self._await_end(LINGER_S)
                home.initialise(binaries, marker)
                marker = self._launch(binaries, marker)
            self._ensure_database(binaries, marker)
            return self.url

    def stop(self) -> None:
        """Shut down cleanly and wait for the end of it, whoever started the server.

        Does nothing if none runs. Raises ServerFailed after STOP_S.
        """
        if self._home.marker() is not None:
            with self._home.locked():
                self._shut_down()

    def running(self) -> bool:
        """Whether the server takes connections now."""
        server = self._postmaster()
        return server is not None and server[1] == "ready"

    def destroy(self) -> None:
        """Stop the server and delete the folder; no folder is no error.

        Raises ForeignFolder, and touches nothing, if no server was ever started there.
        """
        if self._home.marker() is not None:
            with self._home.locked():
                self._shut_down()
                self._home.delete()
        else:
            self._home.delete_unused()

    # The server ------------------------------------------------------------------------

    def _postmaster(self) -> tuple[int, str] | None:
        """The live postmaster's process id and status; None if its file is stale."""
        try:
            lines = (self._home.cluster / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not lines or not _serves(int(lines[0]), self._home.cluster):
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
        raise self._home.failed(f"not ready after {START_S:g} s")

    def _ended(self) -> bool:
        with self._home.alive.open("a") as alive:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return self._postmaster() is None

    def _await_end(self, timeout_s: float) -> None:
        """Wait until no process of the server is left, backends included."""
        with self._home.alive.open("a") as alive:
            # A thread, because flock has no timeout; daemon, because it may never return.
            lock = (alive.fileno(), fcntl.LOCK_EX)
            waiter = threading.Thread(target=fcntl.flock, args=lock, daemon=True)
            waiter.start()
            waiter.join(timeout_s)
            if waiter.is_alive():
                raise self._home.failed(f"processes of the server live on after {timeout_s:g} s")

    def _launch(self, binaries: Path, marker: Marker) -> Marker:
        """Start the server, nothing of the old one being left, and wait until it is ready."""
        for _ in range(_PORT_ATTEMPTS):
            marker = self._home.remember(replace(marker, port=self._choose_port(marker.port)))
            self._spawn(binaries, marker.port)
            if self._settled():
                return marker
            if _is_free(marker.port):
                break
        raise self._home.failed("it ended while starting")

    def _choose_port(self, remembered: int) -> int:
        port = remembered if self._port is None else self._port
        if port and _is_free(port):
            return port
        if self._port is not None:
            raise DatabasePortTaken(f"port {port}", "taken: name another, or none for a free one")
        for port in random.sample(PORTS, len(PORTS)):
            if _is_free(port):
                return port
        raise DatabasePortTaken(f"ports {PORTS.start} to {PORTS.stop - 1}", "all are taken")

    def _spawn(self, binaries: Path, port: int) -> None:
        # PostgreSQL would take a zombie, or whoever has the old pid today, for the old server.
        (self._home.cluster / "postmaster.pid").unlink(missing_ok=True)
        settings = {"shared_buffers": shared_buffers(self._servers), **SETTINGS, "port": str(port)}
        options = shlex.join(f"--{name}={value}" for name, value in settings.items())
        # pg_ctl gives the server a session of its own, beyond Ctrl-C and the starter's end.
        command: Command = [binaries / "pg_ctl", "start", "-sW", "-D", self._home.cluster]
        with self._home.new_log() as output, self._home.alive.open("a") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)  # theirs by inheritance when we close the file
            self._home.run([*command, "-o", options], output=output, inherit=[alive.fileno()])

    def _shut_down(self) -> None:
        server = self._postmaster()
        if server is not None:
            with suppress(ProcessLookupError):  # it ended in this very moment
                os.kill(server[0], signal.SIGINT)  # what PostgreSQL calls a fast shutdown
        self._await_end(STOP_S)

    def _ensure_database(self, binaries: Path, marker: Marker) -> None:
        """Create the database if it is missing; this also proves that the server answers."""
        address = ["-h", "127.0.0.1", "-p", str(marker.port), "-U", NAME, "-d", "postgres"]
        psql: Command = [binaries / "psql", "-XAt", *address, "-c"]
        access = {"PGPASSWORD": marker.password, "PGCONNECT_TIMEOUT": "10"}
        found = self._home.run(
            [*psql, f"SELECT 1 FROM pg_database WHERE datname = '{NAME}'"], access
        )
        if not found:
            self._home.run([*psql, f"CREATE DATABASE {NAME}"], access)


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
