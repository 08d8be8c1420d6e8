"""A failing plan, reduced to the faults that matter (delta debugging, Zeller 1999)."""

import re
from dataclasses import replace

from tests.simulation.plan import Fault, Plan
from tests.simulation.simulation import simulate
from thornback.simulation.reducing import fewest


def reduced(plan: Plan, problems: list[str]) -> Plan:
    """The plan with as few of its faults as still lead to a problem of the same kind."""
    wanted = kinds_of(problems)

    def fails(faults: list[Fault]) -> bool:
        outcome = simulate(replace(plan, faults=faults))
        return bool(wanted & kinds_of(outcome.problems))

    return replace(plan, faults=fewest(plan.faults, fails))


def kinds_of(problems: list[str]) -> set[str]:
    """Problems without what differs from run to run: numbers, names, lists."""
    return {
        re.sub(r"[\[({].*|[\d.]+|(ledger|vault|feed|shipped|driver|host)\S*", "", one)
        for one in problems
    }
