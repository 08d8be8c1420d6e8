"""Which partition of a system an actor belongs to, and what each of them is called.

A system of several partitions is several systems under one face (docs/decisions/0100): each has
its own processes and its own log. Nobody asks anybody where an actor is: its source says so.
"""

import re
from zlib import crc32

from actors.messages import RETURNS_SOURCE
from actors.naming import actor_type_of

#: How many partitions a system may have: whatever is dealt out in 16 slots is dealt out in each.
COUNTS = (1, 2, 4, 8, 16)

_OF_PARTITION = re.compile(r"(.+)\.partition-(0|[1-9]\d?)")


#: What the sources of events begin with that each partition has of its own processes.
PROCESS = "process"


def is_of_each(source: str) -> bool:
    """Is it a source that each partition has by itself, so that it says nothing of which one?"""
    return source == RETURNS_SOURCE or actor_type_of(source) == PROCESS


def source_of_process(name: str, partition: int) -> str:
    """The source of what happens to one of the processes of a partition."""
    return f"{PROCESS}/{name}" + (f".partition-{partition}" if partition else "")


def home_of(source: str) -> str:
    """Beside whom something of that source lives: what a stream program makes of `meter/5` has
    the source `alerts/meter/5`, and stays with `meter/5`. Others live by themselves."""
    head, slash, name = source.rpartition("/")
    _, outer, inner = head.rpartition("/")
    return f"{inner}{slash}{name}" if outer else source


def partition_of(source: str, partitions: int) -> int:
    """The partition of an actor, or of whatever else has a source: fixed for ever for a number of
    partitions, and the same in every process. It has nothing to do with the shard, so that the
    actors of each partition are of all shards."""
    if partitions == 1:
        return 0
    return (crc32(home_of(source).encode()) >> 28) % partitions  # shards are of the lower bits


def namespace_of(namespace: str, partition: int) -> str:
    """The namespace in which the processes of a partition are, of a system with that one."""
    return f"{namespace}.partition-{partition}" if partition else namespace


def process_of_partition(name: str, partition: int) -> str:
    """What a process is called where those of all partitions stand together: those of the first
    one as in a system of one."""
    return f"{name} of partition {partition}" if partition else name


def named_partition(namespace: str) -> tuple[str, int] | None:
    """The namespace of the system, and the partition, that somebody has named so; None where it
    names no single one. The first one, which has the namespace of the system itself, is named with
    its number, too."""
    found = _OF_PARTITION.fullmatch(namespace)
    return (found[1], int(found[2])) if found else None


def node_id_of(node_id: str, partition: int) -> str:
    """The first part of the names of its nodes in vector clocks, of a system with that one."""
    return f"{node_id}-p{partition}" if partition else node_id


def node_ids(node_id: str, partition: int, partitions: int) -> list[str]:
    """Those of all partitions, by that of one of them."""
    own = node_id.removesuffix(f"-p{partition}") if partition else node_id
    return [node_id_of(own, each) for each in range(partitions)]
