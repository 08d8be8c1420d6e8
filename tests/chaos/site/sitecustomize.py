"""The time of day of a machine, which jumps: imported by every Python of the suite before anything
else, because this folder stands on its PYTHONPATH.

A machine is a raylet with all that it has started, or a program that the environment names. Its
file in the folder of CHAOS_CLOCKS has eight bytes: by how many nanoseconds its clock is off. Who
writes there sets the clock of all of it at once, as somebody would who sets a machine's.

What tells the time below Python (the raylet, and datetime.now) is as it was; so are monotonic
clocks, which nobody can set.
"""

import mmap
import os
import time
from pathlib import Path

_FOLDER, _NAME = "CHAOS_CLOCKS", "CHAOS_MACHINE"


def _machine() -> str | None:
    parent = os.getppid()
    try:
        name = Path(f"/proc/{parent}/comm").read_text().strip()
    except OSError:  # it has ended: nobody is to be struck here
        name = ""
    return f"raylet-{parent}" if name == "raylet" else os.environ.get(_NAME)


def _follow(file: str) -> None:
    """Have Python's time of day be off by what the file says from now on."""
    number = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(number, 8)
    words = memoryview(mmap.mmap(number, 8)).cast("q")
    os.close(number)
    true_ns, true_of = time.time_ns, time.clock_gettime_ns

    def time_ns() -> int:
        return true_ns() + words[0]

    def clock_gettime_ns(clock: int, /) -> int:
        return true_of(clock) + (words[0] if clock == time.CLOCK_REALTIME else 0)

    time.time_ns, time.clock_gettime_ns = time_ns, clock_gettime_ns
    time.time = lambda: time_ns() / 1e9
    time.clock_gettime = lambda clock, /: clock_gettime_ns(clock) / 1e9


if (_folder := os.environ.get(_FOLDER)) and (_name := _machine()):
    _follow(f"{_folder}/{_name}")
