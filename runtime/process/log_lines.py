"""The log of a process: entries of one form, whoever says them, and how they are read again.

An entry begins with its time and its level, and says who says it, by the name that the process has
as a node and the first letters of Ray's id of its machine: `2026-11-24T17:51:03.123Z ERROR
thornback.host node-001.host-0@4f1d02a9c8e7 [charger/c-17]: ...`. What follows until the next one
(a traceback) belongs to it. What is printed is an entry of level PRINT, so that prints of handlers
stand among the rest, with the source of the actor that has printed them.

Ray keeps what a process writes in files, on the machine where it runs; each process reads its own,
and those of its incarnations that have ended there. It knows them by a mark that each writes first.
"""

import logging
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import ray

from runtime.topology.names import MACHINE_LETTERS

#: Who an entry is about, if it is about one actor.
About = Callable[[], str | None]

#: So much of a log is told at once.
READ_BYTES = 1024 * 1024

_LONGEST_LINE = 64 * 1024  #: a print without an end is cut there
_MARK = ":thornback_process:"  #: as Ray's own marks begin
_MARK_WITHIN = 64 * 1024  #: the mark is in the first bytes of a file; Ray writes a few lines before
#: So many files of ended incarnations are told at most, two each: one that fails at once, over
#: and over, has thousands.
_EARLIER_FILES = 8


class Piece(NamedTuple):
    """What one file has after some offset."""

    offset: int  #: where it ends now
    said: bytes
    ended: bool  #: is it of an incarnation that has ended?


class _Entries(logging.Formatter):
    """Log records as entries."""

    def __init__(self, who: str, about: About) -> None:
        super().__init__()
        self._who, self._about = who, about

    def format(self, record: logging.LogRecord) -> str:
        head = _head(record.levelname, record.name, self._who, self._about())
        return head + super().format(record)


class _Prints:
    """Standard output, a line an entry; whatever else a stream has is that of the real one."""

    def __init__(self, stream: Any, who: str, about: About) -> None:
        self._stream, self._who, self._about = stream, who, about
        self._lock = threading.Lock()  # guards what follows
        self._begun = ""

    def write(self, text: str) -> int:
        """Write what makes whole lines, and keep the rest."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            if len(self._begun) > _LONGEST_LINE:
                lines, self._begun = [*lines, self._begun], ""
            for line in lines:
                head = _head("PRINT", "stdout", self._who, self._about())
                self._stream.write(f"{head}{line}\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def begin(about: About, whose: str, *, node: str, machine: str) -> None:
    """From now on whatever this process says is an entry, which names its node and its machine.
    `whose` is the same for all of its incarnations, and for nobody else on this Ray."""
    who = f"{node}@{machine[:MACHINE_LETTERS]}"
    for stream in (sys.stdout, sys.stderr):
        print(f"{_MARK}{whose}", file=stream, flush=True)
    handler = logging.StreamHandler()
    handler.setFormatter(_Entries(who, about))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.stdout = _Prints(sys.stdout, who, about)


def read(offsets: Mapping[str, int], whose: str) -> dict[str, Piece]:
    """By file of this process and of its incarnations that have ended on this machine: what it has
    after the offset; without an offset its last megabyte. A last line that has no end yet is left
    for the next time."""
    worker = ray._private.worker.global_worker
    sys.stdout.flush()
    own = [Path(path) for path in (worker.get_out_file_path(), worker.get_err_file_path()) if path]
    earlier = ended_files(own[0].parent, whose, but=own) if own else []
    return {
        str(path): read_file(path, offsets.get(str(path)), ended=path not in own)
        for path in earlier + own
    }


def ended_files(folder: Path, whose: str, *, but: Collection[Path]) -> list[Path]:
    """The files with the mark of a process in Ray's folder, the latest first, without its present
    ones; not all of them where they are many."""
    found: list[tuple[float, Path]] = []
    for file in folder.glob("worker-*"):
        with suppress(FileNotFoundError):  # Ray deletes old ones
            if file not in but and _is_of(file, whose):
                found.append((file.stat().st_mtime, file))
    return [file for _, file in sorted(found, reverse=True)[:_EARLIER_FILES]]


def _is_of(file: Path, whose: str) -> bool:
    with file.open("rb") as stream:
        return f"{_MARK}{whose}\n".encode() in stream.read(_MARK_WITHIN)


def read_file(file: Path, offset: int | None, *, ended: bool) -> Piece:
    """What a file has after an offset; of one that has ended the last line, too, if it is cut."""
    size = file.stat().st_size
    begin_at = max(size - READ_BYTES, 0) if offset is None else offset
    with file.open("rb") as stream:
        stream.seek(begin_at)
        said = stream.read(READ_BYTES)
    whole = said[: said.rfind(b"\n") + 1]
    if len(said) == READ_BYTES:
        whole = whole or said
    elif ended:
        whole = said
    return Piece(begin_at + len(whole), whole, ended)


def _head(level: str, name: str, who: str, source: str | None) -> str:
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    about = f" [{source}]" if source else ""
    return f"{time} {level} {name} {who}{about}: "
