"""Readers of durable subscriptions: they stop in the middle, die, and take one another's place."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from actors.errors import ThornbackError
from runtime.driver.selecting import selection_of
from runtime.errors import SubscriptionTaken, SystemNotFound
from runtime.processing.durable_subscription import DurableSubscription
from store.errors import StoreUnavailable, SystemReplaced
from tests.simulation.history import Following, seen
from tests.simulation.plan import Setup, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver

#: What each durable subscription selects: event types, and sources.
FOLLOWED = {"totals": ("*", "*"), "alarms": ("noted", "*"), "feeds": ("*", "feed/*")}
#: And one that is dropped while it is read (dropping.py).
PASSING = {"passing": ("*", "*")}

#: How long opening one may take until somebody says something.
BEGIN_S = 60.0


def followers_of(seed: int, setup: Setup) -> list[list[Step]]:
    """By driver, what it follows: drawn apart from all its other work."""
    draw = stream(seed, "followers")
    if draw.random() < 0.4:
        return [[] for _ in range(setup.drivers)]
    names = draw.sample(sorted(FOLLOWED), draw.choice((1, 1, 2)))
    strands = []
    for driver in range(setup.drivers):
        steps = [
            Step(
                100_000 + 1_000 * driver + number, round(draw.uniform(0.0, 1.0), 4), "follow",
                more={
                    "name": draw.choice(names),
                    "after": draw.choice((0, 0, None)),
                    "turns": [draw.choice(_TURNS) for _ in range(draw.choice((1, 3, 8)))],
                },
            )
            for number in range(draw.choice((0, 2, 4)))
        ]  # fmt: skip
        strands.append(steps)
    return strands


async def follow(driver: "Driver", step: Step) -> None:
    """One reader, by its plan, to its end."""
    following = Following(step.number, driver.label, step.more["name"], driver.history.moment())
    driver.history.followings.append(following)
    began_s = driver.holder.loop.time()
    try:
        await _follows(driver, step, following)
    except SubscriptionTaken:
        following.taken = True
    except ThornbackError as error:
        away = driver.history.was_away(began_s, driver.holder.loop.time())
        if not (
            (type(error).__name__ == "ConnectionClosed" and driver.label != following.driver)
            or (isinstance(error, SystemNotFound) and away)
            or (isinstance(error, SystemReplaced) and driver.history.replaced)
        ):
            driver.history.complain(f"follower {step.number} ended with {error!r}")
    following.ended = driver.history.moment()


async def _follows(driver: "Driver", step: Step, following: Following) -> None:
    selection = selection_of(*(FOLLOWED | PASSING)[following.name])
    subscription = DurableSubscription(
        driver.connection, following.name, selection, step.more["after"]
    )
    try:
        begun = asyncio.wrap_future(subscription._inlet.begun)
        following.begins = await asyncio.wait_for(begun, BEGIN_S)
        following.opened = driver.history.moment()
        for number, turn in enumerate(step.more["turns"]):
            draw = stream(driver.holder.loop.seed, "following", step.number, number)
            if turn == "pause":
                await asyncio.sleep(draw.uniform(0.1, 3.0))
            elif turn == "finish":
                await _finish(driver, following, subscription)
            else:
                await _some(following, subscription, draw.randrange(1, 20), draw.choice((0.1, 2.0)))
    finally:
        if not driver.dead:  # a process that was killed closes nothing
            subscription.close()


async def _some(
    following: Following, subscription: DurableSubscription, most: int, patience_s: float
) -> None:
    """Up to so many events, waiting for each at most so long."""
    with suppress(TimeoutError):
        for _ in range(most):
            following.finished = len(following.events)  # as soon as the next one is asked for
            event = await asyncio.wait_for(anext(subscription), patience_s)
            following.events.append(seen(event))


async def _finish(
    driver: "Driver", following: Following, subscription: DurableSubscription
) -> None:
    """Say that all is finished, and wait for the log to know it."""
    something_new = following.finished < len(following.events)
    following.finished = len(following.events)
    said = driver.history.moment()
    with suppress(StoreUnavailable):
        position = await subscription.finish()
        following.said += [said] if something_new else []
        following.kept.append((driver.history.moment(), position))


_TURNS = ("some", "some", "some", "finish", "pause")
