"""A projection of the simulation that is built anew, by the code that runs or by another one, while
drivers look at its table."""

from asyncio import sleep
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from ray import cloudpickle
from ray.exceptions import RayError

from actors.errors import ThornbackError
from actors.event import Event
from runtime.driver.connection import Connection
from runtime.processing.making_slots import make_slots
from runtime.processing.rebuilding import _Code, _Rebuild, rebuild
from runtime.topology.names import worker_name
from runtime.wire.actor_code import ActorCode
from store.projected import REBUILD
from streams.projection import Projection
from tests.simulation.history import Look, Rebuilding, Running
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver
    from tests.simulation.simulation import Simulation

PROJECTION = "sightings"
#: The number of the first step that has it built anew; those of its driver follow one another.
FIRST_REBUILD = 400_001
#: How long building it anew may take once nothing goes wrong any more.
REBUILT_S = 60.0
#: Between two tries of who has to have it.
AGAIN_S = 0.5


@dataclass(frozen=True)
class Sighting:
    """What is known of a source, and by which code."""

    count: int
    through: int
    revision: int


class Sightings(Projection[Sighting]):
    """Counts the events of each source, and says where the last one is."""

    name = PROJECTION
    sources: Sequence[str] = ("ledger/*", "feed/*")

    def __init__(self, revision: int = 1) -> None:
        self.revision = revision

    def project(self, event: Event, row: Sighting | None) -> Sighting:
        count = 0 if row is None else row.count
        return Sighting(count + 1, event.position or 0, self.revision)


#: By revision.
_CODE = {
    revision: _Code(
        ActorCode(f"{200 + revision:064}", cloudpickle.dumps(Sightings(revision))).pack(),
        Sightings(revision).table,
    )
    for revision in range(1, 6)
}


def plan_rebuilds(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan that a projection runs, is looked at and is built anew: drawn apart from all
    else."""
    draw = stream(seed, "rebuilds")
    if draw.random() < 0.65:
        return
    processing = setup.settings.setdefault("processing", {})
    processing.setdefault("batch_processing_size", draw.choice((1, 2, 5, 50)))
    setup.knobs["nearly"] = draw.choice((0, 3, 20_000))
    # By one code several drivers may have it built, at once; another code is brought by one alone.
    changes = draw.random() < 0.5
    builder = draw.randrange(setup.drivers)
    strands[builder].append(_building(draw, changes=changes))
    if not changes and draw.random() < 0.6:
        strands[draw.randrange(setup.drivers)].append(_building_too(draw))
    for driver in range(setup.drivers):
        strands[driver].append(_looking(draw, driver))
    workers = [worker_name(PROJECTION, index) for index in (0, 1)]
    workers += [worker_name(PROJECTION + REBUILD, index) for index in (0, 0, 1)]
    rebuilds = [
        step.number for strand in strands for steps in strand for step in steps
        if step.kind == "rebuild"
    ]  # fmt: skip
    for _ in range(draw.choice((0, 1, 2, 4))):
        fault = _fault(draw, len(faults), workers, f"driver-{builder}")
        if draw.random() < 0.5:
            at_s = round(draw.choice((draw.uniform(0.0, 0.2), draw.uniform(0.0, 1.5))), 4)
            fault = replace(fault, at_s=at_s, with_step=draw.choice(rebuilds))
        faults.append(fault)
    faults.sort(key=lambda fault: fault.at_s)


def _building(draw: Random, *, changes: bool) -> list[Step]:
    """It runs, and is built anew a few times, each of which is waited for."""
    runs = {"revision": 1, "workers": draw.choice((1, 1, 2, 3))}
    steps = [Step(400_000, round(draw.uniform(0.0, 0.5), 4), "begin sightings", more=runs)]
    revision = 1
    for number in range(FIRST_REBUILD, FIRST_REBUILD + draw.choice((1, 2, 3))):
        revision += changes and draw.random() < 0.7
        named = 0 if draw.random() < 0.4 and revision == 1 else revision
        more = {"revision": named, "workers": draw.choice((None, None, 1, 2, 3))}
        steps.append(Step(number, round(draw.uniform(0.1, 2.5), 4), "rebuild", more=more))
    return steps


def _building_too(draw: Random) -> list[Step]:
    """Somebody else has it built at the same time."""
    return [
        Step(
            401_000 + number, round(draw.uniform(0.3, 2.5), 4), "rebuild",
            more={"revision": draw.choice((0, 1)), "workers": draw.choice((None, 1, 2))},
        )
        for number in range(draw.choice((1, 2)))
    ]  # fmt: skip


def _looking(draw: Random, driver: int) -> list[Step]:
    pace_s = draw.choice((0.05, 0.3, 1.0))
    return [
        Step(402_000 + 1_000 * driver + number, round(draw.expovariate(1 / pace_s), 4), "look")
        for number in range(draw.choice((0, 10, 20)))
    ]


def _fault(draw: Random, number: int, workers: list[str], builder: str) -> Fault:
    kinds = ("crash", "crash", "crash", "replace", "hang", "epoch late", "commit late",
             "commit unheard", "driver dies", "database away")  # fmt: skip
    kind = draw.choice(kinds)
    target = draw.choice((*workers, *workers, "writer", "directory"))
    amount = round(draw.uniform(0.01, 2.0), 3)
    if kind == "driver dies":
        target = builder
    elif kind.startswith(("database", "commit")):
        target, amount = "database", 1.0
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 6.0))), 3)
    return Fault(number, round(draw.uniform(0.5, ACTIVE_S), 4), kind, target, "", seconds, amount)


async def begin_sightings(driver: "Driver", step: Step) -> None:
    """Have it run."""
    now_s, workers = driver.holder.loop.time, step.more["workers"]
    running = Running(step.number, PROJECTION, workers, now_s())
    driver.history.runnings.append(running)
    packed, ask = _CODE[step.more["revision"]].packed, driver.connection.rejoining.ask
    try:
        await driver.connection.log.ask(partial(make_slots, Sightings(), 0))
        await ask("run_program", PROJECTION, packed, workers, 0)
    except (ThornbackError, RayError) as error:
        running.error = type(getattr(error, "cause", error)).__name__
    running.ended_s = now_s()


async def build_anew(driver: "Driver", step: Step) -> None:
    """Have it built anew."""
    await _built(driver, step.number, step.more["revision"], step.more["workers"])


async def _built(driver: "Driver", number: int, revision: int, workers: int | None) -> Rebuilding:
    loop = driver.holder.loop
    rebuilding = Rebuilding(number, driver.label, revision, loop.time())
    driver.history.rebuildings.append(rebuilding)
    try:
        await _rebuild(driver.connection, revision, workers)
    except ThornbackError as error:
        rebuilding.error = f"{type(error).__name__}: {error}"
    rebuilding.ended_s = loop.time()
    return rebuilding


def _rebuild(connection: Connection, revision: int, workers: int | None) -> Any:
    if not revision:
        return rebuild(connection, PROJECTION, workers)
    # The class is sent as the others of the simulation are: their workers can import it.
    work = partial(_Rebuild(connection, PROJECTION).run, _CODE[revision], workers or 0)
    return connection.errand(f"rebuilding {PROJECTION}", work, 86_400.0)


async def look(driver: "Driver", step: Step) -> None:
    """See what its table has."""
    history, now_s = driver.history, driver.holder.loop.time

    def seen(rows: dict[str, tuple[Any, ...]]) -> None:
        history.looks.append(Look(now_s(), rows))

    async def ask(store: Any) -> None:
        await store.look(PROJECTION, seen)

    try:
        await driver.connection.errand("looking", partial(driver.connection.log.ask, ask))
    except ThornbackError as error:
        if type(error).__name__ not in ("StoreUnavailable", "ConnectionClosed"):
            history.complain(f"a look at a table ended with {error!r}")


def finish_rebuilds(simulation: "Simulation") -> None:
    """Nothing goes wrong any more: who asks again has the table built anew, and in its place."""
    history = simulation.history
    if not history.rebuildings or simulation.database.projections.find(PROJECTION) is None:
        return
    # One code after the other: whoever waits since things went wrong is done, or gives up, before.
    drivers = simulation.drivers
    pending = [one for one in history.rebuildings if not drivers[one.driver.partition(".")[0]].dead]
    until_s = simulation.loop.time() + REBUILT_S
    while any(one.ended_s is None for one in pending) and simulation.loop.time() < until_s:
        simulation.loop.run_until(simulation.loop.time() + 0.1)
    driver = simulation.driver("builder")
    # Of what is left behind by one code nothing is to be gone on with by the next one.
    revision = max(1, *(one.revision for one in history.rebuildings))
    revision += revision > 1
    building = driver.start(_until_built(driver, revision))
    simulation.wait([building], REBUILT_S, "a table is not built anew though nothing goes wrong")


async def _until_built(driver: "Driver", revision: int) -> None:
    while True:
        last = await _built(driver, 499_000, revision, None)
        if not last.error:
            return
        await sleep(AGAIN_S)
