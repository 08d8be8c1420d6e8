"""Processes that ended too often: whoever was stopped was so for a reason, the log and the status
tell it, and in the end every shard has a host that lives."""

from collections import Counter
from typing import TYPE_CHECKING

from runtime.topology.names import DIRECTORY_ACTOR
from tests.simulation.log_index import LogIndex
from thornback.simulation.plain_rows import Record

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: Where processes tell what became of them.
PROCESS = "process/"


def judge_ending(log: LogIndex, simulation: "Simulation") -> list[str]:
    """What holds when all is quiet."""
    wrong = []
    told = [record for record in log.records if record.source.startswith(PROCESS)]
    for record in told:
        wrong += _judge_told(record, simulation)
    return [*wrong, *_judge_stopped(told, simulation), *judge_owners(simulation)]


def judge_owners(simulation: "Simulation") -> list[str]:
    """Every shard has a host that there is."""
    table, there = simulation.database.shards, simulation.cluster.processes
    if table is None:
        return []
    return [
        f"{count} shards have {host}, which is not there"
        for host, count in sorted(Counter(table.hosts).items())
        if host not in there
    ]


def _judge_told(record: Record, simulation: "Simulation") -> list[str]:
    """Whoever was stopped had ended so often, and whoever was started had been stopped."""
    host = record.source.removeprefix(PROCESS)
    name = f"event {record.position}, {record.event_type} of {record.source},"
    if record.event_type == "host-started":
        return []  # the log may not have been told of the stop (docs/decisions/0095)
    if record.event_type != "host-stopped":
        return [f"{name} is none that a process has"]
    if record.payload["host"] != host:
        return [f"{name} is of {record.payload['host']}"]
    ends = sum(len(each.lives) for each in simulation.cluster.ever if each.name == host)
    most = simulation.settings.actor_system.process_restarts
    if ends <= most:
        return [f"{name} is told of a host that has begun {ends} times, and may {most + 1} times"]
    return []


def _judge_stopped(told: list[Record], simulation: "Simulation") -> list[str]:
    """By the present directory: the status, the log and the table of shards say the same."""
    process = simulation.cluster.processes.get(DIRECTORY_ACTOR)
    life = None if process is None else process.incarnation
    table = simulation.database.shards
    if life is None or table is None:
        return []
    directory = life.instance
    stopped = directory._stopping.stopped
    last = {record.source.removeprefix(PROCESS): record.event_type for record in told}
    wrong = [
        f"the status says that {host} is stopped, and the log has {last.get(host)}"
        for host in stopped
        if last.get(host) != "host-stopped"
    ]
    wrong += [
        f"{host} is stopped, and {what}"
        for host in stopped
        for what, holds in (
            ("has shards", host in table.hosts),
            ("is there", host in simulation.cluster.processes),
        )
        if holds
    ]
    if process is not None and len(process.lives) == 1:
        wrong += _judge_whole(directory, last, simulation)
    return wrong


def _judge_whole(directory: "object", last: dict[str, str], simulation: "Simulation") -> list[str]:
    """Where one directory has seen all of it: whoever is stopped by the log is so by the status,
    and whoever has ended alone, and so often that it is beyond all doubt, is stopped."""
    stopped = directory._stopping.stopped  # type: ignore[attr-defined]
    wrong = [
        f"{host} is stopped by the log, and not by the status"
        for host, event_type in last.items()
        if event_type == "host-stopped" and host not in stopped
    ]
    faults = simulation.plan.faults
    if len(faults) == 1 and faults[0].kind == "ends too often":
        [fault] = faults
        others = {one for one in simulation.topology.hosts if one != fault.target}
        beyond = fault.amount > simulation.settings.actor_system.process_restarts + 5
        pooled = fault.target in simulation.topology.hosts
        if pooled and others and beyond and last.get(fault.target) != "host-stopped":
            wrong.append(f"{fault.target} has ended {int(fault.amount)} times, and goes on")
    return wrong
