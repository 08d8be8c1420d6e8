"""Timers in the simulation: what drivers have bells do, and what befalls whoever fires them."""

from random import Random

from runtime.topology.names import TIMEKEEPER_ACTOR, host_name
from tests.simulation.draws import stream
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step

_HOWS = ("ring", "ring", "ring", "ring", "refuse", "break", "spoil", "again")


def plan_timers(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan what is done with timers: drawn apart from all else."""
    draw = stream(seed, "timers")
    if draw.random() < 0.5:
        return
    setup.knobs.update(
        window=draw.choice((1, 2, 5, 50_000)),
        at_work=draw.choice((1, 3, 20_000)),
        timers=draw.choice((1, 2, 5_000)),
        look_ahead=draw.choice((200_000, 1_000_000, 10_000_000)),
    )
    # An actor that is stopped has its timers wait for it, which is a matter of its own.
    stops = setup.settings["actor_system"]["supervisor_strategy"] == "stop"
    hows = ("ring", "refuse", "again") if stops else _HOWS
    bells = [f"bell/{number}" for number in range(draw.choice((1, 1, 2, 4)))]
    for number in range(draw.choice((1, 2))):
        strand = _steps(draw, bells, hows, 400_000 + 1_000 * number)
        strands[number % len(strands)].append(strand)
    hosts = [host_name(number) for number in range(setup.hosts)]
    for _ in range(draw.choice((0, 1, 2, 4))):
        faults.append(_fault(draw, len(faults), draw.choice((TIMEKEEPER_ACTOR,) * 3 + (hosts[0],))))
    faults.sort(key=lambda fault: fault.at_s)


def _steps(draw: Random, bells: list[str], hows: tuple[str, ...], first: int) -> list[Step]:
    steps = []
    pace_s = draw.choice((0.02, 0.1, 0.5))
    longest_ms = draw.choice((50, 1_000, 12_000))
    keys = ("a", "b", "c")[: draw.choice((1, 1, 3))]
    for number in range(first, first + draw.choice((2, 6, 20))):
        pause_s = round(draw.expovariate(1 / pace_s), 4)
        bell, waits = draw.choice(bells), draw.random() < 0.5
        fields = {"token": number, "key": draw.choice(keys)}
        if draw.random() < 0.25:
            steps.append(Step(number, pause_s, "ask", bell, "Unwind", fields, waits))
            continue
        fields["after_ms"] = draw.randrange(longest_ms)
        fields["how"] = draw.choice(hows)
        if fields["how"] == "ring" and draw.random() < 0.4:
            fields["every_ms"] = draw.choice((30, 200, 1_000))
            fields["missed"] = draw.choice(("once", "all", "skip"))
            fields["limit"] = draw.choice((2, 3, 6))
        steps.append(Step(number, pause_s, "ask", bell, "Wind", fields, waits))
    return steps


def _fault(draw: Random, number: int, target: str) -> Fault:
    kind = draw.choice(
        ("crash", "crash", "crash", "replace", "stop", "epoch late", "break", "jump")
    )
    other = draw.choice(("writer", "bus", "host-0")) if kind == "break" else ""
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 6.0))), 3)
    amount = round(draw.uniform(0.01, 2.0), 3)
    if kind == "jump":
        seconds, amount = 0.0, draw.choice((-3600.0, -1.0, 0.5, 86_400.0))
    at_s = round(draw.uniform(0.6, ACTIVE_S), 4)
    return Fault(number, at_s, kind, target, other, seconds, amount)
