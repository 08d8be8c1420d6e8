"""A limit that stands still: in virtual time."""

import asyncio

import pytest

from runtime.process.time_limit import within
from tests.virtual_time import now_s, virtual_time


class Uncounted:
    """Seconds that do not count: those from `begin_s` to `end_s`."""

    def __init__(self, begin_s: float = 0.0, end_s: float = 0.0) -> None:
        self.begin_s, self.end_s = begin_s, end_s

    def __call__(self) -> float:
        return max(min(now_s(), self.end_s) - self.begin_s, 0.0)


@virtual_time
async def test_work_that_is_done_in_time_is_done() -> None:
    assert await within(10.0, asyncio.sleep(9.0, "done"), Uncounted()) == "done"


@virtual_time
async def test_work_that_takes_too_long_is_cancelled() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(100.0)
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await within(10.0, work(), Uncounted())
    assert now_s() == 10.0
    assert ended.is_set()


@virtual_time
async def test_time_that_does_not_count_is_added() -> None:
    assert await within(10.0, asyncio.sleep(1009.0, "done"), Uncounted(5.0, 1005.0)) == "done"


@virtual_time
async def test_time_after_what_does_not_count_counts_again() -> None:
    with pytest.raises(TimeoutError):
        await within(10.0, asyncio.sleep(2000.0), Uncounted(5.0, 1005.0))
    assert 1010.0 <= now_s() <= 1012.0


@virtual_time
async def test_what_was_uncounted_before_is_not_added() -> None:
    await asyncio.sleep(50.0)
    with pytest.raises(TimeoutError):
        await within(10.0, asyncio.sleep(100.0), Uncounted(0.0, 50.0))
    assert now_s() == 60.0


@virtual_time
async def test_what_the_work_raises_is_raised_and_who_is_cancelled_cancels_it() -> None:
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(10.0, fails(), Uncounted())
    work = asyncio.ensure_future(asyncio.sleep(100.0))
    waiting = asyncio.ensure_future(within(10.0, work, Uncounted()))
    await asyncio.sleep(1.0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cancelled()
