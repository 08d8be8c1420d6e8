"""What operators do with the system of a simulation: drain it, launch it anew. Draining is the
runtime's own."""

import asyncio
from bisect import bisect_right
from collections.abc import Mapping
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from actors.errors import ThornbackError
from runtime.cluster.directory import Directory
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import BUS_ACTOR, DIRECTORY_ACTOR, HOSTS, ProcessKind
from runtime.topology.release import RELEASE
from runtime.topology.status import DrainReport
from tests.simulation.plan import Fault
from tests.simulation.steady_load import AFTER_S, BEFORE_S, SteadyLoad
from thornback.simulation.draws import stream
from thornback.simulation.launching import AGAIN_S, LAUNCH_S, launch
from thornback.simulation.processes import SimulatedProcess
from thornback.simulation.scheduler import Owner

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: How long a message may be on its way to the database.
ON_ITS_WAY_S = 1.0
#: A directory that was struck is back so long after it could be, at the latest.
SETTLED_S = 1.0
#: So late Ray may lead somebody to a directory.
LATE_S = 2.0
#: How long each process may take to flush.
FLUSH_S = 5.0


async def drain_and_launch(simulation: "Simulation", operator: Owner, fault: Fault) -> None:
    """Have the system drained, and launched anew some time later, or as soon as that can be."""
    settings = simulation.launched_with(int(fault.amount))
    load = None
    if fault.other == "busy":
        load = SteadyLoad(simulation, fault)
        await asyncio.sleep(BEFORE_S)
    undisturbed = len(simulation.history.faults) == 1
    calm = "directory" not in {each.target for each in simulation.plan.faults}
    world, away_s = simulation.world_of(operator), simulation.history.away_s
    begun_s = simulation.loop.time()
    away_s[operator.name] = (begun_s, inf)
    impatient = operator.create_task(_launch_all_the_time(world, settings))
    if fault.other not in ("impatient", "twice"):
        impatient.cancel()
    processes = dict(simulation.cluster.processes)
    too = Owner(simulation.loop, f"{operator.name}-too")
    another = too.create_task(_drain_too(simulation, too, fault))
    try:
        report = await _drain(simulation, operator)
    except ThornbackError as error:
        if calm and impatient.done():
            simulation.history.complain(f"a drain failed: {error!r}")
    else:
        if impatient.done():
            _judge(simulation, report, begun_s, undisturbed=undisturbed)
            if undisturbed and len(simulation.history.faults) == 1:
                _judge_flushed(simulation, report, processes)
    await another
    _judge_directories(simulation)
    if load is not None:
        load.commits_are_quick()
    if impatient.done():
        await _nothing_happens(simulation, fault.seconds, undisturbed=undisturbed)
    impatient.cancel()
    simulation.topology = await launch(world, settings)
    away_s[operator.name] = (begun_s, simulation.loop.time())
    if load is not None:
        await asyncio.sleep(AFTER_S)
        load.end()


async def _drain(simulation: "Simulation", operator: Owner, late_s: float = 0.0) -> DrainReport:
    """Whatever Ray is asked for is answered so much later."""
    connection, world, _ = simulation.connected(operator)
    world.late_s = late_s
    try:
        return await connection.last_errand("drain", partial(connection.rejoining.drain, FLUSH_S))
    finally:
        connection.close()


async def _drain_too(simulation: "Simulation", operator: Owner, fault: Fault) -> None:
    """Somebody else drains the system in the same moment: one of them is there first. Where Ray
    is slow, this one may find the directory of the next system only."""
    if fault.other == "twice":
        draw = stream(simulation.loop.seed, "drains", operator.name)
        late_s = draw.choice((0.0, draw.uniform(0.0, LATE_S)))
        try:
            await _drain(simulation, operator, late_s)
        except ThornbackError:
            return  # the other one has ended the directory before it could answer


async def _launch_all_the_time(world: World, settings: Settings) -> None:
    """Who launches again and again meets a directory in every state that it goes through."""
    while True:
        await launch(world, settings)
        await asyncio.sleep(AGAIN_S)


async def _nothing_happens(simulation: "Simulation", seconds: float, *, undisturbed: bool) -> None:
    """Until the next launch. What the writer had sent when it ended may still be on its way."""
    await asyncio.sleep(min(seconds, ON_ITS_WAY_S))
    head = len(simulation.database.rows)
    await asyncio.sleep(max(seconds - ON_ITS_WAY_S, 0.0))
    if undisturbed and len(simulation.database.rows) != head:
        simulation.history.complain("events are committed after a drain, and nobody runs")


async def take_over(simulation: "Simulation", operator: Owner, fault: Fault) -> None:
    """Another system is launched on the database of the one that runs: first it asks, and is
    refused, and then it takes it."""
    settings, history = simulation.launched_with(int(fault.amount)), simulation.history
    cluster = simulation.another_cluster()
    world = simulation.world_of(operator, cluster)
    if fault.other == "asks":
        undisturbed = len(history.faults) == 1
        directory = world.actors.spawn(Directory, settings, DIRECTORY_ACTOR, None)
        refusal = ""
        try:
            await directory.launch.remote(LAUNCH_S, False, RELEASE)
            history.complain("a launch took a database whose system lives")
        except RayTaskError as error:
            refusal = type(error.cause).__name__
        except (ActorUnavailableError, ActorDiedError) as error:
            refusal = type(error).__name__
        if undisturbed and len(history.faults) == 1 and refusal != "DatabaseInUse":
            history.complain(f"a launch on a database in use is refused by {refusal}")
    history.replaced = True  # as soon as it has the claim, before its launch is done
    topology = await launch(world, settings, take_over=True)
    simulation.replaced(cluster, topology)


def _one_directory(simulation: "Simulation", since_s: float) -> bool:
    """Has Ray had the same directory since then? An older one may have lived on beside it."""
    now_s = simulation.loop.time()
    struck_s = (
        (each.at_s, each.at_s + each.amount + SETTLED_S)
        for each in simulation.plan.faults
        if each.target == "directory"
    )
    return all(is_back_s < since_s or at_s > now_s for at_s, is_back_s in struck_s)


def _judge(
    simulation: "Simulation", report: DrainReport, begun_s: float, *, undisturbed: bool
) -> None:
    """Nothing is left, and where nothing else went wrong everything was flushed."""
    complain = simulation.history.complain
    left = sorted(simulation.cluster.processes)
    if left and _one_directory(simulation, begun_s):
        complain(f"a drain has left {left}")
    if not undisturbed or len(simulation.history.faults) > 1:
        return  # what went wrong may have kept a process from flushing
    runs = [
        one.program
        for one in simulation.history.runnings
        if one.ended_s is None or one.ended_s >= begun_s
    ]
    for drained in report.processes:
        makes_way = any(drained.name.endswith(f"-of-{program}") for program in runs)
        if drained.problem is not None and not makes_way:  # for others, which were not started
            complain(f"a drain says of {drained.name}: {drained.problem}")
    for problem in report.end_problems:
        complain(f"a drain says: {problem}")


def _judge_flushed(
    simulation: "Simulation", report: DrainReport, processes: Mapping[str, SimulatedProcess]
) -> None:
    """What was committed when the last host had been flushed, the writer's flush is of, too; and
    the bus has had all that this is of."""
    flushed_s = [
        processes[drained.name].answered_s["drain"]
        for drained in report.processes
        if drained.kind in HOSTS and drained.name in processes and drained.problem is None
    ]
    least = bisect_right(simulation.database.committed_s, max(flushed_s, default=0.0))
    [settled] = [one.settled for one in report.processes if one.kind is ProcessKind.WRITER]
    if settled is None or settled < least:
        simulation.history.complain(f"a drain flushed the writer to {settled} of {least}")
    head = processes[BUS_ACTOR].lives[-1].instance._buffer.head
    if settled is not None and head < settled:
        simulation.history.complain(f"a drain has left the bus at {head} of {settled}")


def _judge_directories(simulation: "Simulation") -> None:
    """Whoever drains means one system, and not the next one as well."""
    drained = [
        process.identity
        for process in simulation.cluster.ever
        if process.name == DIRECTORY_ACTOR
        and any(life.instance._life.draining is not None for life in process.lives)
    ]
    if len(drained) > 1:
        simulation.history.complain(f"a drain drained {drained}")
