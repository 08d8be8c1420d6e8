"""Handlers that run together in the simulation: some never fail, some pass over what they fail at,
be it as the first of all or as the last one, and one stands there."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random

from actors.event import Event
from runtime.topology.names import worker_name
from streams.failures import OnFailure
from streams.handler import Handler
from streams.handlers import Handlers
from tests.programs import Echoed
from tests.simulation.failing_programs import BAD_STEP, SOURCES, fails_at
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from thornback.simulation.draws import stream

#: The numbers of its steps begin here.
FIRST_STEP = 360_000


class Echoing(Handler):
    """An event for each event."""

    sources: Sequence[str] = SOURCES
    event_types: Sequence[str] = ("*",)

    def handle(self, event: Event) -> Iterator[Echoed]:
        """Of which it says the position."""
        yield Echoed(of=str(event.id), position=event.position or 0)


class Ahead(Echoing):
    """Has every event before the next one."""

    priority = 200


class Behind(Echoing):
    """Has every event after that one."""

    priority = 10


class Sulky(Echoing):
    """Has it before all others, but fails at some, and passes them over after a while."""

    priority = 255
    on_failure: OnFailure | None = "skip"
    tries: int | None = 2
    backoff: timedelta | None = timedelta(milliseconds=30)

    def handle(self, event: Event) -> Iterator[Echoed]:
        """Not of every event."""
        if fails_at(event.id_bytes) == BAD_STEP:
            raise ValueError("no step")
        yield from super().handle(event)


class Stuck(Sulky):
    """Stands at the first of them, for as long as nobody says anything."""

    on_failure: OnFailure | None = "pause"
    tries: int | None = 1


class Brisk(Echoing):
    """Is not kept from anything by that."""


class Calm(Echoing):
    """Has every event before the one that fails."""


class Clumsy(Sulky):
    """Fails at some of those, and has each event after all others: mostly it comes up again before
    it fails at another one."""

    priority = 1

    def handle(self, event: Event) -> Iterator[Echoed]:
        """Not of every event."""
        if fails_at(event.id_bytes) == BAD_STEP and event.id_bytes[-1] % 4 == 0:
            raise ValueError("no step")
        yield from Echoing.handle(self, event)


class Upper(Echoing):
    """Runs together with another one, which is dropped (dropping.py)."""

    priority = 150


class Lower(Echoing):
    """Is dropped by itself."""


COMPANIES = {
    "duo": Handlers("duo", Clumsy, Calm),
    "trio": Handlers("trio", Behind, Sulky, Ahead),
    "pair": Handlers("pair", Brisk, Stuck),
    "brace": Handlers("brace", Upper, Lower),
}
#: Each handler, and what it runs in.
MEMBERS: dict[str, tuple[str, Handler]] = {
    handler.name: (company, handler)
    for company, together in COMPANIES.items()
    for handler in together.handlers
}


def plan_companies(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan what is done with handlers that run together: drawn apart from all else."""
    draw = stream(seed, "companies")
    if draw.random() < 0.7:
        return
    setup.settings.setdefault("processing", {"batch_processing_size": draw.choice((1, 2, 5, 50))})
    for knob, value in {
        "keys": draw.choice((1, 2, 100_000)),
        "program_bytes": draw.choice((1, 2_000, 8_000_000)),
        "aligned": draw.choice((1, 4, 10_000)),
    }.items():
        setup.knobs.setdefault(knob, value)
    near = draw.choice((0, 1_000, 1_000, 1_000))
    setup.knobs.update(near=near, abreast=10 * near)
    name = draw.choice(("trio", "trio", "duo", "duo", "pair"))
    strands[0].append(_steps(draw, name))
    workers = [worker_name(name, index) for index in (0, 0, 1)]
    for number in range(draw.choice((0, 1, 2, 4))):
        faults.append(_fault(draw, len(faults) + number, workers))
    busy = stream(seed, "busy companies")
    if busy.random() < 0.5:
        # Many events come at once, and each is committed by itself: whoever comes up meanwhile
        # meets handlers that have evaluated what is not committed.
        setup.knobs["program_bytes"] = 1
        setup.settings["processing"]["batch_processing_size"] = busy.choice((1, 1, 2))
        strands[busy.randrange(setup.drivers)].append(_bursts(busy))
    faults.sort(key=lambda fault: fault.at_s)


def _bursts(draw: Random) -> list[Step]:
    steps = []
    for number in range(370_000, 370_000 + 100 * draw.choice((1, 2)), 100):
        parts = tuple(
            Step(each, 0.0, "ask", f"ledger/{each % 4}", "Note", {"token": each, "times": 5})
            for each in range(number + 1, number + 13)
        )
        pause_s = round(draw.uniform(0.3, 1.5), 4)
        steps.append(Step(number, pause_s, "burst", parts=parts, waits=False))
    return steps


def _steps(draw: Random, name: str) -> list[Step]:
    steps = [_step(draw, 0, name, draw.choice((1, 1, 2, 3)), 0.4)]
    alone = draw.random() < 0.2  # one of them by itself, which is refused where it may not be
    for number in range(1, draw.choice((1, 2, 3, 5))):
        what = draw.choice((name, name, "ahead")) if alone else name
        steps.append(_step(draw, number, what, draw.choice((0, 1, 1, 2, 3)), 3.0))
    return steps


def _step(draw: Random, number: int, name: str, workers: int, latest_s: float) -> Step:
    pause_s = round(draw.uniform(0.0, latest_s), 4)
    return Step(FIRST_STEP + number, pause_s, "program", more={"program": name, "workers": workers})


def _fault(draw: Random, number: int, workers: list[str]) -> Fault:
    kind = draw.choice(("crash", "crash", "replace", "hang", "calls late", "epoch late", "cut"))
    other = draw.choice(("writer", "bus")) if kind == "cut" else ""
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 6.0))), 3)
    amount = 2.0 if kind == "calls late" else round(draw.uniform(0.01, 2.0), 3)
    at_s = round(draw.uniform(0.5, ACTIVE_S), 4)
    return Fault(number, at_s, kind, draw.choice(workers), other, seconds, amount)
