"""Actors that are erased in the simulation: what is planned of it, and how a driver has it done.

Tenants are ledgers whose tokens are found wherever they stand: no other number is like them. All
that is done with ledgers is done with them, beside programs that keep something of each, while
drivers have them erased, one after another and two at once, and started again. What goes wrong
strikes in the moments of that.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from actors.errors import ThornbackError
from actors.event import BusinessEvent, Event
from actors.moments import microseconds
from runtime.driver.erasing import erase_actor
from runtime.topology.names import (
    BUS_ACTOR,
    DELIVERER_ACTOR,
    TIMEKEEPER_ACTOR,
    WRITER_ACTOR,
    host_name,
    worker_name,
)
from streams.actor_index import ActorIndex
from streams.program import Change, Output
from streams.projection import Projection
from tests.programs import Echo
from tests.simulation.devices import Tenant
from tests.simulation.history import Call, Erasing
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver
    from tests.simulation.simulation import Simulation

#: The numbers of its steps begin here, and those of its faults.
FIRST_STEP, FIRST_NUMBER = 850_000, 5_000
#: Tokens of tenants are from here on.
SECRET = 7_700_000_000
#: How long somebody who erases goes on where something is away, and how long it may take after
#: quiet.
PATIENCE_S, ERASED_S = 8.0, 60.0
#: How often an actor is asked in the end whose host has too much to do.
_TRIES = 100
#: A timer that nobody lives to see: clocks jump by a day.
_LATER_MS = 60 * 86_400_000


class Rented(BusinessEvent):
    """What a tenant has, by now."""

    tokens: list[str]


class Rents(Echo):
    """Keeps the tokens of each tenant, and puts them out."""

    keeps_state = True

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """One more."""
        tokens = [*(state or ()), str(event.data.get("token", event.event_type))]
        return Change(state=tokens, outputs=[Output(Rented(tokens=tokens), _us(event))])


@dataclass(frozen=True)
class Door:
    """What is written on it."""

    token: str
    count: int


class Doors(Projection[Door]):
    """The last token of each tenant."""

    name = "doors"
    sources: Sequence[str] = ("tenant/*",)

    def project(self, event: Event, row: Door | None) -> Door:
        """The newer one."""
        token = str(event.data.get("token", event.event_type))
        return Door(token, 1 if row is None else row.count + 1)


OF_TENANTS: dict[str, Any] = {
    "rents": Rents("rents", ("tenant/*",)),
    "doors": Doors(),
    "index-of-tenant": ActorIndex(Tenant),
}


def plan_erasing(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan what tenants do, who erases them, and what goes wrong then: drawn apart from
    all else. Not beside what counts all events, whose sums depend on when it meets a tombstone."""
    draw = stream(seed, "erasing")
    steps = [step for driver in strands for strand in driver for step in strand]
    counts = any(step.more.get("program") == "sums" for step in steps)
    if draw.random() < 0.7 or counts or any(fault.other == "busy" for fault in faults):
        return
    setup.settings.setdefault("processing", {}).setdefault(
        "batch_processing_size", draw.choice((1, 2, 5, 50))
    )
    tenants = [f"tenant/{number}" for number in range(draw.choice((1, 1, 2)))]
    for number in range(draw.choice((1, 2))):
        strand = _living(draw, tenants, FIRST_STEP + 1_000 * number)
        strands[draw.randrange(setup.drivers)].append(strand)
    names = draw.sample(sorted(OF_TENANTS), draw.choice((1, 2, 3)))
    strands[draw.randrange(setup.drivers)].append(_running(draw, names))
    erasing: list[Step] = []
    for number in range(draw.choice((1, 2))):
        strand = _erasing(draw, tenants, FIRST_STEP + 20_000 + 1_000 * number)
        strands[draw.randrange(setup.drivers)].append(strand)
        erasing += strand
    count = draw.choice((0, 0, 1, 2, 3))
    faults += [
        _fault(draw, FIRST_NUMBER + number, setup, names, erasing) for number in range(count)
    ]
    faults += _late_snapshots(stream(seed, "late snapshots of who is erased"), erasing)
    faults += _moves(stream(seed, "moves of who is erased"), setup, erasing)
    faults.sort(key=lambda fault: fault.at_s)


def _late_snapshots(draw: Random, erasing: list[Step]) -> list[Fault]:
    """What hosts have saved before the end of somebody reaches the database behind it."""
    if draw.random() < 0.5:
        return []
    seconds = round(draw.uniform(0.2, 2.0), 3)
    before = Fault(
        FIRST_NUMBER + 200, round(draw.uniform(0.3, 2.0), 4), "saves late", "database",
        seconds=seconds, amount=draw.choice((1, 3, 10)),
    )  # fmt: skip
    step = draw.choice([step.number for step in erasing if step.kind == "erase"])
    return [before, replace(before, number=FIRST_NUMBER + 201, at_s=0.0, with_step=step)]


def _moves(draw: Random, setup: Setup, erasing: list[Step]) -> list[Fault]:
    """Shards go elsewhere as somebody is erased: before that, with it, or behind it; and he is
    erased, and started, by another host than that which remembers him."""
    if setup.hosts < 2 or draw.random() < 0.5:
        return []
    first = FIRST_NUMBER + 100
    return [
        Fault(
            first + number, round(draw.choice((0.0, draw.uniform(0.0, 0.3))), 4), "move",
            other=draw.choice(("around", host_name(draw.randrange(setup.hosts)))),
            amount=99, with_step=draw.choice(erasing).number,
        )
        for number in range(draw.choice((1, 1, 2)))
    ]  # fmt: skip


def _living(draw: Random, tenants: list[str], first: int) -> list[Step]:
    pace_s = draw.choice((0.05, 0.1, 0.3))
    steps: list[Step] = []
    kinds = ("Note",) * 6 + ("Rent", "Rent", "Pass", "Pass", "state", "repeat", "repeat")
    for number in range(first, first + draw.choice((10, 30, 60))):
        what, source = draw.choice(kinds), draw.choice(tenants)
        pause_s, waits = round(draw.expovariate(1 / pace_s), 4), draw.random() < 0.7
        again = [one for one in steps if one.message in ("Note", "Rent") and one.repeats is None]
        if what == "state":
            steps.append(Step(number, pause_s, "state", source, waits=waits))
        elif what == "repeat" and again:
            one = draw.choice(again)
            steps.append(
                Step(number, pause_s, "ask", one.source, one.message, one.fields, waits, one.number)
            )
        elif what == "Pass":
            steps.append(_passing(draw, tenants, number, pause_s))
        else:
            fields: dict[str, Any] = {"token": SECRET + number, "times": draw.choice((1, 1, 2))}
            if what == "Rent":
                fields = {
                    "token": SECRET + number, "key": draw.choice("ab"), "after_ms": _LATER_MS
                }  # fmt: skip
            kind = draw.choice(("ask", "ask", "tell"))
            message = "Rent" if what == "Rent" else "Note"
            steps.append(Step(number, pause_s, kind, source, message, fields, waits))
    return steps


def _passing(draw: Random, tenants: list[str], number: int, pause_s: float) -> Step:
    """From tenants to ledgers, the other way round, and back."""
    others = [*tenants, "ledger/0", "ledger/1"]
    way: list[str] = []
    for _ in range(draw.choice((1, 1, 2))):
        way += [draw.choice(others), draw.choice(("take", "take", "refuse", "idle"))]
    fields = {"token": number, "ways": [way]}
    return Step(number, pause_s, "ask", draw.choice(others), "Pass", fields, draw.random() < 0.5)


def _running(draw: Random, names: list[str]) -> list[Step]:
    return [
        Step(
            FIRST_STEP + 10_000 + number,
            round(draw.uniform(0.0, 0.5), 4),
            "program",
            more={"program": name, "workers": draw.choice((1, 1, 2))},
        )
        for number, name in enumerate(names)
    ]


def _erasing(draw: Random, tenants: list[str], first: int) -> list[Step]:
    steps = []
    for number in range(first, first + draw.choice((1, 2, 3, 5))):
        pause_s = round(draw.choice((draw.uniform(0.0, 0.2), draw.uniform(0.3, 3.0))), 4)
        source, waits = draw.choice(tenants), draw.random() < 0.8
        if number > first and draw.random() < 0.5:
            steps.append(Step(number, pause_s, "life", source, "Start", {}, waits))
        else:
            steps.append(Step(number, pause_s + 0.3, "erase", source, waits=waits))
    return steps


def _fault(draw: Random, number: int, setup: Setup, names: list[str], erasing: list[Step]) -> Fault:
    """In the moment of an erasure, mostly: somebody dies whom it needs, or who has read before it
    what is erased."""
    kind = draw.choice(
        ("crash",) * 4
        + ("replace", "replace", "hang", "epoch late", "driver dies")
        + ("commit unheard", "commit late", "database away", "database slow")
    )
    workers = [worker_name(name, index) for name in names for index in (0, 1)]
    hosts = [host_name(each) for each in range(setup.hosts)]
    target = draw.choice(
        (*hosts, *hosts, WRITER_ACTOR, BUS_ACTOR, TIMEKEEPER_ACTOR, DELIVERER_ACTOR, *workers)
    )
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 4.0))), 3)
    amount = round(draw.uniform(0.01, 0.5), 3)
    if kind.startswith(("database", "commit")):
        target, amount = "database", 1.0 if kind != "database slow" else 3.0
    elif kind == "driver dies":
        target = f"driver-{draw.randrange(setup.drivers)}"
    at_s = round(draw.choice((draw.uniform(0.0, 0.01), draw.uniform(0.0, 0.1))), 4)
    step = draw.choice([step.number for step in erasing if step.kind == "erase"])
    if draw.random() < 0.2:
        return Fault(number, round(draw.uniform(0.5, ACTIVE_S), 4), kind, target, "",
                     seconds, amount)  # fmt: skip
    return Fault(number, at_s, kind, target, "", seconds, amount, with_step=step)


async def erase(driver: "Driver", step: Step) -> Erasing:
    """Have a tenant erased."""
    history, reason = driver.history, f"as step {step.number} says"
    erasing = Erasing(step.number, step.source, reason)
    history.erasings.append(erasing)
    try:
        erasing.receipt = await erase_actor(driver.ref(step.source), reason, (), PATIENCE_S)
    except ThornbackError as error:
        erasing.error = type(error).__name__
        if erasing.error not in _PASSING:
            history.complain(f"erasing {step.source} ended with {error!r}")
    return erasing


def finish_erasings(simulation: "Simulation", prober: "Driver") -> None:
    """Nothing goes wrong any more: what somebody has begun is brought to its end, and who is over
    refuses everything."""
    if not simulation.history.erasings:
        return
    finishing = prober.start(_finish(simulation, prober))
    simulation.wait([finishing], ERASED_S, "after quiet an erasure does not end")
    simulation.loop.run_until(simulation.loop.time() + _BEGUN_ANEW_S)


async def _finish(simulation: "Simulation", prober: "Driver") -> None:
    last: dict[str, tuple[int, bool]] = {}
    for record in simulation.records():
        if record.source.startswith("tenant/") and record.event_type in _ENDS:
            over = record.event_type == "actor-erased"
            at = record.position if over else last.get(record.source, (0, False))[0]
            last[record.source] = at, over
    kept = {receipt.position for receipt in simulation.database.erasing.all()}
    for number, (source, (position, was_over)) in enumerate(last.items()):
        is_left = position > 0 and position not in kept
        if is_left:
            erasing = await erase(prober, Step(-950_000 - number, 0.0, "erase", source))
            if erasing.receipt is None:
                prober.history.complain(f"after quiet {source} is not erased: {erasing.error}")
        token = {"token": -950_000 - number, "times": 1}
        asked = Step(-960_000 - number, 0.0, "ask", source, "Note", token)
        call: Call = await prober.ask(asked)
        for _ in range(_TRIES):
            if call.error != "MailboxFull":  # of what actors tell one another, as in probing.py
                break
            await asyncio.sleep(0.1)
            call = await prober.ask(asked)
        if (is_left or was_over) and call.error != "ActorErased":
            prober.history.complain(f"{source} is erased, and answers {call.error or 'well'}")


def _us(event: Event) -> int:
    return microseconds(event.timestamp)


_ENDS = {"actor-erased", "actor-started"}
#: In which programs that were fenced off have begun anew.
_BEGUN_ANEW_S = 10.0
#: What erasing may end with: what it needs is away, or there is nothing.
_PASSING = {
    "HostUnavailable", "HostFailed", "AskTimeout", "StoreUnavailable", "BusUnavailable",
    "MailboxFull", "NotPossible", "ConnectionClosed", "SystemReplaced", "SystemDraining",
    "SystemNotFound", "StartFailed", "ActorsMoved", "RetriesExhausted", "NotErased",
}  # fmt: skip
