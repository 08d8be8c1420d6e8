"""Messages between actors in the simulation, and actors that listen: what drivers have ledgers send
one another, and what befalls whoever delivers it."""

from asyncio import shield
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from ray import cloudpickle
from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.processing.hearing import selection_of_listeners
from runtime.processing.making_slots import make_checkpoints
from runtime.topology.names import DELIVERER_ACTOR, host_name, worker_name
from runtime.wire.actor_code import ActorCode
from tests.simulation.devices import Ear
from tests.simulation.history import Running
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver

#: As it is sent to its worker, which can import it.
_EAR = ActorCode(f"{100:064}", cloudpickle.dumps(Ear)).pack()

#: How a message is taken: mostly it is; `by turns` says that the actor's state decides.
_HOWS = ("take", "take", "take", "take", "refuse", "break", "idle", "by turns", "by turns")


def plan_messages(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan what ledgers send one another: drawn apart from all else."""
    draw = stream(seed, "messages")
    if draw.random() < 0.5:
        return
    setup.knobs.update(messages=draw.choice((1, 3, 20_000)))
    sources = [f"ledger/{number}" for number in range(draw.choice((1, 2, 4)))] + setup.sources
    for number in range(draw.choice((1, 1, 2))):
        strands[number % len(strands)].append(_steps(draw, sources, 300_000 + 1_000 * number))
    targets = [DELIVERER_ACTOR]
    if draw.random() < 0.5:
        targets.append(worker_name("ear", 0))
        strands[0].append(_listening(draw))
    for _ in range(draw.choice((0, 0, 1, 2, 4))):
        faults.append(_fault(draw, len(faults), setup, draw.choice(targets)))
    faults.sort(key=lambda fault: fault.at_s)


def _steps(draw: Random, sources: list[str], first: int) -> list[Step]:
    steps = []
    kind = draw.choice(("ask", "tell"))
    pace_s = draw.choice((0.05, 0.3, 1.0))
    for number in range(first, first + draw.choice((1, 4, 12))):
        ways = [_way(draw, sources) for _ in range(draw.choice((1, 1, 2, 5)))]
        fields = {"token": number, "ways": ways}
        pause_s = round(draw.expovariate(1 / pace_s), 4)
        waits = draw.random() < 0.5
        steps.append(Step(number, pause_s, kind, draw.choice(sources), "Pass", fields, waits))
    return steps


def _way(draw: Random, sources: list[str]) -> list[str]:
    way: list[str] = []
    for _ in range(draw.choice((1, 1, 2, 4))):
        way += [draw.choice(sources), draw.choice(_HOWS)]
    return way


def _listening(draw: Random) -> list[Step]:
    """Have actors listen; perhaps no more, and perhaps again."""
    steps = []
    for number in range(draw.choice((1, 1, 3))):
        more = {"workers": (1, 0, 1)[number]}
        pause_s = round(draw.uniform(0.0, 0.6 if number == 0 else 3.0), 4)
        steps.append(Step(310_000 + number, pause_s, "listen", more=more))
    return steps


async def _listen(driver: "Driver") -> None:
    """As a driver does (runtime/processing/running.py), with code that its worker can import."""
    log, selection = driver.connection.log, selection_of_listeners(Ear.described())
    there = {record.name for record in await log.ask(lambda store: store.subscriptions())}
    await log.ask(partial(make_checkpoints, {"ear"} - there, selection, 0))
    await driver.connection.rejoining.ask("run_program", "ear", _EAR, 1, 0)


async def listen_or_stop(driver: "Driver", step: Step) -> None:
    """Have ears listen, or no more, as the step says."""
    loop, workers = driver.holder.loop, step.more["workers"]
    running = Running(step.number, "ear", workers, loop.time())
    driver.history.runnings.append(running)
    ask = driver.connection.rejoining.ask
    asked: Any = _listen(driver) if workers else ask("stop_program", "ear")
    try:
        await shield(asked)
    except (ThornbackError, RayError) as error:
        running.error = type(getattr(error, "cause", error)).__name__
    running.ended_s = loop.time()


def _fault(draw: Random, number: int, setup: Setup, target: str) -> Fault:
    kind = draw.choice(("crash", "crash", "replace", "hang", "epoch late", "cut"))
    other = ""
    if kind == "cut":
        other = draw.choice(("writer", "bus", host_name(draw.randrange(setup.hosts))))
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 6.0))), 3)
    amount = round(draw.uniform(0.01, 2.0), 3)
    at_s = round(draw.uniform(0.6, ACTIVE_S), 4)
    return Fault(number, at_s, kind, target, other, seconds, amount)
