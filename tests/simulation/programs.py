"""Stream programs in the simulation: run, run by another number of workers, stopped."""

from asyncio import shield
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from ray import cloudpickle
from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.processing.dead_letters import dropped_dead_letters
from runtime.processing.making_slots import make_slots
from runtime.topology.names import worker_name
from runtime.wire.actor_code import ActorCode
from streams.actor_index import ActorIndex
from tests.programs import Echo, Hours, Totals
from tests.projections import Presence
from tests.simulation.companies import COMPANIES, Ahead
from tests.simulation.devices import Ledger
from tests.simulation.dropping import BRIEF, DROPPED, forgotten
from tests.simulation.erasing import OF_TENANTS
from tests.simulation.failing_programs import FAILING, Fussy, Passing
from tests.simulation.history import Running
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from tests.simulation.rebuilds import PROJECTION, Sightings
from tests.simulation.refusing import MENDED, REFUSED
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver

#: An hour of the program that closes hours, in microseconds: there are ten seconds in all.
SPAN_US = 1_500_000

PROGRAMS: dict[str, Any] = {
    "echo": Echo("echo", ("ledger/*", "feed/*")),
    "sums": Totals("sums", ("*",), groups=3, every=2),
    "hours": Hours("hours", ("ledger/*", "feed/*"), span_us=SPAN_US),
    "presence": Presence(),
    "index-of-ledger": ActorIndex(Ledger),
    "fussy": Fussy(),
    "skips": Passing("skips", "skip"),
    "stands": Passing("stands", "pause"),
    PROJECTION: Sightings(),
    **REFUSED,
    **BRIEF,
    **OF_TENANTS,
}

_RUN = PROGRAMS | COMPANIES | {"ahead": Ahead()}
#: As they are sent to their workers, which can import them.
_CODE = {
    name: ActorCode(f"{number:064}", cloudpickle.dumps(program)).pack()
    for number, (name, program) in enumerate(_RUN.items())
}
_MENDED = {
    name: ActorCode(f"{number:064}", cloudpickle.dumps(program)).pack()
    for number, (name, program) in enumerate(
        {"fussy": Fussy(mended=True), **MENDED}.items(), len(_CODE)
    )
}


def plan_programs(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan what is done with programs, and what befalls their workers: drawn apart from
    all else."""
    draw = stream(seed, "programs")
    if draw.random() < 0.6:
        return
    setup.settings["processing"] = {"batch_processing_size": draw.choice((1, 2, 5, 50))}
    setup.knobs.update(
        keys=draw.choice((1, 2, 100_000)),
        program_bytes=draw.choice((1, 2_000, 8_000_000)),
        aligned=draw.choice((1, 4, 10_000)),
    )
    setup.knobs["due"] = stream(seed, "due together").choice((1, 2, 5_000))
    names = draw.sample(
        sorted(PROGRAMS.keys() - {*FAILING, *REFUSED, *BRIEF, *OF_TENANTS, PROJECTION}),
        draw.choice((1, 1, 2)),
    )
    strands[0].append(_steps(draw, names))
    workers = [worker_name(name, index) for name in names for index in (0, 0, 1)]
    for _ in range(draw.choice((0, 0, 1, 2, 4))):
        faults.append(_fault(draw, len(faults), workers))
    faults.sort(key=lambda fault: fault.at_s)


def _steps(draw: Random, names: list[str]) -> list[Step]:
    steps = []
    for number in range(draw.choice((1, 2, 4))):
        name = names[number] if number < len(names) else draw.choice(names)
        more = {"program": name, "workers": draw.choice((1, 1, 2, 3, 0))}
        pause_s = round(draw.uniform(0.0, 0.6 if number < len(names) else 4.0), 4)
        steps.append(Step(200_000 + number, pause_s, "program", more=more))
    return steps


def _fault(draw: Random, number: int, workers: list[str]) -> Fault:
    kind = draw.choice(("crash", "crash", "replace", "hang", "calls late", "epoch late", "cut"))
    target, other = draw.choice(workers), ""
    if kind == "cut":
        other = draw.choice(("writer", "bus"))
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 6.0))), 3)
    amount = 2.0 if kind == "calls late" else round(draw.uniform(0.01, 2.0), 3)
    return Fault(
        number, round(draw.uniform(0.5, ACTIVE_S), 4), kind, target, other, seconds, amount
    )


async def _run(driver: "Driver", program: str, code: bytes, workers: int) -> None:
    """As a driver does (runtime/processing/running.py), with code that its workers can import."""
    await driver.connection.log.ask(partial(make_slots, _RUN[program], 0))
    together = COMPANIES.get(program)
    handlers = () if together is None else (tuple(each.name for each in together.handlers),)
    await driver.connection.rejoining.ask("run_program", program, code, workers, 0, *handlers)


async def run_or_stop(driver: "Driver", step: Step) -> None:
    """Have a program run, or stopped, as the step says; or something done about what it fails
    at."""
    loop, program, workers = driver.holder.loop, step.more["program"], step.more["workers"]
    what, mended = step.more.get("what", "run"), step.more.get("mended", False)
    running = Running(step.number, program, workers, loop.time(), mended=mended, kind=what)
    # Who drops a program wishes that it does not run, as who stops it does.
    wishes = driver.history.runnings if what in ("run", "forget") else driver.history.wishes
    wishes.append(running)
    ask, code = driver.connection.rejoining.ask, (_MENDED if mended else _CODE)[program]
    asked: Any
    match what:
        case "replay":
            asked = ask("replay_program", program, None)
        case "skip":
            asked = ask("resume_program", program, True)
        case "drop":
            asked = driver.connection.log.ask(partial(dropped_dead_letters, program, None))
        case "forget":
            asked = driver.connection.log.ask(partial(forgotten, DROPPED[program]))
        case _ if workers:
            asked = _run(driver, program, code, workers)
        case _:
            asked = ask("stop_program", program)
    try:
        await shield(asked)
    except (ThornbackError, RayError) as error:
        running.error = type(getattr(error, "cause", error)).__name__
    running.ended_s = loop.time()
