"""Broadcasts of the simulation: one message for all actors of a type, called again under its id."""

import asyncio
from collections.abc import Iterator
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from actors.errors import ThornbackError
from runtime.driver.broadcasting import Audience
from runtime.driver.bulk import BulkCall, BulkResult, Send
from runtime.driver.bulk_steps import telling
from tests.simulation import devices
from tests.simulation.history import Call, Cast, CastCall
from tests.simulation.plan import Fault, Setup, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver
    from tests.simulation.simulation import Simulation

#: How long one call of a broadcast sends its batches again.
PATIENCE_S = 4.0
#: Between two calls under one id, and how often it is called once nothing goes wrong any more.
AGAIN_S, CALLS = 0.2, 20
#: How long those calls may take.
REACHED_S = 60.0

_TYPES = {"ledger": devices.Ledger, "vault": devices.Vault}


def plan_broadcasts(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add broadcasts to a plan, each of one driver or of two: drawn apart from all else."""
    draw = stream(seed, "broadcasts")
    if draw.random() < 0.65:
        return
    setup.knobs["broadcast"] = draw.choice((1, 2, 3, 1000))
    types = ("ledger", "ledger", *(("vault",) if setup.vaults else ()))
    for token in range(500_000, 500_000 + 100 * draw.choice((1, 1, 2, 3)), 100):
        actor_type = draw.choice(types)
        for number in range(draw.choice((1, 1, 2))):
            more = {
                "cast": token, "type": actor_type, "known": draw.random() < 0.7,
                "calls": draw.choice((1, 2, 6)),
            }  # fmt: skip
            fields = {"token": token, "times": 1}
            pause_s = round(draw.choice((draw.uniform(0.2, 1.0), draw.uniform(0.2, 8.0))), 4)
            step = Step(token + number, pause_s, "broadcast", "", "Note", fields, more=more)
            driver = draw.randrange(setup.drivers)
            strands[driver].append([step])
            if draw.random() < 0.6:
                faults.append(_fault(draw, len(faults), step, f"driver-{driver}", setup))
    faults.sort(key=lambda fault: fault.at_s)


def _fault(draw: Random, number: int, step: Step, driver: str, setup: Setup) -> Fault:
    """In the middle of one."""
    hosts = [f"host-{n}" for n in range(setup.hosts)]
    kinds = ("crash", "crash", "replace", "cut", "driver dies", "commit unheard", "database away")
    kind, target, other, amount = draw.choice(kinds), draw.choice((*hosts, "writer")), "", 0.3
    if kind == "driver dies":
        target = driver
    elif kind == "cut":
        target, other = driver, draw.choice(hosts)
    elif kind.startswith(("database", "commit")):
        target, amount = "database", 1.0
    at_s = round(draw.choice((draw.uniform(0.0, 0.05), draw.uniform(0.0, 0.5))), 4)
    seconds = round(draw.uniform(0.05, 1.0), 3)
    return Fault(number, at_s, kind, target, other, seconds, amount, with_step=step.number)


async def broadcast(driver: "Driver", step: Step) -> None:
    """Call it, and again under its id until everybody has it, or this driver has had enough."""
    cast = Cast(step.more["cast"], step.fields["token"], step.more["type"])
    cast = driver.history.casts.setdefault(cast.number, cast)
    for _ in range(step.more["calls"]):
        call = await _call(driver, step, cast)
        if not call.error and not call.failed:
            return
        await asyncio.sleep(AGAIN_S)


async def _call(driver: "Driver", step: Step, cast: Cast) -> CastCall:
    call = CastCall(driver.label, driver.log_head())
    cast.calls.append(call)
    sent: list[Call] = []
    try:
        result = await _told(driver, step, sent)
    except ThornbackError as error:
        call.error = type(error).__name__
        for one in sent:
            driver.failed(one, error)
    else:
        call.commands = result.commands
        call.failed = [named.partition(" ")[0] for named, _ in result.errors]
        call.head_then = driver.log_head()
        for one in sent:
            driver.ended(one)
    return call


async def _told(driver: "Driver", step: Step, sent: list[Call]) -> BulkResult:
    """As runtime/driver/broadcasting.py does it, whose calls block a thread."""
    actor_type = step.more["type"]
    actor = _TYPES[actor_type] if step.more["known"] else actor_type
    connection = driver.connection
    audience = Audience(connection, driver.message(step), actor, driver.id_of(step.more["cast"]))
    sends: list[Send] = []
    while not audience.is_all:
        ask = partial(connection.log.ask, audience.question)
        sends += audience.sends(await connection.errand("the actors", ask, PATIENCE_S))
    changed = asyncio.Event()
    bulk = BulkCall(PATIENCE_S, want_events=False, changed=changed.set)
    steps = telling(_noted(driver, step, sends, sent), bulk, None)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: BulkResult = end.value
            return result
        await changed.wait()
        changed.clear()


def _noted(driver: "Driver", step: Step, sends: list[Send], sent: list[Call]) -> Iterator[Send]:
    for send in sends:
        assert isinstance(send.id, bytes)
        call = driver.called_as(step, "bulk", send.ref.source, send.id)
        call.group, call.deadline_s = step.number, float("inf")
        sent.append(call)
        yield send


def finish_broadcasts(simulation: "Simulation", driver: "Driver") -> None:
    """Nothing goes wrong any more: who calls it again reaches everybody."""
    for cast in list(simulation.history.casts.values()):
        more = {"cast": cast.number, "type": cast.actor_type, "known": True, "calls": CALLS}
        fields = {"token": cast.token, "times": 1}
        step = Step(cast.number + 99, 0.0, "broadcast", "", "Note", fields, more=more)
        casting = driver.start(broadcast(driver, step))
        simulation.wait([casting], REACHED_S, f"broadcast {cast.number} does not end")
