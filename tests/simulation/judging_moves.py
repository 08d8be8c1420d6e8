"""Who decided: no event is of a host that did not have its actor's shard when it was committed."""

from bisect import bisect_left
from typing import TYPE_CHECKING

from runtime.topology.placement import shard_of
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
        if node != (owner := f"node-001.{table.hosts[shard_of(record.source)]}"):
            wrong.append(
                f"event {record.position} of {record.source} was decided by {node}, which had given"
                f" it to {owner}, version {table.version}"
            )
    return wrong
