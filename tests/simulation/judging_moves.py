"""Who decided: no event is of a host that did not have its actor's shard when it was committed. Nor
does a host keep actors that live elsewhere, or that have lived there since."""

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from runtime.host.shards import State
from runtime.topology.placement import node_that_decides, shard_of
from tests.simulation.log_index import LogIndex

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def judge_moves(log: LogIndex, simulation: "Simulation") -> list[str]:
    """By the table of shards that there was at each position. A launch that deals it out anew may
    do so before the last commit of the system before it has come."""
    if {"drain", "take over"} & {fault.kind for fault in simulation.plan.faults}:
        return []
    moves, dedicated = simulation.database.shard_moves, simulation.plan.setup.dedicated
    heads = [head for head, _ in moves]
    wrong = []
    for record in log.records:
        if log.is_output(record) or record.source.partition("/")[0] in dedicated:
            continue
        # The last table that was there when fewer events were.
        _, table = moves[bisect_left(heads, record.position) - 1]
        node = next(name for name in reversed(record.counts) if name.startswith("node-001."))
        if node != (owner := node_that_decides("node-001", table, {}, record.source)):
            wrong.append(
                f"event {record.position} of {record.source} was decided by {node}, which had given"
                f" it to {owner}, version {table.version}"
            )
    return wrong


def outdated(host: Any, simulation: "Simulation") -> list[str]:
    """What a host has in memory that is not as the log has it, while it has nothing to do: by that
    it would answer whoever asks next."""
    shards, executor, table = host._shards, host._executor, simulation.database.shards
    if len(simulation.database.shard_moves) < 2 or shards is None or table is None:
        return []
    busy = host._mailbox.unanswered or executor._finishing or executor._recovery.needed
    if busy or host._replaced or shards.some_leave or shards.state is not State.HAVING:
        return []
    claim = simulation.database.claim
    if claim is None or claim.holder != host.world.system(host.settings):
        return []  # another system has dealt its actors out, and this one ends
    simulation.records()
    wrong = []
    for source in host._residents.sources():
        resident = host._residents.get(source)
        owner, version = table.hosts[shard_of(source)], simulation.last_versions.get(source, 0)
        if owner != host.name:
            wrong.append(f"it has {source} in memory, which lives at {owner}")
        elif resident.version < version and not resident.broken:
            wrong.append(f"it has {source} as of version {resident.version}, of {version}")
    return wrong
