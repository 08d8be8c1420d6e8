"""Members of groups, each a program of its own: they join, read and pause, hang, leave and die."""

import asyncio
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING

from actors.errors import ThornbackError
from runtime.driver.selecting import selection_of
from runtime.errors import ShareTaken, SubscriptionTaken, SystemNotFound
from runtime.processing.group_subscription import GroupSubscription
from store.errors import StoreUnavailable, SystemReplaced
from tests.simulation.history import Belonging, seen
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver
    from tests.simulation.simulation import Simulation

#: What each group selects: event types, and sources.
GROUPED = {"mail": ("*", "*"), "bells": ("noted", "*")}
#: And one that is dropped while it is read (dropping.py).
CROWD = {"crowd": ("*", "*")}

#: The number of the fault that is theirs.
FIRST_NUMBER = 2_000
#: How long joining one may take until somebody says something.
BEGIN_S = 60.0
#: Seconds in which a group comes to the end of the log: those who have died are to be out, and
#: there may be one after the other of whom others learn.
PROBED_S = 30.0

_TURNS = ("some", "some", "some", "slowly", "slowly", "finish", "pause", "hang", "again")
_ENDS = ("close", "close", "die", "stay", "stay")


def members_of(seed: int, setup: Setup, faults: list[Fault]) -> list[Step]:
    """The members that there are to be, drawn apart from all other work: `pause_s` says when each
    of them joins. Where there are several, the database may be away for about as long as they may
    be silent, which is to put nobody out."""
    draw = stream(seed, "members")
    if draw.random() < 0.75:
        return []
    silent_ms = draw.choice((3_000, 3_000, 8_000))
    setup.settings.setdefault("processing", {})["member_timeout_ms"] = silent_ms
    name = draw.choice(sorted(GROUPED))
    after = draw.choice((0, 0, 0, None))
    latest_s = draw.choice((2.0, ACTIVE_S))  # mostly together, or one after the other
    members = [
        Step(
            200_000 + number, round(draw.uniform(0.3, latest_s), 4), "member",
            more={
                "name": name,
                "after": after,
                "turns": [draw.choice(_TURNS) for _ in range(draw.choice((1, 3, 8, 15)))],
                "end": draw.choice(_ENDS),
                "hangs_s": round(draw.uniform(0.3, 3.0) * silent_ms / 1000, 3),
            },
        )
        for number in range(_count(draw))
    ]  # fmt: skip
    if len(members) > 1 and draw.random() < 0.4:
        faults.append(_away(draw, silent_ms / 1000))
        faults.sort(key=lambda fault: fault.at_s)
    return members


def _away(draw: Random, silent_s: float) -> Fault:
    at_s, kind = (
        round(draw.uniform(2.0, ACTIVE_S), 4),
        draw.choice(("database away", "database silent")),
    )
    seconds = round(draw.uniform(0.9, 1.6) * silent_s, 3)
    return Fault(FIRST_NUMBER, at_s, kind, "database", seconds=seconds)


def _count(draw: Random) -> int:
    """How many; sometimes more than there are slots."""
    return 18 if draw.random() < 0.05 else draw.choice((1, 2, 3, 3, 4, 5))


async def belong(driver: "Driver", step: Step) -> None:
    """One member, by its plan, to its end."""
    await asyncio.sleep(step.pause_s)
    belonging = Belonging(step.number, step.more["name"])
    driver.history.belongings.append(belonging)
    began_s = driver.holder.loop.time()
    try:
        await _belongs(driver, step, belonging)
    except SubscriptionTaken:
        belonging.lost = driver.history.moment()
    except ThornbackError as error:
        away = driver.history.was_away(began_s, driver.holder.loop.time())
        if not (
            (isinstance(error, SystemNotFound) and away)
            or (isinstance(error, SystemReplaced) and driver.history.replaced)
        ):
            driver.history.complain(f"member {step.number} ended with {error!r}")


def probe_groups(simulation: "Simulation") -> None:
    """After quiet, a member that comes new, and those that are there, come to the end of the log:
    whoever has died has nothing any more."""
    for name in GROUPED:
        if simulation.database.groups.slots(name):
            prober = simulation.driver(f"prober-{name}")
            more: dict[str, object] = {"name": name, "after": None, "turns": [], "end": "stay"}
            step = Step(300_000, 0.0, "member", more=more)
            prober.holder.create_task(belong(prober, step))
            simulation.heads[name] = len(simulation.database.rows)
    if simulation.heads:
        simulation.loop.run_until(simulation.loop.time() + PROBED_S)


async def _belongs(driver: "Driver", step: Step, belonging: Belonging) -> None:
    selection = selection_of(*(GROUPED | CROWD)[belonging.name])
    subscription = GroupSubscription(
        driver.connection, belonging.name, selection, step.more["after"]
    )
    belonging.member = subscription._checkpoint._member
    try:
        await asyncio.wait_for(asyncio.wrap_future(subscription._inlet.begun), BEGIN_S)
        belonging.joined = driver.history.moment()
        for number, turn in enumerate(step.more["turns"]):
            draw = stream(driver.holder.loop.seed, "member", step.number, number)
            if turn == "pause":
                await asyncio.sleep(draw.uniform(0.1, 3.0))
            elif turn == "hang":
                _hang(driver, step.more["hangs_s"])
                await asyncio.sleep(0)
            elif turn == "again":
                aiter(subscription)  # whoever works at an event has failed
                belonging.give_back(driver.history.moment())
            elif turn == "finish":
                await _finish(driver, belonging, subscription)
            elif turn == "slowly":
                works_s = draw.uniform(0.1, 0.8)
                await _some(driver, belonging, subscription, draw.randrange(2, 7), 1.0, works_s)
            else:
                await _some(driver, belonging, subscription, draw.randrange(1, 20), 1.0)
        if step.more["end"] == "die":
            _die(driver)
            await asyncio.sleep(0)
        belonging.stays = step.more["end"] == "stay"
        while step.more["end"] == "stay":
            await _some(driver, belonging, subscription, 1_000, 1_000.0)
    finally:
        if not (driver.dead or driver.holder.loop._over):  # who was killed closes nothing
            subscription.close()


def _hang(driver: "Driver", seconds: float) -> None:
    """As by SIGSTOP, and SIGCONT."""
    holder = driver.holder
    holder.stop()
    holder.loop.world.later(seconds, holder.go_on)


def _die(driver: "Driver") -> None:
    """As by kill -9."""
    driver.dead = True
    driver.holder.kill()
    driver.world.cluster.network.died(driver.holder, stream(driver.holder.loop.seed, driver.name))


async def _some(
    driver: "Driver",
    belonging: Belonging,
    subscription: GroupSubscription,
    most: int,
    patience_s: float,
    works_s: float = 0.0,
) -> None:
    """Up to so many events, waiting for each at most so long, and working at it for a while."""
    with suppress(TimeoutError):
        for _ in range(most):
            belonging.finish()  # as soon as the next one is asked for
            event = await asyncio.wait_for(anext(subscription), patience_s)
            belonging.take(driver.history.moment(), seen(event))
            if works_s:
                await asyncio.sleep(works_s)


async def _finish(driver: "Driver", belonging: Belonging, subscription: GroupSubscription) -> None:
    """Say that all is finished, and wait for the log to know it."""
    belonging.finish()
    finished = len(belonging.finished)
    try:
        await subscription.finish()
    except StoreUnavailable:
        return
    except ShareTaken:
        belonging.told = finished
    else:
        belonging.kept.append((driver.history.moment(), belonging.told, finished))
