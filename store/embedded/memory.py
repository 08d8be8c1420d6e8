"""How much memory PostgreSQL gets of a machine that it shares with the system and with its user.

A host loads an actor from as many pages of the table as the actor has events: whole fleets are in
each page. What is not in PostgreSQL's own buffers is copied out of those of the operating system,
which takes as long again as the rest of reading a row. So a longer log than fits costs
(docs/decisions/0108), and a fixed size would be too little for the one machine or too much for the
other.
"""

from collections.abc import Iterator
from pathlib import Path

import psutil

MIB = 1024 * 1024
#: Of the memory that there is. It is taken only as far as a log fills it; PostgreSQL's own advice,
#: a quarter, is for a server that has its machine to itself.
SHARE = 8
#: Whatever there is: the hot end of the log and its indexes.
LEAST_MIB = 256
#: More would be looked through at each checkpoint, and by whoever drops a table.
MOST_MIB = 4096


def shared_buffers(servers: int = 1) -> str:
    """PostgreSQL's setting of that name, for one of so many servers on this machine."""
    return buffers_of(memory_here() // servers)


def buffers_of(memory_bytes: int) -> str:
    """The same, for so much memory."""
    return f"{min(max(memory_bytes // SHARE // MIB, LEAST_MIB), MOST_MIB)}MB"


def memory_here(root: Path = Path("/")) -> int:
    """As many bytes as this process may use: those of the machine, or less where it is in a control
    group of Linux, a container say, that has a limit."""
    return min([psutil.virtual_memory().total, *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    for folder in _groups(root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                said = (folder / name).read_text().strip()
            except OSError:  # there is no such group to be seen from here, or it has no limit
                continue
            if said.isdigit():  # or it says "max"
                yield int(said)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups that this process is in, and of those around them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not on Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        group = top / path.lstrip("/")
        yield from (group, *(each for each in group.parents if each.is_relative_to(top)))
