"""A failing plan, reduced to the faults that matter (delta debugging, Zeller 1999)."""

import re
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.plan import Fault, Plan
from tests.simulation.simulation import simulate

Fails = Callable[[list[Fault]], bool]


def reduced(plan: Plan, problems: list[str]) -> Plan:
    """The plan with as few of its faults as still lead to a problem of the same kind."""
    wanted = kinds_of(problems)

    def fails(faults: list[Fault]) -> bool:
        outcome = simulate(replace(plan, faults=faults))
        return bool(wanted & kinds_of(outcome.problems))

    return replace(plan, faults=_fewest(plan.faults, fails))


def kinds_of(problems: list[str]) -> set[str]:
    """Problems without what differs from run to run: numbers, names, lists."""
    return {
        re.sub(r"[\[({].*|[\d.]+|(ledger|vault|feed|shipped|driver|host)\S*", "", one)
        for one in problems
    }


def _fewest(faults: list[Fault], fails: Fails) -> list[Fault]:
    parts = 2
    while len(faults) >= 1:
        size = max(len(faults) // parts, 1)
        for start in range(0, len(faults), size):
            rest = faults[:start] + faults[start + size :]
            if fails(rest):
                faults, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(faults))
    return faults
