"""The log of a process: entries of one form, whoever says them, and how they are read again.

An entry begins with its time and its level: `2026-11-24T17:51:03.123Z ERROR thornback.host
[charger/c-17]: ...`. What follows until the next one (a traceback) belongs to it. What is printed
is an entry of level PRINT, so that prints of handlers stand among the rest, with the source of
the actor that has printed them.

Ray keeps what a process writes in files, on the machine where it runs; each process reads its own.
"""

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ray

#: Who an entry is about, if it is about one actor.
About = Callable[[], str | None]

#: So much of a log is told at once.
READ_BYTES = 1024 * 1024

_LONGEST_LINE = 64 * 1024  #: a print without an end is cut there


class _Entries(logging.Formatter):
    """Log records as entries."""

    def __init__(self, about: About) -> None:
        super().__init__()
        self._about = about

    def format(self, record: logging.LogRecord) -> str:
        return _head(record.levelname, record.name, self._about()) + super().format(record)


class _Prints:
    """Standard output, a line an entry; whatever else a stream has is that of the real one."""

    def __init__(self, stream: Any, about: About) -> None:
        self._stream, self._about = stream, about
        self._lock = threading.Lock()  # guards what follows
        self._begun = ""

    def write(self, text: str) -> int:
        """Write what makes whole lines, and keep the rest."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            if len(self._begun) > _LONGEST_LINE:
                lines, self._begun = [*lines, self._begun], ""
            for line in lines:
                self._stream.write(f"{_head('PRINT', 'stdout', self._about())}{line}\n")
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def begin(about: About) -> None:
    """From now on whatever this process says is an entry."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Entries(about))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.stdout = _Prints(sys.stdout, about)


def read(offsets: Mapping[str, int]) -> dict[str, tuple[int, bytes]]:
    """By file of this process: where it ends now, and what it has after the offset; without an
    offset its last megabyte. A last line that has no end yet is left for the next time."""
    worker = ray._private.worker.global_worker
    sys.stdout.flush()
    return {
        path: _read(Path(path), offsets.get(path))
        for path in (worker.get_out_file_path(), worker.get_err_file_path())
        if path
    }


def _read(file: Path, offset: int | None) -> tuple[int, bytes]:
    size = file.stat().st_size
    begin_at = max(size - READ_BYTES, 0) if offset is None else offset
    with file.open("rb") as stream:
        stream.seek(begin_at)
        said = stream.read(READ_BYTES)
    whole = said[: said.rfind(b"\n") + 1] or (said if len(said) == READ_BYTES else b"")
    return begin_at + len(whole), whole


def _head(level: str, name: str, source: str | None) -> str:
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    about = f" [{source}]" if source else ""
    return f"{time} {level} {name}{about}: "
