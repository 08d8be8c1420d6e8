"""Processes that end again and again in the simulation, until they are stopped at their limit or
rest: what is planned of it, and how they end."""

from typing import TYPE_CHECKING

from runtime.topology.names import host_name
from tests.simulation.plan import Fault, Setup, Step
from tests.simulation.planned_faults import FIRST_FAULT_S
from tests.simulation.waking import FIRST as FIRST_WAKING
from thornback.simulation.draws import stream
from thornback.simulation.processes import SimulatedProcess

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: The numbers of its faults begin here.
FIRST_NUMBER = 6_000
#: Of plans, so many have processes that end too often.
CHANCE = 0.2
#: Of those, so many have nothing else that goes wrong.
ALONE = 0.5
#: Who ends again and again goes on to for so many seconds at most.
LASTS_S = 12.0
#: What may not be beside it: whoever drains does not count ends, and a system that is taken over
#: has others.
_NOT_BESIDE = {"drain", "take over"}


def plan_ending(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan who ends too often, by limits that a simulation meets: drawn apart from all
    else. Not beside timers that nothing is to delay."""
    draw = stream(seed, "ending")
    steps = [step for driver in strands for strand in driver for step in strand]
    delays = any(FIRST_WAKING <= step.number < FIRST_WAKING + 1_000 for step in steps)
    if draw.random() >= CHANCE or delays or _NOT_BESIDE & {fault.kind for fault in faults}:
        return
    if draw.random() < ALONE:
        faults.clear()
    restarts = draw.choice((1, 2, 3))
    setup.settings["actor_system"] |= {
        "process_restarts": restarts,
        "process_period_ms": draw.choice((10_000, 30_000)),
        "process_backoff_ms": draw.choice((0, 50)),
        "process_max_backoff_ms": draw.choice((500, 2_000)),
    }
    hosts = [host_name(number) for number in range(setup.hosts)]
    for number in range(draw.choice((1, 1, 2))):
        at_s = round(draw.uniform(FIRST_FAULT_S, 3.0), 4)
        target = draw.choice((*hosts, *hosts, *hosts, "writer", "bus"))
        times = restarts + draw.choice((1, 2, 6))
        kind = "ends too often"
        faults.append(Fault(FIRST_NUMBER + number, at_s, kind, target, "", LASTS_S, times))
    faults.sort(key=lambda fault: fault.at_s)


def end_too_often(simulation: "Simulation", fault: Fault) -> None:
    """A process ends, and each time that it has been started anew: so often, or until nobody starts
    it any more."""
    draw = stream(simulation.loop.seed, "fault", fault.number)
    process: SimulatedProcess = simulation.cluster.processes[fault.target]
    left, until_s = int(fault.amount), simulation.loop.time() + fault.seconds

    def strikes() -> None:
        nonlocal left
        if process.ended or not left or simulation.loop.time() > until_s:
            return
        if process.incarnation is not None:
            left -= 1
            process.crash(down_s=draw.uniform(0.01, 0.2))
        # By then it has asked whether it may begin, mostly.
        simulation.loop.world.later(draw.uniform(0.3, 0.9), strikes)

    strikes()
