"""The Ray of a project: noted in its folder, so that the programs that are started there find it.

`thornback up` starts a process of its own that keeps that Ray, and notes how to join it; the note
is good for as long as that process lives. A Ray that the environment names comes first: whoever
set RAY_ADDRESS, or submitted a job, has said which is meant.
"""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

import psutil
from ray import _raylet

from actors.errors import ThornbackError
from runtime.errors import NotPossible
from runtime.process.presence import began_s_of, process_alive

#: In the folder of the project; what is in it is this machine's alone.
FOLDER = Path(".thornback")
_NOTE = "ray.json"
_LOCK = "lock"

#: Which Ray a program is to join, and by which token.
ADDRESS, TOKEN_FILE, AUTH_MODE = "RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"

#: Where Ray's own programs are.
_RAY_FILES = f"{Path(_raylet.__file__).parent}{os.sep}"

#: Whether Ray begins one by itself when it is called.
_AUTO = "RAY_ENABLE_AUTO_CONNECT"

#: Between two tries to take the lock.
_LOOK_S = 0.02

#: How long the processes of a Ray may take to notice that it has ended.
_END_S = 10.0
#: How long one of them that is told to end may take.
_LEAVE_S = 2.0


class NoFolder(NotPossible):
    """The working directory cannot be that of a project."""


class ProjectBusy(ThornbackError):
    """Another command is just starting or ending the project's Ray."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return (
            f"another `thornback up` or `thornback down` is at work in {self.folder}: wait for its "
            "end, or end it by Ctrl-C"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Who keeps the project's Ray, and how to join it."""

    pid: int
    began_s: float  #: when that process began (began_s_of): a pid may be given again
    way_in: Mapping[str, str]  #: environment variables
    ending: bool = False  #: is it about to end, so that whoever is in it had better leave?

    def keeper(self) -> psutil.Process | None:
        """The process that keeps it, if it is alive."""
        return process_alive(self.pid, self.began_s)

    def left(self) -> list[psutil.Process]:
        """The processes of that Ray which live on without the one that kept it: workers that
        have not noticed yet."""
        token = self.way_in.get(TOKEN_FILE)
        return [each for each in psutil.process_iter() if token and _is_of(each, token)]


def end_left(processes: Iterable[psutil.Process]) -> None:
    """End those among these that are of a Ray, which has ended, and live on. Ray's agents notice
    that by themselves, but may then take a minute to end."""
    left = [each for each in processes if _is_of_ray(each)]
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(left, timeout=_LEAVE_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive)


def folder_of_project() -> Path:
    """The project's own folder below the working directory, made if it is not there. Raises
    NoFolder."""
    try:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / ".gitignore").write_text("*\n")
    except OSError as error:
        raise NoFolder(
            f"nothing can be kept in {Path.cwd() / FOLDER}, where it is noted what is up: "
            f"{error.strerror or error}: go to a folder of your own"
        ) from error
    return FOLDER


def note(way_in: Mapping[str, str]) -> None:
    """Note that this process keeps a Ray, for this user's eyes only."""
    pid = os.getpid()
    _write(Note(pid=pid, began_s=began_s_of(pid), way_in=dict(way_in)))


def note_ending(found: Note, *, ending: bool) -> None:
    """Note that the project's Ray is about to end, so that the programs in it leave; or that it
    is not, after all."""
    _write(replace(found, ending=ending))


def _write(found: Note) -> None:
    new = folder_of_project() / f"{_NOTE}.new"
    new.touch(mode=0o600)
    new.write_text(json.dumps(asdict(found)))
    new.rename(FOLDER / _NOTE)


def noted(folder: Path = Path()) -> Note | None:
    """What is noted in a folder (the working directory), whether it is still good or not. A note
    that cannot be read is of a machine that has lost its power."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError, ValueError, TypeError):
        return Note(**json.loads((folder / FOLDER / _NOTE).read_bytes()))
    return None


def forget() -> None:
    """There is no such Ray any more."""
    (FOLDER / _NOTE).unlink(missing_ok=True)


@contextmanager
def one_at_a_time() -> Iterator[int]:
    """Nobody else starts or ends the project's Ray meanwhile. Raises ProjectBusy.

    What it gives is the lock's descriptor: as long as a process has that open, the folder stays
    taken, whatever becomes of this one.
    """
    with (folder_of_project() / _LOCK).open("w") as lock:
        if not _taken(lock, fcntl.LOCK_EX):
            raise ProjectBusy(str(Path.cwd()))
        yield lock.fileno()


def refuse_if_busy() -> None:
    """Raises ProjectBusy while somebody starts or ends the project's Ray."""
    if _busy():
        raise ProjectBusy(str(Path.cwd()))


def await_end(left: Note) -> None:
    """Wait for the processes of a Ray whose keeper is gone, and end those that do not end."""
    _, alive = psutil.wait_procs(left.left(), timeout=_END_S)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive)


def use_project_ray(folder: Path = Path()) -> Note | None:
    """Mean the project's Ray from now on, if there is one and the environment names none; its
    note."""
    found = noted(folder)
    if ray_is_named() or found is None or found.keeper() is None:
        return None
    os.environ.pop(_AUTO, None)
    os.environ.update(found.way_in)
    _have_ray_read_again()
    return found


def project_is_up(folder: Path = Path()) -> bool:
    """Is a Ray noted in that folder which is there, and is to stay?"""
    found = noted(folder)
    return found is not None and not found.ending and found.keeper() is not None


def begin_no_ray() -> None:
    """From now on Ray begins no Ray of its own where somebody calls it while there is none; until
    this program means one again."""
    os.environ[_AUTO] = "0"


def mean_none(found: Note) -> None:
    """The Ray of that note has ended: this program means none until it finds another one."""
    for name, value in found.way_in.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _have_ray_read_again()


def _have_ray_read_again() -> None:
    """Ray has read its environment when it was imported."""
    _raylet.Config.initialize("")  # type: ignore[attr-defined]
    _raylet.AuthenticationTokenLoader.instance().reset_cache()  # type: ignore[attr-defined]


def ray_is_named() -> str | None:
    """The Ray that the environment names."""
    return os.environ.get(ADDRESS) or None


def why_none() -> tuple[str, str]:
    """Why neither the environment nor the working directory says which Ray is meant, and what to
    do."""
    here = Path.cwd()
    if _busy():
        return f"`thornback up` or `thornback down` is just at work in {here}", "wait for its end"
    if noted() is not None:
        return (
            f"the Ray that `thornback up` has started in {here} has ended by itself, and the "
            "system with it; what was committed stays",
            "`thornback up` starts it anew",
        )
    if (near := up_near()) is not None:
        return f"nothing is up in {here}, but in {near}", "go there"
    return (
        f"nothing is up in {here}, and {ADDRESS} names no Ray",
        f"`thornback up` starts a system in this folder; for a Ray of your own, set {ADDRESS} "
        "(auto: the one that `ray start` has started on this machine)",
    )


def up_near() -> Path | None:
    """A folder in which a Ray is up and that may be meant instead of the working directory: the
    nearest above it, that of the program that runs, or one in it."""
    here, program = Path.cwd(), Path(sys.argv[0] or ".").resolve()
    for folder in (*here.parents, *program.parents):
        if folder != here and project_is_up(folder):
            return folder
    with suppress(OSError):  # not everything in it is ours to look at
        for note_in in sorted(here.glob(f"*/{FOLDER}/{_NOTE}")):
            if project_is_up(note_in.parents[1]):
                return note_in.parents[1]
    return None


def _busy() -> bool:
    with suppress(OSError), (FOLDER / _LOCK).open() as lock:
        return not _taken(lock, fcntl.LOCK_SH, tries=1)
    return False


def _taken(lock: IO[str], how: int, tries: int = 5) -> bool:
    """Take a lock, if nobody has it; who only looks whether it is taken has it for a moment."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if left:
                time.sleep(_LOOK_S)
    return False


def _is_of(process: psutil.Process, token: str) -> bool:
    """Is it a process of the Ray with that token? Beside these, what the system has started
    (PostgreSQL) has inherited the variable, too."""
    with suppress(psutil.Error):
        return process.environ().get(TOKEN_FILE) == token and _is_of_ray(process)
    return False


def _is_of_ray(process: psutil.Process) -> bool:
    """Is it a process of some Ray, and alive? It has a title of Ray's, and before it has taken
    that, it is a program of Ray's that runs."""
    with suppress(psutil.Error):
        words = " ".join(process.cmdline())
        return words.startswith("ray::") or _RAY_FILES in words
    return False
