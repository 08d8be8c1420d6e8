"""Timers that wait for their actor in the simulation: it is stopped, and started meanwhile."""

from dataclasses import replace
from random import Random

from tests.simulation.plan import Fault, Setup, Step
from thornback.simulation.draws import stream

#: The first number of those steps and bells.
FIRST = 450_000
#: What may go wrong meanwhile: shards move, which delays nobody for long.
MOVES = frozenset({"move", "scale", "promote"})


def plan_waking(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Bells are stopped before they ring, and started behind some tries that have come to nothing.
    Nothing that delays a timer by itself goes wrong: whatever else was drawn, only moves stay."""
    draw = stream(seed, "waking of timers")
    if draw.random() < 0.85:
        return
    faults[:] = [fault for fault in faults if fault.kind in MOVES]
    setup.knobs["batch"] = max(setup.knobs["batch"], 10)
    for number in range(draw.choice((2, 4, 8))):
        strands[0].append(_steps(draw, FIRST + 10 * number, f"bell/{FIRST + number}"))


def _steps(draw: Random, first: int, bell: str) -> list[Step]:
    fields = {"token": first, "key": "a", "after_ms": draw.randrange(500, 1_500), "how": "ring"}
    wind = Step(first, draw.uniform(0.0, 1.0), "ask", bell, "Wind", fields)
    stop = Step(first + 1, 0.0, "life", bell, "Stop")
    start = Step(first + 2, draw.uniform(6.0, 8.0), "life", bell, "Start")
    return [replace(each, pause_s=round(each.pause_s, 4)) for each in (wind, stop, start)]
