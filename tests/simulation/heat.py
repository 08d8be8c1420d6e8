"""Shards that are promoted because they are hot, and demoted when they have cooled down: what is
planned of it, and what has become of it when all is quiet."""

from typing import TYPE_CHECKING

from runtime.topology.names import promoted_shard
from tests.simulation.plan import Fault, Setup
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: Of plans, so many promote by themselves.
CHANCE = 0.15


def plan_heat(seed: int, setup: Setup, faults: list[Fault]) -> None:
    """Have a plan promote what is sent a few commands a second, and look so often that this comes
    to pass: drawn apart from all else. Not where whoever does something with hosts is to be the
    only one."""
    draw = stream(seed, "heat")
    besides = {fault.kind for fault in faults} & {"drain", "take over", "scale", "move", "promote"}
    if draw.random() >= CHANCE or besides:
        return
    setup.settings["actor_system"]["promote_at"] = draw.choice((1, 2, 5))
    setup.knobs["heat_look"] = setup.knobs["heat_window"] = draw.choice((1, 2))


def judge_heat(simulation: "Simulation") -> list[str]:
    """Nobody has been sent anything for long: what was promoted by itself is so no more."""
    if not simulation.settings.actor_system.promote_at:
        return []
    table = simulation.database.shards
    hosts = set() if table is None else set(table.hosts)
    there = {name for name in simulation.cluster.processes if promoted_shard(name) is not None}
    promoted = {name for name in hosts if promoted_shard(name) is not None}
    return [f"{name} has cooled down, and is promoted" for name in sorted(promoted)] + [
        f"{name} has no shard, and is there" for name in sorted(there - promoted)
    ]
