"""Programs that are dropped while they run, and run again: alone, with a table, and as one of two
handlers that run together; and a durable subscription and a group that are dropped while they are
read.

Each time that one is dropped ends a generation of it. What that has put out stays in the log; the
next one begins where it is told to, as if there had been none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from actors.errors import ThornbackError
from actors.event import Event
from runtime.topology.names import worker_name
from store.event_store import EventStore
from streams.projection import Projection
from tests.programs import Echo
from tests.simulation.failing_programs import SOURCES
from tests.simulation.followers import PASSING
from tests.simulation.group_members import CROWD
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver

#: The numbers of its steps, and of its faults, begin here.
FIRST_STEP, FIRST_NUMBER = 700_000, 4_000


@dataclass(frozen=True)
class Glimpse:
    """What is known of a source."""

    count: int
    through: int


class Fleeting(Projection[Glimpse]):
    """Counts the events of each source."""

    name = "fleeting"
    sources: Sequence[str] = SOURCES

    def project(self, event: Event, row: Glimpse | None) -> Glimpse:
        """One more."""
        return Glimpse(1 if row is None else row.count + 1, event.position or 0)


BRIEF = {"brief": Echo("brief", SOURCES), "fleeting": Fleeting()}
#: Of what is run, what of it is dropped: of two handlers one.
DROPPED = {name: name for name in BRIEF} | {"brace": "lower"}


def plan_drops(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan that one of these is run, dropped and run again, and what befalls its workers
    meanwhile: drawn apart from all else."""
    draw = stream(seed, "drops")
    if draw.random() < 0.8:
        return
    setup.settings.setdefault("processing", {}).setdefault(
        "batch_processing_size", draw.choice((1, 2, 5, 50))
    )
    program = draw.choice(("brief", "brief", "fleeting", "fleeting", "brace"))
    steps = _steps(draw, program)
    strands[draw.randrange(setup.drivers)].append(steps)
    count = draw.choice((0, 1, 2, 3))
    faults += [_fault(draw, FIRST_NUMBER + number, program, steps) for number in range(count)]
    faults += _late_end(seed, steps)
    faults.sort(key=lambda fault: fault.at_s)


def _steps(draw: Random, program: str) -> list[Step]:
    """Run and dropped by turns, mostly: soon one after the other, or with time for some work."""
    steps = [_step(draw, 0, program, "run", 0.4)]
    for number in range(1, draw.choice((2, 3, 4, 6))):
        what = draw.choice(("forget", "run") if number % 2 == 0 else ("forget", "forget", "run"))
        latest_s = draw.choice((0.02, 0.3, 2.0))
        steps.append(_step(draw, number, program, what, latest_s))
    return steps


def _step(draw: Random, number: int, program: str, what: str, latest_s: float) -> Step:
    workers = draw.choice((1, 1, 2, 3)) if what == "run" else 0
    more = {"program": program, "workers": workers, "what": what}
    pause_s = round(draw.uniform(0.0, latest_s), 4)
    return Step(FIRST_STEP + number, pause_s, "program", more=more)


def _fault(draw: Random, number: int, program: str, steps: list[Step]) -> Fault:
    """Half of them about when it is dropped: a worker that begins anew then finds nothing."""
    kind = draw.choice(
        ("crash", "crash", "crash", "replace", "hang", "epoch late", "database away")
    )
    target = worker_name(program, draw.choice((0, 0, 1)))
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 4.0))), 3)
    amount = round(draw.uniform(0.01, 0.5), 3)
    if kind == "database away":
        target, amount = "database", 1.0
    at_s = round(draw.uniform(0.5, ACTIVE_S), 4)
    fault = Fault(number, at_s, kind, target, "", seconds, amount)
    drops = [step.number for step in steps if step.more["what"] == "forget"]
    if drops and draw.random() < 0.7:
        soon_s = round(draw.choice((draw.uniform(0.0, 0.02), draw.uniform(0.0, 0.5))), 4)
        fault = replace(fault, at_s=soon_s, with_step=draw.choice(drops))
    return fault


def _late_end(seed: int, steps: list[Step]) -> list[Fault]:
    """Whoever finds that it was dropped has the directory end it so late that it may have been run
    again by then."""
    draw = stream(seed, "ends of drops")
    whats = [step.more["what"] for step in steps]
    again = [
        step for step, what, then in zip(steps, whats, whats[1:], strict=False)
        if (what, then) == ("forget", "run")
    ]  # fmt: skip
    if not again or draw.random() < 0.4:
        return []
    late_s = round(draw.uniform(0.3, 3.0), 3)
    step = draw.choice(again).number
    return [
        Fault(
            FIRST_NUMBER + 90, 0.0, "ends late", "directory", seconds=late_s, with_step=step
        )
    ]  # fmt: skip


def plan_dropped_readings(
    seed: int, setup: Setup, strands: list[list[list[Step]]], members: list[Step]
) -> None:
    """Add to a plan that a durable subscription, or a group, is dropped while it is read: drawn
    apart from all else."""
    draw = stream(seed, "dropped readings")
    if draw.random() < 0.85:
        return
    (name,) = draw.choice((tuple(PASSING), tuple(CROWD)))
    drops = [
        Step(710_000 + number, round(draw.uniform(0.3, 3.0), 4), "forget", more={"name": name})
        for number in range(draw.choice((1, 1, 2)))
    ]
    strands[draw.randrange(setup.drivers)].append(drops)
    turns = ("some", "some", "finish", "finish", "pause")
    for number in range(draw.choice((1, 2, 3))):
        more = {
            "name": name, "after": 0, "end": draw.choice(("stay", "stay", "close")),
            "turns": [draw.choice(turns) for _ in range(draw.choice((3, 8)))], "hangs_s": 0.0,
        }  # fmt: skip
        pause_s = round(draw.uniform(0.2, 2.0), 4)
        if name in CROWD:
            members.append(Step(220_000 + number, pause_s, "member", more=more))
        else:
            step = Step(120_000 + number, pause_s, "follow", more=more)
            strands[draw.randrange(setup.drivers)].append([step])


async def forgotten(name: str, store: EventStore) -> None:
    """As `thornback subscriptions --drop` does."""
    await store.drop_subscription(name)
    await store.drop_program(name)


async def forget(driver: "Driver", step: Step) -> None:
    """Have a durable subscription dropped, or a group."""
    ask = partial(driver.connection.log.ask, partial(forgotten, step.more["name"]))
    try:
        await driver.connection.errand("dropping", ask)
    except ThornbackError as error:
        if type(error).__name__ not in ("StoreUnavailable", "ConnectionClosed"):
            driver.history.complain(f"dropping {step.more['name']} ended with {error!r}")
