"""Draws the plan of a seed."""

from random import Random
from typing import Any

from tests.simulation.blocking import plan_blocking
from tests.simulation.broadcasts import plan_broadcasts
from tests.simulation.companies import plan_companies
from tests.simulation.dropping import plan_dropped_readings, plan_drops
from tests.simulation.ending import plan_ending
from tests.simulation.erasing import plan_erasing
from tests.simulation.failing_programs import plan_failing
from tests.simulation.finds import plan_finds
from tests.simulation.followers import followers_of
from tests.simulation.group_members import members_of
from tests.simulation.heat import plan_heat
from tests.simulation.lives import plan_lives
from tests.simulation.messages import plan_messages
from tests.simulation.moves import plan_moves
from tests.simulation.plan import ACTIVE_S, Plan, Setup, Step
from tests.simulation.planned_deaths import plan_deaths, plan_hangs
from tests.simulation.planned_faults import FIRST_FAULT_S, faults_of
from tests.simulation.planned_work import Work
from tests.simulation.programs import plan_programs
from tests.simulation.rebuilds import plan_rebuilds
from tests.simulation.refusing import plan_refused
from tests.simulation.rests import plan_rests
from tests.simulation.timers import plan_timers
from tests.simulation.waking import plan_waking
from thornback.simulation.draws import stream

#: Seconds after the last step in which it is answered, where nothing goes wrong.
ANSWERED_S = 0.3

#: Actor types whose actors have hosts of their own; of each plan one of these.
_DEDICATED: tuple[tuple[str, ...], ...] = (
    (), (), (), ("vault",), ("vault",), ("shipped",), ("vault", "shipped"),
)  # fmt: skip


def plan_of(seed: int) -> Plan:
    """The plan of a seed."""
    setup = _setup(stream(seed, "setup"))
    strands = Work(seed, setup).strands()
    faults = faults_of(stream(seed, "faults"), setup, _busy_s(strands))
    for driver, followed in zip(strands, followers_of(seed, setup), strict=True):
        driver.append(followed)
    plan_programs(seed, setup, strands, faults)
    plan_messages(seed, setup, strands, faults)
    plan_failing(seed, setup, strands, faults)
    plan_companies(seed, setup, strands, faults)
    plan_refused(seed, setup, strands, faults)
    plan_rebuilds(seed, setup, strands, faults)
    plan_broadcasts(seed, setup, strands, faults)
    plan_finds(seed, setup, strands, faults)
    plan_timers(seed, setup, strands, faults)
    plan_drops(seed, setup, strands, faults)
    plan_deaths(seed, strands, faults)
    plan_hangs(seed, strands, faults)
    plan_moves(seed, setup, strands, faults)
    plan_lives(seed, setup, strands)
    members = members_of(seed, setup, faults)
    plan_waking(seed, setup, strands, faults)
    plan_blocking(seed, setup, strands, faults)
    plan_ending(seed, setup, strands, faults)
    plan_heat(seed, setup, faults)
    plan_dropped_readings(seed, setup, strands, members)
    plan_erasing(seed, setup, strands, faults)
    plan_rests(seed, setup, faults, _busy_s(strands))
    setup.knobs["together"] = stream(seed, "loads").choice((1, 2, 500))
    if any(fault.other == "busy" for fault in faults):
        _make_room(setup)
    return Plan(seed, setup, strands, faults, members)


def _busy_s(strands: list[list[list[Step]]]) -> float:
    """Until about when there is work: to the last step, and while that is answered."""
    lasts_s = max(sum(step.pause_s for step in each) for driver in strands for each in driver)
    return min(FIRST_FAULT_S + lasts_s + ANSWERED_S, ACTIVE_S)


def _make_room(setup: Setup) -> None:
    """Hosts that can take a steady load: no batch is turned away, no actor evicted."""
    setup.settings["actor_system"] |= {"max_actors": 100, "mailbox_size": 1000}


def _setup(draw: Random) -> Setup:
    hosts, drivers = draw.choice((1, 2, 2, 3)), draw.choice((2, 2, 3, 4))
    spread = draw.random() < 0.3
    names = [f"host-{n}" for n in range(hosts)] + [f"driver-{n}" for n in range(drivers)]
    machines = {
        name: draw.choice(("a", "b")) if spread else "a" for name in (*names, "writer", "bus")
    }
    settings: dict[str, dict[str, Any]] = {
        "event_bus": {"buffer_size": draw.choice((1, 5, 20, 100, 1000))},
        "event_store": {
            "type": "postgres",
            "connection_string": "postgresql://simulated",
            "connection_pool_size": draw.choice((1, 2, 5, 20)),
            "batch_size": draw.choice((1, 4, 20, 1000)),
            "snapshot_frequency": draw.choice((2, 3, 5, 10, 1000)),
        },
        "actor_system": {
            "hosts": hosts,
            "max_actors": draw.choice((1, 2, 4, 100)),
            "actor_timeout_ms": draw.choice((1000, 2000, 5000)),
            "supervisor_strategy": draw.choice(("restart", "restart", "resume", "stop")),
            "mailbox_size": draw.choice((2, 5, 10, 50, 1000)),
            "actor_modules": ("tests.simulation.devices",),
            # Faults strike more often than any policy for real machines allows.
            "process_restarts": 1_000_000,
            "process_backoff_ms": 0,
        },
    }
    knobs = {
        "batch": draw.choice((2, 3, 5, 10, 2000)),
        "recent": draw.choice((3, 10, 40, 20_000)),
        "page": draw.choice((1, 3, 10, 1000)),
        # Not one row a piece: a load of a hundred would take longer than an ask may.
        "page_bytes": draw.choice((2_000, 5_000, 1_000_000)),
        "ahead": draw.choice((1, 1, 3)),
        "poll_bytes": draw.choice((1, 500, 2_000_000)),
        "unpublished": draw.choice((1, 1, 3, 64)),
        "fewest": draw.choice((1, 2, 32)),
        "unpublished_bytes": draw.choice((500, 3_000, 1_000_000)),
        "snapshot_bytes": draw.choice((500, 1_000_000)),
        "snapshot_write": draw.choice((1, 1_000_000)),
        "commit_bytes": draw.choice((500, 3_000, 1_000_000)),
        "attempt_bytes": draw.choice((500, 3_000, 1_000_000)),
    }
    dedicated = draw.choice(_DEDICATED)
    settings["actor_system"]["placement"] = dict.fromkeys(dedicated, "dedicated")
    vaults = draw.choice((1, 2, 3)) if "vault" in dedicated else 0
    machines |= {f"vault/{n}": draw.choice(("a", "b")) if spread else "a" for n in range(vaults)}
    return Setup(hosts, drivers, machines, settings, knobs, dedicated, vaults)
