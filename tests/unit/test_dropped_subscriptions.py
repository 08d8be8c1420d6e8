"""Subscriptions that nobody closes: they end when nobody holds them, and not before."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from contextlib import suppress
from weakref import ref

import pytest

from runtime.driver.subscription import Subscription
from runtime.errors import ConnectionClosed
from tests.unit.subscribing import LIMIT_S, Driving, taken


@pytest.fixture
def driving() -> Iterator[Driving]:
    one = Driving()
    yield one
    one.connection.close()


def feeds(driving: Driving) -> int:
    """How many the connection has, when its loop has come to all that it was told."""

    async def count() -> int:
        return len(driving.connection.log._feeds)

    return driving.run(count())


def test_a_subscription_that_nobody_holds_is_closed_and_said(
    driving: Driving, caplog: pytest.LogCaptureFixture
) -> None:
    driving.commit("device/a", "device/b", "device/c")
    for event in driving.subscribe():
        assert event.position == 1
        break
    with caplog.at_level(logging.INFO, "thornback.driver"):
        gc.collect()
        assert feeds(driving) == 0
    assert "everything was dropped without being closed" in caplog.text
    assert not driving.connection._on_close
    kept = driving.subscribe()
    gc.collect()
    assert feeds(driving) == 1
    assert taken(kept, 3) == [1, 2, 3]


def test_a_subscription_that_ended_says_nothing_when_it_goes(
    driving: Driving, caplog: pytest.LogCaptureFixture
) -> None:
    driving.subscribe().close()
    with caplog.at_level(logging.INFO, "thornback.driver"):
        gc.collect()
        assert feeds(driving) == 0
    assert not caplog.text


def test_one_that_its_own_connection_leads_to_goes_with_it() -> None:
    driving = Driving()
    subscription = driving.subscribe()
    driving.connection.world.reader = subscription  # type: ignore[attr-defined]
    driving.connection.close()
    there = ref(subscription)
    del driving, subscription
    gc.collect()
    assert there() is None


async def test_a_task_that_waits_for_events_is_held_though_nobody_else_holds_it(
    driving: Driving,
) -> None:
    """As whatever waits for a socket is, by its loop."""
    found: list[int | None] = []
    waiting, seen = asyncio.Event(), asyncio.Event()

    async def read(subscription: Subscription) -> None:
        waiting.set()
        with suppress(ConnectionClosed):
            async for event in subscription:
                found.append(event.position)
                seen.set()

    asyncio.get_running_loop().create_task(read(driving.subscribe()))
    await waiting.wait()
    for _ in range(3):
        await asyncio.sleep(0)
        gc.collect()
    driving.commit("device/a")
    async with asyncio.timeout(LIMIT_S):
        await seen.wait()
    assert found == [1]
    driving.connection.close()
    await asyncio.sleep(0)
