"""A stream out of several logs: who is asked when, what is finished, and who may wait."""

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest

from runtime.errors import NotPossible
from runtime.processing.durable_subscription import DurableSubscription
from runtime.processing.merged_subscription import MergedSubscription


class Part(DurableSubscription):
    """A subscription whose events are given, and who says what was finished when."""

    def __init__(self, said: list[str], name: str) -> None:
        self._said, self._called = said, name
        self.events: list[Any] = []
        self.is_closed = False
        self.waiting: list[Future[None]] = []

    @property
    def closed(self) -> bool:
        return self.is_closed

    def begin_again(self) -> None:
        pass

    def finish_in_hand(self) -> None:
        self._said.append(f"{self._called} finishes")

    def next_now(self) -> Any:
        return self.events.pop(0) if self.events else None

    def waiter(self) -> "Future[None]":
        self.waiting.append(waiter := Future[None]())
        return waiter

    def give_back(self, waiter: "Future[None]") -> None:
        self.waiting.remove(waiter)

    def comes(self, *events: Any) -> None:
        self.events += events
        self.changed()

    def changed(self) -> None:
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        self.is_closed = True
        self.changed()


def parts() -> tuple[list[str], Part, Part, MergedSubscription]:
    said: list[str] = []
    one, other = Part(said, "one"), Part(said, "other")
    return said, one, other, MergedSubscription([one, other])


def test_one_part_after_the_other_has_its_turn_where_both_have_some() -> None:
    _, one, other, merged = parts()
    merged.TURN = 2
    merged._left = 2
    one.events, other.events = [1, 2, 3, 4], [10, 20, 30]
    stream: Any = iter(merged)
    assert [next(stream) for _ in range(7)] == [1, 2, 10, 20, 3, 4, 30]


async def test_what_is_in_hand_is_finished_once_the_next_one_is_asked_for() -> None:
    said, one, other, merged = parts()
    one.events = [1]
    assert await anext(merged) == 1
    said.clear()
    asking = asyncio.ensure_future(anext(merged))
    await asyncio.sleep(0)
    assert said == ["one finishes", "other finishes"]
    one.changed()  # nothing has come: whoever waits still has nothing in hand
    await asyncio.sleep(0.01)
    assert said == ["one finishes", "other finishes"]
    other.comes(2)
    assert await asking == 2
    assert one.waiting == other.waiting == []


async def test_it_has_one_reader() -> None:
    _, one, _, merged = parts()
    asking = asyncio.ensure_future(anext(merged))
    await asyncio.sleep(0)
    with pytest.raises(NotPossible, match="has one reader"):
        await anext(merged)
    one.comes(1)
    assert await asking == 1
    asking = asyncio.ensure_future(anext(merged))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    one.comes(2)
    assert await anext(merged) == 2


async def test_it_ends_where_it_is_closed_whoever_waits() -> None:
    _, one, other, merged = parts()
    asking = asyncio.ensure_future(anext(merged))
    await asyncio.sleep(0)
    merged.close()
    with pytest.raises(StopAsyncIteration):
        await asking
    assert list(merged) == []
    assert (one.closed, other.closed) == (True, True)
