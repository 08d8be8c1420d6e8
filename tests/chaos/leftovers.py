"""What a run may leave behind on a machine: processes, shared memory, files.

Whatever it starts inherits a mark in its environment, so it is known however far from home.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

#: The environment variable.
MARK = "CHAOS_RUN"

_SHARED = Path("/dev/shm")


class Watch:
    """Knows what a run has made, while it is there to be seen."""

    def __init__(self, mark: str, folder: Path) -> None:
        self._mark, self._folder = mark, folder
        self._segments: set[Path] = set()
        self._pids: set[int] = set()
        self._strangers = {number for number, _ in _system_v()}

    def look(self) -> None:
        """Remember the shared memory of everybody who is there now."""
        for process in self._ours():
            self._pids.add(process.pid)
            self._segments |= _segments_of(process)

    def left(self) -> list[str]:
        """What is there still, once all has ended."""
        found = [
            f"process {process.pid}: {' '.join(_command(process))[:200]}"
            for process in self._ours()
        ]
        found += [f"shared memory {segment}" for segment in self._segments if segment.exists()]
        found += [
            f"shared memory {number} (System V)"
            for number, maker in _system_v()
            if maker in self._pids and number not in self._strangers
        ]
        found += [
            f"file {path}" for path in self._folder.iterdir() if path.name not in self._kept()
        ]
        return found

    def _kept(self) -> set[str]:
        """What is deleted with the folder: Ray keeps its logs, and the suite its records and
        its clocks."""
        return {path.name for path in self._folder.glob("thornback-ray-*")} | {"records", "clocks"}

    def _ours(self) -> list[psutil.Process]:
        """By their environment, or by the run's folder, which PostgreSQL's server has in its
        command, where it hides its environment; with all that they have started."""
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it has ended, or is somebody else's
                folder = str(self._folder)
                if process.environ().get(MARK) == self._mark or folder in " ".join(
                    process.cmdline()
                ):
                    each = [process, *process.children(recursive=True)]
                    found |= {one.pid: one for one in each}
        found.pop(os.getpid(), None)
        return list(found.values())


def _system_v() -> Iterator[tuple[str, int]]:
    """System V's segments on this machine, and who made each: a number that may since have
    become that of another process, so what was there before the run is not the run's."""
    table = Path("/proc/sysvipc/shm")
    head, *rows = table.read_text().splitlines() if table.exists() else [""]
    names = head.split()
    for row in rows:
        segment = dict(zip(names, row.split(), strict=False))
        yield segment["shmid"], int(segment["cpid"])


def _segments_of(process: psutil.Process) -> set[Path]:
    try:
        lines = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
    except OSError:
        return set()  # it has ended
    mapped = {Path(fields[5]) for line in lines if len(fields := line.split(maxsplit=5)) == 6}
    return {path for path in mapped if path.parent == _SHARED}


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return ["(it is just ending)"]
