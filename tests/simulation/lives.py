"""Actors that are stopped and started in the simulation, by drivers; failures stop them as well."""

from typing import TYPE_CHECKING
from uuid import UUID

from actors.errors import ThornbackError
from runtime.driver.life import start_actor, stop_actor
from tests.simulation.history import seen
from tests.simulation.plan import Setup, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver

#: What a driver gives as its reason.
REASON = "as planned"


def plan_lives(seed: int, setup: Setup, strands: list[list[list[Step]]]) -> None:
    """Add to a plan who is started, and sometimes stopped: drawn apart from all else. Where a
    failure stops an actor for good somebody has to start it, or nothing else would happen."""
    draw = stream(seed, "lives")
    stops = setup.settings["actor_system"]["supervisor_strategy"] == "stop"
    if not stops and draw.random() < 0.6:
        return
    sources = [f"ledger/{number}" for number in range(draw.choice((1, 2, 4)))] + setup.sources
    for strand in range(draw.choice((1, 2))):
        pace_s = draw.choice((0.05, 0.3, 1.0))
        steps = []
        for number in range(800_000 + 1_000 * strand, 800_000 + 1_000 * strand + 20):
            message = "Start" if draw.random() < (0.9 if stops else 0.6) else "Stop"
            pause_s = round(draw.expovariate(1 / pace_s), 4)
            waits = draw.random() < 0.7
            steps.append(Step(number, pause_s, "life", draw.choice(sources), message, {}, waits))
        strands[draw.randrange(setup.drivers)].append(steps)


async def live(driver: "Driver", step: Step) -> None:
    """Start an actor, or stop it."""
    call = driver.called(step, "life")
    ask = start_actor if step.message == "Start" else stop_actor
    try:
        reply = ask(driver.ref(step.source), REASON, UUID(bytes=call.id))
        events = await reply
    except ThornbackError as error:
        driver.failed(call, error)
    else:
        call.events, call.repeated = [seen(event) for event in events], reply.repeated
        driver.ended(call)
