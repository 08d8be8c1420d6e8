"""Stream programs that fail at some events: which park, skip or stand, and are replayed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from random import Random
from typing import Any

from actors.event import Event
from runtime.topology.names import worker_name
from streams.failures import OnFailure
from streams.program import Change
from tests.programs import Echo, Totals
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from thornback.simulation.draws import stream

SOURCES = ("ledger/*", "feed/*")
FAILING = ("fussy", "skips", "stands")
#: What the programs fail at: of the first byte of an id's SHA-256, the rest when divided by ten.
BAD_STEP, BAD_ROUTE = 3, 7

#: The numbers of the steps, and of the fault, of a replay that is cut, begin here.
FIRST_CUT = 340_000
#: What is done with each of them, beside that it is run.
_PARKING = ("run", "replay", "replay", "replay", "drop")
_OTHERS = {
    "fussy": _PARKING, "choosy": _PARKING, "stands": ("skip",) * 3,
    "choosy-stands": ("skip",) * 3, "odd-index": ("skip", "skip", "skip", "skip", "run"),
}  # fmt: skip
#: Those that stand, where nobody tells them to go on.
STANDING = {"stands", "stuck", "choosy-stands", "odd-index"}


def fails_at(event_id: bytes) -> int:
    """What an event is to the programs here."""
    return sha256(event_id).digest()[0] % 10


class Fussy(Totals):
    """Counts by group; parks a group, or a source, until it is mended."""

    on_failure: OnFailure = "park"
    tries = 2
    backoff = timedelta(milliseconds=20)

    def __init__(self, *, mended: bool = False) -> None:
        super().__init__("fussy", SOURCES, groups=3)
        self.mended = mended

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """Not of every event."""
        if fails_at(event.id_bytes) == BAD_ROUTE and not self.mended:
            raise ValueError("no key")
        return super().route(event)

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """Not of every event."""
        if fails_at(event.id_bytes) == BAD_STEP and not self.mended:
            raise ValueError("no step")
        return super().step(key, item, event, state, watermark_us)


class Passing(Echo):
    """Passes over what it fails at, by itself or when it is told."""

    tries = 1

    def __init__(self, name: str, on_failure: OnFailure) -> None:
        super().__init__(name, SOURCES)
        self.on_failure = on_failure

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """Not of every event."""
        if fails_at(event.id_bytes) == BAD_STEP:
            raise ValueError("no step")
        return super().step(key, item, event, state, watermark_us)


def plan_failing(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan what is done with these programs: drawn apart from all else."""
    draw = stream(seed, "failing programs")
    if draw.random() < 0.6:
        return
    setup.knobs["replayed"] = draw.choice((1, 2, 500))
    name = draw.choice(("fussy", "fussy", "fussy", "skips", "stands"))
    strands[0].append(steps := plan_steps_of(draw, name, 300_000))
    plan_worker_faults(draw, name, faults, steps)
    plan_cut_replay(seed, setup, name, steps, faults)


def plan_worker_faults(draw: Random, name: str, faults: list[Fault], done: list[Step]) -> None:
    """Add what befalls the workers of a program: half of it where something is done about what
    it fails at."""
    steps = [step.number for step in done if step.more["what"] != "run"]
    workers = [worker_name(name, index) for index in (0, 0, 1)]
    for number in range(draw.choice((0, 1, 2, 4))):
        fault = _fault(draw, len(faults) + number, workers)
        if steps and draw.random() < 0.5:
            at_s = round(draw.choice((draw.uniform(0.0, 0.05), draw.uniform(0.0, 0.4))), 4)
            fault = replace(fault, at_s=at_s, with_step=draw.choice(steps))
        faults.append(fault)
    faults.sort(key=lambda fault: fault.at_s)


def plan_cut_replay(
    seed: int, setup: Setup, name: str, steps: list[Step], faults: list[Fault]
) -> None:
    """Now and then, of a program that parks: it is mended, and its letters are replayed a few at a
    time, until its worker dies at one of these commits. Drawn apart from all else."""
    draw = stream(seed, "cut replays", name)
    if name not in ("fussy", "choosy") or draw.random() < 0.6:
        return
    setup.knobs["replayed"] = draw.choice((1, 1, 2))
    more = {"program": name, "workers": 1, "mended": True}
    run = Step(FIRST_CUT, round(draw.uniform(0.3, 3.0), 4), "program", more={**more, "what": "run"})
    pause_s = round(draw.choice((0.0, draw.uniform(0.0, 1.0))), 4)
    replay = Step(FIRST_CUT + 1, pause_s, "program", more={**more, "what": "replay"})
    steps[1:] = [run, replay]
    faults.append(Fault(
        FIRST_CUT, 0.0, "dies at commit", worker_name(name, 0), with_step=replay.number,
        seconds=round(draw.uniform(0.01, 0.5), 3), amount=draw.choice((1, 2, 2, 3, 3, 5)),
    ))  # fmt: skip
    faults.sort(key=lambda fault: fault.at_s)


def plan_steps_of(draw: Random, name: str, first: int) -> list[Step]:
    """What is done with a program, in steps whose numbers begin with `first`."""
    steps = [_step(draw, first, name, "run", draw.choice((1, 1, 2, 3)), 0.4, begins=True)]
    for number in range(first + 1, first + draw.choice((2, 4, 7))):
        what = draw.choice(_OTHERS.get(name, ("run",)))
        steps.append(_step(draw, number, name, what, draw.choice((0, 1, 2, 3, 3)), 3.0))
    return steps


def _step(
    draw: Random,
    number: int,
    name: str,
    what: str,
    workers: int,
    latest_s: float,
    *,
    begins: bool = False,
) -> Step:
    more = {"program": name, "workers": workers, "what": what, "mended": draw.random() < 0.4}
    if begins or name not in ("fussy", "choosy"):
        more["mended"] = False
    pause_s = round(draw.uniform(0.0, latest_s), 4)
    return Step(number, pause_s, "program", more=more)


def _fault(draw: Random, number: int, workers: list[str]) -> Fault:
    kind = draw.choice(("crash", "crash", "crash", "replace", "hang", "epoch late"))
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 6.0))), 3)
    at_s = round(draw.uniform(0.5, ACTIVE_S), 4)
    return Fault(number, at_s, kind, draw.choice(workers), "", seconds, 0.5)
