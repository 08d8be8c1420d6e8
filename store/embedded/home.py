"""The data folder of an embedded PostgreSQL: whose it is, what it remembers, its cluster.

The folder holds a marker (port, password), a log and the cluster. The server's postmaster
and every backend inherit one locked file, `alive`: its lock is free exactly when no process
of the server is left, whichever way it ended.

PostgreSQL refuses to run as root: root's server runs as `postgres`, or else `nobody`. If
that user cannot reach the folder (under a 0700 home), everything is in
`/var/lib/thornback/<name>-<hash of the path>` instead and a note in the folder says so;
binaries it cannot execute are copied beside the cluster.
"""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from store.embedded.folders import delete, is_at, make_folder, private, sync_folder
from store.embedded.server_user import Command, ServerUser, ToolFailed
from store.errors import EmbeddedError

NAME = "thornback"  #: the database, and the role that owns it
_MARKER, _NOTE, _LOCK = "embedded.json", "elsewhere.txt", "lock"
_ROOTS = Path("/var/lib") / NAME  # not /var/tmp, where old files are cleaned away


class ForeignFolder(EmbeddedError):
    """The folder holds something that is no embedded server: hands off."""


#: What a new cluster takes with our schema, and the first segments of its write-ahead log.
ROOM_BYTES = 128 * 2**20


class UnusableFolder(EmbeddedError):
    """Nothing can be kept in this folder: it is none, not ours to write to, or full."""


class ServerFailed(EmbeddedError):
    """PostgreSQL did not do what was asked; the problem ends with what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """What the folder remembers between starts. Its presence makes the folder ours."""

    password: str
    port: int = 0  #: of the latest start; 0: none yet


class Home:
    """One folder, for whoever has its path: objects, threads and processes.

    What changes it is called under `locked`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()  #: the one that was named
        self.user = ServerUser()

    @property
    def path(self) -> Path:
        """Where everything is: the folder, or the one that stands in for it."""
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        stand_in = _ROOTS / f"{self.folder.name}-{digest}"
        moved = (self.folder / _NOTE).exists() or (stand_in / _MARKER).exists()
        return stand_in if self.user and moved else self.folder

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data."""
        return self.path / "data"

    @property
    def log(self) -> Path:
        """What the server printed since its latest start."""
        return self.path / "server.log"

    @property
    def alive(self) -> Path:
        """Locked by the processes of the server for as long as one of them lives."""
        return self.path / "alive"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One start, stop or destroy at a time, among all processes. Makes the folder;
        raises ForeignFolder or UnusableFolder."""
        while True:
            try:
                lock = self._lock_file()
            except FileNotFoundError:  # a destroy came in between: make it anew
                continue
            with lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if is_at(lock, Path(lock.name)):  # else the owner before us destroyed the folder
                    yield
                    return

    def usable(self) -> None:
        """Make the folder, as a start would. Raises ForeignFolder or UnusableFolder."""
        with suppress(FileNotFoundError):  # a destroy came in between: it was usable
            self._lock_file().close()

    def marker(self) -> Marker | None:
        """What the folder remembers; None where no server was ever started."""
        # Not ours, or not yet; or what was named is no folder.
        with suppress(FileNotFoundError, NotADirectoryError):
            return Marker(**json.loads((self.path / _MARKER).read_bytes()))
        return None

    def remember(self, marker: Marker) -> Marker:
        """Write the marker, whole or not at all, also when the power is cut."""
        new = self.path / f"{_MARKER}.new"
        with open(new, "w", opener=private) as file:
            json.dump(asdict(marker), file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.path / _MARKER)
        sync_folder(self.path)
        return marker

    def check_room(self) -> None:
        """Is there room for a cluster, where there is none yet? Raises UnusableFolder."""
        if (self.cluster / "PG_VERSION").exists():
            return
        if (free := shutil.disk_usage(self.path).free) < ROOM_BYTES:
            raise UnusableFolder(
                str(self.folder),
                f"only {free / 2**20:,.0f} MiB are free there, and a new database takes "
                f"{ROOM_BYTES / 2**20:,.0f} to begin with",
            )

    def initialise(self, binaries: Path, marker: Marker) -> None:
        """Make the cluster if there is none, whole or not at all. Raises ServerFailed."""
        if (self.cluster / "PG_VERSION").exists():
            return
        partial = self.path / "data.partial"
        delete(partial)
        partial.mkdir(mode=0o700)
        self.user.own(partial)
        with tempfile.NamedTemporaryFile("w", dir=self.path) as password:
            password.write(marker.password)
            password.flush()
            self.user.own(Path(password.name))
            access = ["-U", NAME, "--auth=scram-sha-256", f"--pwfile={password.name}"]
            self.run([binaries / "initdb", "-D", partial, "-E", "UTF8", "--locale=C", *access])
        partial.rename(self.cluster)
        sync_folder(self.path)

    def executable(self, binaries: Path) -> Path:
        """The binaries, or a copy of them that the server's user can execute."""
        if self.user.may_execute(binaries / "postgres"):
            return binaries
        install, package = binaries.parent, binaries.parent.parent
        version = (binaries / "postgres").stat().st_mtime_ns  # an upgrade makes a new copy
        copy, partial = self.path / f"{install.name}-{version}", self.path / "copy.partial"
        if not copy.exists():
            delete(partial)
            for part in (binaries.name, "lib", "share"):
                shutil.copytree(install / part, partial / package.name / install.name / part)
            bundled = package.with_name(f"{package.name}.libs")  # where a wheel keeps libpq
            if bundled.exists():
                shutil.copytree(bundled, partial / bundled.name)
            self.user.own(partial)
            partial.rename(copy)
        return copy / package.name / install.name / binaries.name

    def new_log(self) -> IO[str]:
        """An empty log, and the last one beside it: a file a run, so none grows for ever."""
        if self.log.exists():
            self.log.rename(self.log.with_suffix(".log.1"))
        return open(self.log, "w", opener=private)

    def run(
        self,
        command: Command,
        variables: Mapping[str, str] | None = None,
        *,
        output: IO[str] | None = None,
        inherit: Sequence[int] = (),
    ) -> str:
        """Run a tool as the server's user. Raises ServerFailed."""
        try:
            return self.user.run(command, variables, output=output, inherit=inherit)
        except ToolFailed as error:
            raise self.failed(f"{error.where}: {error.problem}") from error

    def failed(self, problem: str) -> ServerFailed:
        """The error that says this, and what the server said last."""
        log = self.log
        tail = log.read_text(errors="replace").splitlines()[-20:] if log.exists() else []
        return ServerFailed(str(self.folder), "\n".join([problem.strip(), f"{log} ends:", *tail]))

    def delete(self) -> None:
        """Delete all of it. Who waits for the lock finds all of it or nothing."""
        home = self.path
        if (self.folder / _NOTE).exists():
            shutil.rmtree(self.folder)
        shutil.rmtree(home.rename(f"{home}.{secrets.token_hex(4)}"))

    def delete_unused(self) -> None:
        """Delete what a start left that came to nothing; no folder is no error. Raises
        ForeignFolder, and touches nothing, if it is no folder of ours."""
        if self.folder.exists() and self._others():
            raise ForeignFolder(str(self.folder), "holds no embedded server: not deleted")
        for folder in {self.path, self.folder}:
            delete(folder)

    def _lock_file(self) -> IO[str]:
        """The open file of the lock, in the folder, which is made. Raises FileNotFoundError where
        somebody deletes the folder in this moment."""
        try:
            return (self._make() / _LOCK).open("a")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> UnusableFolder:
        why = error.strerror or str(error)
        if isinstance(error, FileExistsError | NotADirectoryError):
            why = "something in its path is no folder"
        elif isinstance(error, FileNotFoundError):
            why = "none can be made there"
        return UnusableFolder(str(self.folder), f"cannot be used as a folder for data: {why}")

    def _others(self) -> set[str]:
        """What is in the folder beside that which a start makes before the marker."""
        return {path.name for path in self.folder.iterdir()} - {_LOCK, _NOTE, f"{_MARKER}.new"}

    def _make(self) -> Path:
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:
            # Nobody deletes that one: there is a file system that makes no folders, like /proc.
            raise self._unusable(error) from error
        mode = 0o711 if self.user else 0o700  # the server's user has to pass through
        make_folder(self.folder, mode)
        if self._others() and self.marker() is None:  # in this order: both looks are needed
            raise ForeignFolder(str(self.folder), "holds other things: name an empty folder")
        if self.marker() is None and not self.user.may_execute(self.folder):
            note = f"The server's user cannot reach this folder: its data is below {_ROOTS}.\n"
            (self.folder / _NOTE).write_text(note)
        if self.path != self.folder:
            make_folder(_ROOTS, mode)
            make_folder(self.path, mode)
        return self.path
