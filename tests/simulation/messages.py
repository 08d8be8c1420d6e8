"""Messages between actors in the simulation: what drivers have ledgers send one another, and what
befalls whoever delivers it."""

from random import Random

from runtime.topology.names import DELIVERER_ACTOR, host_name
from tests.simulation.draws import stream
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step

#: How a message is taken: mostly it is; `by turns` says that the actor's state decides.
_HOWS = ("take", "take", "take", "take", "refuse", "break", "idle", "by turns", "by turns")


def plan_messages(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan what ledgers send one another: drawn apart from all else."""
    draw = stream(seed, "messages")
    if draw.random() < 0.5:
        return
    setup.knobs.update(messages=draw.choice((1, 3, 20_000)))
    sources = [f"ledger/{number}" for number in range(draw.choice((1, 2, 4)))] + setup.sources
    for number in range(draw.choice((1, 1, 2))):
        strands[number % len(strands)].append(_steps(draw, sources, 300_000 + 1_000 * number))
    for _ in range(draw.choice((0, 0, 1, 2, 4))):
        faults.append(_fault(draw, len(faults), setup))
    faults.sort(key=lambda fault: fault.at_s)


def _steps(draw: Random, sources: list[str], first: int) -> list[Step]:
    steps = []
    kind = draw.choice(("ask", "tell"))
    pace_s = draw.choice((0.05, 0.3, 1.0))
    for number in range(first, first + draw.choice((1, 4, 12))):
        ways = [_way(draw, sources) for _ in range(draw.choice((1, 1, 2, 5)))]
        fields = {"token": number, "ways": ways}
        pause_s = round(draw.expovariate(1 / pace_s), 4)
        waits = draw.random() < 0.5
        steps.append(Step(number, pause_s, kind, draw.choice(sources), "Pass", fields, waits))
    return steps


def _way(draw: Random, sources: list[str]) -> list[str]:
    way: list[str] = []
    for _ in range(draw.choice((1, 1, 2, 4))):
        way += [draw.choice(sources), draw.choice(_HOWS)]
    return way


def _fault(draw: Random, number: int, setup: Setup) -> Fault:
    kind = draw.choice(("crash", "crash", "replace", "stop", "epoch late", "break"))
    other = ""
    if kind == "break":
        other = draw.choice(("writer", "bus", host_name(draw.randrange(setup.hosts))))
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 6.0))), 3)
    amount = round(draw.uniform(0.01, 2.0), 3)
    at_s = round(draw.uniform(0.6, ACTIVE_S), 4)
    return Fault(number, at_s, kind, DELIVERER_ACTOR, other, seconds, amount)
