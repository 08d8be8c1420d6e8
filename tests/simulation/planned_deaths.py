"""Workers of programs that die at a commit, or hang as they begin: the moments in which what takes
several steps is cut, which a fault that strikes at some time meets once in a thousand."""

from random import Random

from runtime.topology.names import worker_name
from store.projected import REBUILD
from tests.simulation.plan import Fault, Step
from tests.simulation.rebuilds import FIRST_REBUILD, PROJECTION
from thornback.simulation.draws import stream

#: The numbers of these faults begin here.
FIRST_NUMBER, FIRST_HANG = 1_000, 1_500
#: So many commits of a program, until its worker dies: mostly soon, or never.
_COMMITS = (1, 1, 2, 2, 3, 4, 5, 8, 13)


def plan_deaths(seed: int, strands: list[list[list[Step]]], faults: list[Fault]) -> None:
    """Add them to a plan, each counted from a moment after something is done with its program:
    drawn apart from all else."""
    draw = stream(seed, "deaths at commits")
    steps = [step for driver in strands for strand in driver for step in strand if _program(step)]
    if not steps or draw.random() < 0.4:
        return
    for _ in range(draw.choice((1, 1, 2, 3))):
        faults.append(_death(draw, FIRST_NUMBER + len(faults), draw.choice(steps)))
    faults.sort(key=lambda fault: fault.at_s)


def plan_hangs(seed: int, strands: list[list[list[Step]]], faults: list[Fault]) -> None:
    """Add to a plan that a worker which builds a table anew hangs as it begins, and goes on when
    that table may be in its place, and another one be built: drawn apart from all else."""
    draw = stream(seed, "hangs")
    rebuilds = [
        step.number for driver in strands for strand in driver for step in strand
        if step.kind == "rebuild"
    ]  # fmt: skip
    if {FIRST_REBUILD, FIRST_REBUILD + 1} <= set(rebuilds) and draw.random() < 0.6:
        fault = Fault(
            FIRST_HANG, 0.0, "hangs as it begins", worker_name(PROJECTION + REBUILD, 0),
            seconds=round(draw.uniform(2.0, 6.0), 3), amount=round(draw.uniform(0.01, 0.2), 3),
            with_step=FIRST_REBUILD,
        )  # fmt: skip
        faults.insert(0, fault)


def _program(step: Step) -> str:
    if step.kind == "begin sightings":
        return PROJECTION
    return str(step.more["program"]) if step.kind == "program" else ""


def _death(draw: Random, number: int, step: Step) -> Fault:
    at_s = round(draw.choice((0.0, draw.uniform(0.0, 0.3), draw.uniform(0.0, 2.0))), 4)
    return Fault(
        number, at_s, "dies at commit", worker_name(_program(step), 0),
        seconds=round(draw.choice((draw.uniform(0.01, 0.2), draw.uniform(0.2, 2.0))), 3),
        amount=draw.choice(_COMMITS), with_step=step.number,
    )  # fmt: skip
