"""Timers in the simulation: what drivers have bells do, and what befalls whoever fires them."""

from dataclasses import replace
from random import Random

from runtime.topology.names import TIMEKEEPER_ACTOR, host_name
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from thornback.simulation.draws import stream

#: The first number of those steps and bells whose timers wait for one host alone.
AWAY_FIRST = 440_000

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
    _plan_clocks(stream(seed, "clocks of timers"), setup, strands, faults)
    faults.sort(key=lambda fault: fault.at_s)


def _plan_clocks(
    draw: Random, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Clocks that are apart while many timers are due: drawn apart from what was there before."""
    match draw.choice(("", "set right", "behind", "lives on", "away")):
        case "set right":
            # The one that fires them is ahead for a while, and puts off what is set meanwhile.
            ahead_s, at_s = draw.choice((20.0, 3_600.0, 86_400.0)), draw.uniform(0.6, ACTIVE_S / 2)
            for clock_s in (ahead_s, -ahead_s):
                moment_s = round(at_s, 4)
                faults.append(
                    Fault(len(faults), moment_s, "set clock", TIMEKEEPER_ACTOR, "", 0.0, clock_s)
                )
                at_s += draw.uniform(1.0, ACTIVE_S / 2)
            strands[0].append(_burst(draw, 410_000, longest_ms=20_000))
        case "away":
            # One host does not answer, and few timers may be under way. Nothing else delays them:
            # what is of the others comes in time (judging_timers.py).
            faults[:] = [
                fault
                for fault in faults
                if fault.target != TIMEKEEPER_ACTOR and fault.kind not in ("set clock", "hang")
            ]
            setup.knobs.update(at_work=5, batch=1, window=draw.choice((5, 50_000)))
            silent_s = round(draw.uniform(2.8, 3.4), 4)
            faults.append(
                Fault(500 + len(faults), silent_s, "silence", TIMEKEEPER_ACTOR, host_name(0), 40.0)
            )
            first = _burst(draw, AWAY_FIRST, longest_ms=500, times=6)
            strands[0] += [first, _anew(first, silent_s)]
        case "lives on":
            # Whoever fires them goes on with hosts that were replaced, and whoever sets them does
            # not: those that are set again, of actors that the hosts of before have in memory.
            faults[:] = [fault for fault in faults if fault.target != TIMEKEEPER_ACTOR]
            first = _burst(draw, 430_000, longest_ms=500)
            at_s = sum(step.pause_s for step in first) + draw.uniform(0.6, 1.0)
            for host in map(host_name, range(setup.hosts)):
                replaced_s = round(at_s + draw.uniform(0.0, 0.2), 4)
                broken_s = round(at_s + draw.uniform(0.3, 0.6), 4)
                faults += [
                    Fault(500 + len(faults), replaced_s, "replace", host, "", 30.0, 0.05),
                    Fault(501 + len(faults), broken_s, "cut", "driver-0", host),
                ]
            again = [
                replace(step, number=step.number + 500, pause_s=0.05, fields=dict(step.fields))
                for step in first
            ]
            for step in again:
                step.fields["token"] = step.number
            again[0] = replace(again[0], pause_s=round(at_s + 1.0, 4))
            strands[0] += [first, again]
        case "behind":
            # Those of hosts, by as much as is waited for in memory; and there are more timers than
            # may be there.
            setup.knobs.update(window=draw.choice((1, 2)), look_ahead=10_000_000)
            behind_s = -round(draw.uniform(0.5, 4.0), 3)
            for host in map(host_name, range(setup.hosts)):
                faults.append(Fault(len(faults), 0.6, "set clock", host, "", 0.0, behind_s))
            strands[0].append(_burst(draw, 420_000, longest_ms=2_000))


def _anew(first: list[Step], silent_s: float) -> list[Step]:
    """Those that are due as a host falls silent are set anew before whoever fires them gives up
    what it was to be sent: what is put off then is not theirs any more."""
    at_s, again = 0.0, []
    for step in first:
        at_s += step.pause_s
        if abs(at_s - silent_s) < 2.0:
            number = step.number + 500
            fields = {**step.fields, "token": number, "after_ms": 10}
            again.append(replace(step, number=number, pause_s=0.02, fields=fields))
    if again:
        again[0] = replace(again[0], pause_s=round(silent_s + 2.5, 4))
    return again


def _burst(draw: Random, first: int, *, longest_ms: int, times: int = 1) -> list[Step]:
    """A bell each, within a moment."""
    steps = []
    for number in range(first, first + times * draw.choice((6, 12))):
        after_ms = draw.randrange(longest_ms)
        fields = {"token": number, "key": "a", "after_ms": after_ms, "how": "ring"}
        pause_s = round(draw.uniform(0.0, 0.3), 4)
        steps.append(Step(number, pause_s, "ask", f"bell/{number}", "Wind", fields, False))
    return steps


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
        ("crash", "crash", "crash", "replace", "hang", "epoch late", "cut", "set clock")
    )
    other = draw.choice(("writer", "bus", "host-0")) if kind == "cut" else ""
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 6.0))), 3)
    amount = round(draw.uniform(0.01, 2.0), 3)
    if kind == "set clock":
        seconds, amount = 0.0, draw.choice((-3600.0, -1.0, 0.5, 86_400.0))
    at_s = round(draw.uniform(0.6, ACTIVE_S), 4)
    return Fault(number, at_s, kind, target, other, seconds, amount)
