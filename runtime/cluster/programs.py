"""Which programs are connected to the Ray that this process has joined."""

import os
from collections.abc import Iterable

from ray._private import state

#: So much is shown of how a program was started.
_SHOWN = 60


def connected_programs(*, but: Iterable[int] = ()) -> list[str]:
    """The programs that are connected by now besides this one and those of the pids in `but`:
    the pid of each, and how it was started. Asks Ray for its table of jobs and takes a few
    milliseconds. A program that was killed may stand there until Ray has noticed."""
    others = {os.getpid(), *but}
    return [
        f"{job['DriverPid']} ({_shown(job['Entrypoint'])})"
        for job in state.jobs()
        if not job["IsDead"] and job["DriverPid"] not in others
    ]


def _shown(entrypoint: str) -> str:
    """How a program was started, without the folders in which Python and it are."""
    program, *others = entrypoint.split(" ")
    if others:
        others[0] = others[0].rpartition("/")[2]
    return " ".join([program.rpartition("/")[2], *others])[:_SHOWN]
