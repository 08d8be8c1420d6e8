"""The names of a system's processes: what kind each is, and when it is drained.

Every process is a Ray actor whose name says all there is to know of its place. Other
actors may live in the namespace, too: a name that is none of ours has no kind.
"""

import re
from enum import StrEnum

DIRECTORY_ACTOR = "directory"
WRITER_ACTOR = "writer"
BUS_ACTOR = "bus"

_POOLED = re.compile(r"host-\d+")


class ProcessKind(StrEnum):
    """What a process does."""

    DIRECTORY = "directory"
    POOLED_HOST = "pooled-host"
    DEDICATED_HOST = "dedicated-host"
    WRITER = "writer"
    BUS = "bus"

    @property
    def runs_actors(self) -> bool:
        """Is it a host?"""
        return self in (ProcessKind.POOLED_HOST, ProcessKind.DEDICATED_HOST)


#: Who is drained when: hosts answer what they hold and need the writer for it, which
#: hands its commits to the bus.
_DRAINED = (
    ProcessKind.POOLED_HOST,
    ProcessKind.DEDICATED_HOST,
    ProcessKind.WRITER,
    ProcessKind.BUS,
    ProcessKind.DIRECTORY,
)


def host_name(number: int) -> str:
    """The name of a pooled host."""
    return f"host-{number}"


def kind_of(name: str) -> ProcessKind | None:
    """What the process of that name is; None for an actor that is none of the system's."""
    match name:
        case "directory":
            return ProcessKind.DIRECTORY
        case "writer":
            return ProcessKind.WRITER
        case "bus":
            return ProcessKind.BUS
    if _POOLED.fullmatch(name):
        return ProcessKind.POOLED_HOST
    # A dedicated host has its actor's source for a name.
    actor_type, slash, device = name.partition("/")
    return ProcessKind.DEDICATED_HOST if actor_type and slash and device else None


def in_drain_order(names: list[str]) -> list[str]:
    """The system's processes among these names, in the order in which they are drained."""
    ranks = {kind: rank for rank, kind in enumerate(_DRAINED)}
    ours = [(ranks[kind], name) for name in names if (kind := kind_of(name)) is not None]
    return [name for _, name in sorted(ours)]
