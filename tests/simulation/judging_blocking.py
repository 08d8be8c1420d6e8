"""Handlers that blocked: each was ended in time, was not run again where that is known, and whoever
waited for it was told. That all others were answered, other judges see."""

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.simulation.blocking import Run
from tests.simulation.history import Call

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: What a run came to after which its process, and all that follow it, know that it blocks.
_KNOWN = ("interrupted", "replaced")
#: What may have come before that is told: its process may have died of something else, too.
_ENDED = {"interrupted", "replaced", "switched", "killed"}
#: Seconds that what has become of a run may be seen later, by how a float is rounded.
ROUNDING_S = 0.001


def judge_blocking(simulation: "Simulation") -> list[str]:
    """By what each run came to."""
    runs, wrong = simulation.blocking.runs, []
    for run in runs:
        took_s = run.ended_s - run.began_s
        if run.undisturbed and took_s > run.longest_s + ROUNDING_S:
            wrong.append(f"{run.name} let {run.token} block for {took_s:.2f} s ({run.how})")
    theirs: dict[tuple[str, int], list[Run]] = defaultdict(list)
    for run in runs:
        theirs[run.process, run.token].append(run)
    for (process, token), some in theirs.items():
        for number, run in enumerate(some):
            again = [one.name for one in some[number + 1 :] if _knew(one, run)]
            if again and _is_known(run):
                wrong.append(f"{process} runs {token} again as {again}: it has blocked {run.name}")
    for call in simulation.history.calls:
        if call.message == "Block":
            wrong += _judge_answer(call, [run for run in runs if run.token == call.fields["token"]])
    return wrong


def _judge_answer(call: Call, runs: list[Run]) -> list[str]:
    """What was acknowledged had come to its end, and what is said to have blocked has."""
    became = {run.became for run in runs}
    name = f"call {call.number} (Block {call.fields['token']}, {call.fields['how']})"
    if call.events and "done" not in became:
        return [f"{name} was acknowledged, and was {sorted(became)}"]
    if call.error == "HandlerBlocked" and not became & _ENDED:
        return [f"{name} failed with HandlerBlocked, and was {sorted(became)}"]
    return []


def _is_known(run: Run) -> bool:
    """Where the interpreter is held, that is known of an incarnation that is wary (blocked.py)."""
    return run.became in _KNOWN or (run.became == "switched" and run.restarted)


def _knew(later: Run, run: Run) -> bool:
    """Has whoever ran it later begun with the memory of that? One that Ray has started beside the
    one before, which lives on for a while, has not."""
    return later.name == run.name or later.life_s >= run.ended_s
