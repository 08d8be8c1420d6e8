"""Where a system stands in its life: what its directory refuses, shares and undoes."""

import asyncio

import pytest

from runtime.cluster.lifecycle import Lifecycle
from runtime.errors import SystemDraining
from runtime.topology.status import DrainReport
from store.errors import SystemReplaced


def life(*, found_running: bool = False) -> Lifecycle:
    return Lifecycle("fleet", found_running=found_running)


def test_a_failed_start_is_in_vain_unless_somebody_else_waits_or_something_ran_before() -> None:
    launched = life()
    with launched.launching(take_over=False):
        assert launched.in_vain
        with launched.launching(take_over=False):
            assert not launched.in_vain
        assert launched.in_vain
    running = life(found_running=True)
    with running.launching(take_over=False):
        assert not running.in_vain


def test_a_launch_that_takes_over_does_so_for_as_long_as_any_launch_waits() -> None:
    launched = life()
    with launched.launching(take_over=False):
        with launched.launching(take_over=True):
            assert launched.takes_over
        assert launched.takes_over
    assert not launched.takes_over
    with launched.launching(take_over=False):
        assert not launched.takes_over


def test_a_system_that_was_replaced_says_so_and_is_not_undone() -> None:
    launched = life()
    launched.check_not_replaced()
    launched.replaced = SystemReplaced("the log", "it went to another")
    with pytest.raises(SystemReplaced, match="it went to another"):
        launched.check_not_replaced()
    with launched.launching(take_over=False):
        assert not launched.in_vain


async def test_whoever_drains_meanwhile_shares_the_drain_and_nobody_is_let_in_any_more() -> None:
    running, flushed, begun = life(), asyncio.Event(), 0

    async def stop() -> DrainReport:
        nonlocal begun
        begun += 1
        await flushed.wait()
        return DrainReport(processes=())

    running.check_not_draining()
    first = asyncio.ensure_future(running.drain(stop))
    second = asyncio.ensure_future(running.drain(stop))
    await asyncio.sleep(0)
    with pytest.raises(SystemDraining, match="fleet"):
        running.check_not_draining()
    flushed.set()
    assert await first is await second
    assert begun == 1


async def test_a_drain_goes_on_when_whoever_asked_for_it_leaves() -> None:
    running, flushed = life(), asyncio.Event()

    async def stop() -> DrainReport:
        await flushed.wait()
        return DrainReport(processes=())

    asked = asyncio.ensure_future(running.drain(stop))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    flushed.set()
    assert (await running.drain(stop)).problems == ()
