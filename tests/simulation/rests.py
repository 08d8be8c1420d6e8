"""Processes that are to rest before they begin again, as real ones are that end several times in a
row, and what those who ask them meanwhile are told."""

import re

from tests.simulation.history import History
from tests.simulation.plan import Fault, Setup
from tests.simulation.planned_faults import FIRST_FAULT_S
from thornback.simulation.draws import stream

#: What a process says that rests (runtime/process/process.py).
_RESTS = re.compile(r"rests for ([0-9.]+) s")
#: As it says how long: to a tenth of a second.
_ROUNDED_S = 0.05
#: The numbers of these faults begin here.
FIRST_NUMBER = 8_000


def plan_rests(seed: int, setup: Setup, faults: list[Fault], busy_s: float) -> None:
    """Have processes rest in some plans, and end several times in a row: drawn apart from all else.
    Longer than some callers wait, too: that is half of `actor_timeout_ms`, perhaps of a second."""
    draw = stream(seed, "rests")
    if draw.random() < 0.7:
        return
    setup.settings["actor_system"] |= {
        "process_backoff_ms": draw.choice((20, 100, 300)),
        "process_max_backoff_ms": draw.choice((300, 300, 700)),
    }
    at_s = draw.uniform(FIRST_FAULT_S, max(busy_s - 1.0, 0.5))
    for number in range(draw.choice((2, 3, 3, 5))):
        target = draw.choice(("writer", "writer", "writer", "host-0", "bus"))
        down_s = round(draw.uniform(0.02, 0.2), 3)
        faults.append(Fault(FIRST_NUMBER + number, round(at_s, 4), "crash", target, amount=down_s))
        at_s += draw.uniform(0.1, 0.8)
    faults.sort(key=lambda fault: fault.at_s)


def judge_rests(history: History, setup: Setup) -> list[str]:
    """Nobody is told at once of a rest for which he would have waited."""
    patience_s = setup.settings["actor_system"]["actor_timeout_ms"] / 2000
    wrong = []
    for call in history.calls:
        if call.error != "StoreUnavailable" or call.ended_s is None:
            continue
        said = _RESTS.search(" ".join(call.arguments))
        if said is None or call.ended_s - call.sent_s >= patience_s:
            continue
        if float(said[1]) + _ROUNDED_S < patience_s:
            wrong.append(
                f"call {call.number} failed after {call.ended_s - call.sent_s:.2f} s, since a "
                f"process rests for {said[1]} s: {call.arguments}"
            )
    return wrong
