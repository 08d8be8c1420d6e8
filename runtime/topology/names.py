"""The names of a system's processes: what kind each is, and when it is drained.

Every process is a Ray actor whose name says all there is to know of its place. Other
actors may live in the namespace, too: a name that is none of ours has no kind.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

DIRECTORY_ACTOR = "directory"
WRITER_ACTOR = "writer"
BUS_ACTOR = "bus"
DELIVERER_ACTOR = "deliverer"
TIMEKEEPER_ACTOR = "timekeeper"

#: What all workers of stream programs are called in vector clocks.
WORKERS_NODE = "workers"

#: What all promoted hosts are called in vector clocks.
PROMOTED_NODE = "promoted"

#: Pooled hosts that a system may come to have while it runs: each may be a node of every clock.
MOST_HOSTS = 64

#: Promoted hosts that a system may have at a time: each is a process.
MOST_PROMOTED = 64

#: So many letters of a machine's id tell it from the others of a system.
MACHINE_LETTERS = 12


class ProcessKind(StrEnum):
    """What a process does."""

    DIRECTORY = "directory"
    POOLED_HOST = "pooled-host"
    PROMOTED_HOST = "promoted-host"
    DEDICATED_HOST = "dedicated-host"
    WRITER = "writer"
    BUS = "bus"
    GATEWAY = "gateway"
    EXPORTER = "exporter"
    WORKER = "worker"
    DELIVERER = "deliverer"
    TIMEKEEPER = "timekeeper"


#: Those of which there is one.
_SINGLE = {
    DIRECTORY_ACTOR: ProcessKind.DIRECTORY,
    WRITER_ACTOR: ProcessKind.WRITER,
    BUS_ACTOR: ProcessKind.BUS,
    DELIVERER_ACTOR: ProcessKind.DELIVERER,
    TIMEKEEPER_ACTOR: ProcessKind.TIMEKEEPER,
}
#: Those of which there are several.
_NUMBERED = {
    re.compile(r"host-\d+"): ProcessKind.POOLED_HOST,
    re.compile(r"promoted-\d+"): ProcessKind.PROMOTED_HOST,
    re.compile(r"gateway-(0|[0-9a-f]{12})"): ProcessKind.GATEWAY,
    re.compile(r"exporter-[0-9a-f]{12}"): ProcessKind.EXPORTER,
    re.compile(r"worker-\d+-of-[a-z].*"): ProcessKind.WORKER,
}

#: Hosts that may have shards.
SHARDED_HOSTS = (ProcessKind.POOLED_HOST, ProcessKind.PROMOTED_HOST)

#: Those that run actors; all others are the core.
HOSTS = (*SHARDED_HOSTS, ProcessKind.DEDICATED_HOST)

#: Clients of the rest: of their kinds there may be one a machine.
SERVICES = (ProcessKind.GATEWAY, ProcessKind.EXPORTER)

#: Who is drained when: gateways take no more requests and need everybody for those under way;
#: workers of stream programs take no more events and need the writer, for what they come to;
#: whoever delivers messages or fires timers sends no more, and needs the hosts for those under way;
#: hosts answer what they hold and need the writer for it, which hands its commits to the bus.
#: Those of one stage do not need one another.
_DRAIN_STAGES: tuple[tuple[ProcessKind, ...], ...] = (
    (ProcessKind.GATEWAY,),
    (ProcessKind.WORKER,),
    (ProcessKind.DELIVERER, ProcessKind.TIMEKEEPER),
    HOSTS,
    (ProcessKind.WRITER,),
    (ProcessKind.BUS,),
    (ProcessKind.EXPORTER,),
    (ProcessKind.DIRECTORY,),
)


def host_name(number: int) -> str:
    """The name of a pooled host."""
    return f"host-{number}"


def promoted_name(shard: int) -> str:
    """The name of the host that a shard has for itself while it is promoted."""
    return f"promoted-{shard}"


def worker_name(program: str, index: int) -> str:
    """The name of one of the workers of a stream program."""
    return f"worker-{index}-of-{program}"


def program_of_worker(name: str) -> str:
    """The program of a worker of that name."""
    return name.partition("-of-")[2]


def gateway_name(machine: str = "") -> str:
    """The name of the gateway of a machine, by Ray's id of it; or of the only one that there is,
    wherever it runs."""
    return f"gateway-{machine[:MACHINE_LETTERS] or 0}"


def exporter_name(machine: str) -> str:
    """The name of the exporter of a machine, by Ray's id of it."""
    return f"exporter-{machine[:MACHINE_LETTERS]}"


def number_of_host(name: str) -> int | None:
    """Which of the pooled hosts that is; None if it is none."""
    found = re.fullmatch(r"host-(0|[1-9]\d*)", name)
    return int(found[1]) if found else None


def promoted_shard(name: str) -> int | None:
    """The shard for which there is that host; None where it is no promoted one."""
    found = re.fullmatch(r"promoted-(0|[1-9]\d*)", name)
    return int(found[1]) if found else None


def may_have_shards(name: str) -> bool:
    """Is it the name of a pooled host, or of a promoted one?"""
    return number_of_host(name) is not None or promoted_shard(name) is not None


def possible_nodes(
    node_ids: Iterable[str], hosts: int, placement: Mapping[str, str]
) -> frozenset[str]:
    """The names that hosts and workers may ever have in vector clocks, however many hosts are
    added, in all partitions, of which each has one of the node ids: who keeps a clock for others
    takes no note of any other name."""
    most = max(hosts, MOST_HOSTS)
    return frozenset().union(*(clock_nodes(each, most, placement) for each in node_ids))


def clock_nodes(node_id: str, hosts: int, placement: Mapping[str, str]) -> frozenset[str]:
    """The names that hosts and workers of a system have in vector clocks: a pooled host its own,
    the dedicated ones of an actor type that of the type, all promoted ones one, and all workers
    one."""
    pooled = [host_name(number) for number in range(hosts)]
    types = [actor_type for actor_type, placed in placement.items() if placed == "dedicated"]
    return frozenset(f"{node_id}.{name}" for name in (*pooled, *types, PROMOTED_NODE, WORKERS_NODE))


def kind_of(name: str, placement: Mapping[str, str]) -> ProcessKind | None:
    """What the process of that name is; None for an actor that is none of the system's.

    `placement` says which actor types have hosts of their own: a dedicated host has its
    actor's source for a name, and an actor of somebody else may have a slash in its name.
    """
    if name in _SINGLE:
        return _SINGLE[name]
    for pattern, kind in _NUMBERED.items():
        if pattern.fullmatch(name):
            return kind
    actor_type, slash, device = name.partition("/")
    dedicated = slash and device and placement.get(actor_type) == "dedicated"
    return ProcessKind.DEDICATED_HOST if dedicated else None


def processes_among(names: Iterable[str], placement: Mapping[str, str]) -> dict[str, ProcessKind]:
    """The system's processes among these names, each with its kind, in order of name."""
    kinds = ((name, kind_of(name, placement)) for name in sorted(names))
    return {name: kind for name, kind in kinds if kind is not None}


def drain_stages(processes: Mapping[str, ProcessKind]) -> list[list[str]]:
    """Names by the stage in which their processes are drained, first things first.

    A stage begins when the one before it has settled. Stages without a process are left out.
    """
    stages = (
        [name for name, kind in processes.items() if kind in kinds] for kinds in _DRAIN_STAGES
    )
    return [stage for stage in stages if stage]
