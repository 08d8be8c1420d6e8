"""Subscribers: they come and go, pause, give up waiting, and come again from where they were."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from actors.errors import ThornbackError
from runtime.driver.selecting import selection_of
from runtime.driver.subscription import Subscription
from runtime.errors import SystemNotFound
from store.errors import SystemReplaced
from tests.simulation.history import Reading, seen
from tests.simulation.plan import Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver

#: How long subscribing may take until somebody says something.
BEGIN_S = 60.0


async def read(driver: "Driver", step: Step) -> None:
    """One subscription, by its plan, to its end."""
    after = driver.position if step.more["after"] == "last" else step.more["after"]
    reading = Reading(
        number=step.number, driver=driver.label, after=after,
        event_types=step.more["types"], sources=step.more["sources"], stays=step.more["stays"],
    )  # fmt: skip
    driver.history.readings.append(reading)
    try:
        await _reads(driver, step, reading)
    except ThornbackError as error:
        reading.error = f"{type(error).__name__}: {error}"
        if type(error).__name__ == "ConnectionClosed" and driver.label != reading.driver:
            reading.closed = True
        elif isinstance(error, SystemNotFound) and driver.history.was_away(
            reading.began_s, driver.holder.loop.time()
        ):
            reading.closed = True  # it began where there was no system
        elif isinstance(error, SystemReplaced) and driver.history.replaced:
            reading.closed = True
        else:
            driver.history.complain(f"subscription {step.number} ended with {reading.error}")


async def _reads(driver: "Driver", step: Step, reading: Reading) -> None:
    subscription: Any = await _subscribed(driver, reading, reading.after)
    try:
        for number, way in enumerate(step.more["reads"]):
            draw = stream(driver.holder.loop.seed, "reading", step.number, number)
            if way == "pause":
                await asyncio.sleep(draw.uniform(0.1, 3.0))
            elif way == "give up":
                await _some(driver, reading, subscription, 1000, draw.uniform(0.0001, 0.1))
            elif way == "another reader":
                after, inlet = subscription.position, subscription._inlet
                if draw.random() < 0.5:
                    subscription.close()
                subscription = None  # dropped, if it was not closed
                await asyncio.sleep(0)
                if not inlet.over():
                    driver.history.complain(f"subscription {step.number} outlives its readers")
                subscription = await _subscribed(driver, reading, after)
            else:
                await _some(driver, reading, subscription, draw.randrange(1, 20), 2.0)
        while reading.stays:
            await _some(driver, reading, subscription, 1000, 1000.0)
        reading.position = subscription.position
    finally:
        # Here and now: when the collector of garbage would do it, no seed says.
        if subscription is not None:
            subscription.close()


async def _subscribed(driver: "Driver", reading: Reading, after: int | None) -> Subscription:
    wanted = selection_of(reading.event_types, reading.sources)
    reading.began_s = driver.holder.loop.time()
    subscription = Subscription(driver.connection, wanted, after)
    if after is None:
        begun = asyncio.wrap_future(subscription._inlet.begun)
        await asyncio.wait_for(begun, BEGIN_S)
        if reading.head < 0:
            reading.head = driver.log_head()
    return subscription


async def _some(
    driver: "Driver", reading: Reading, subscription: Subscription, most: int, patience_s: float
) -> None:
    """Up to so many events, waiting for each at most so long."""
    with suppress(TimeoutError):
        for _ in range(most):
            event = await asyncio.wait_for(anext(subscription), patience_s)
            reading.events.append(seen(event))
            reading.moments.append(driver.history.moment())
            reading.position = driver.position = subscription.position
