"""Which incarnation of a directory has the system, by what Ray answers and how fast."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.exceptions import ActorUnavailableError

from runtime.cluster.succession import Succession
from runtime.process.world import World
from tests.virtual_time import virtual_time

OURS = b"12345678"


class Head:
    """What answers to the directory's name, and after how long."""

    def __init__(self, answer: Callable[[int], bytes], seconds: float) -> None:
        self.asked = 0
        self._answer, self._seconds = answer, seconds

    def world(self) -> World:
        """The world of a directory that asks here."""
        mark = SimpleNamespace(remote=self._mark)
        actors = SimpleNamespace(find=lambda name: SimpleNamespace(mark=mark))
        return cast(World, SimpleNamespace(random=lambda count: OURS[:count], actors=actors))

    async def _mark(self) -> bytes:
        self.asked += 1
        await asyncio.sleep(self._seconds)
        return self._answer(self.asked)


def unavailable_once(asked: int) -> bytes:
    if asked == 1:
        raise ActorUnavailableError("restarting", None)
    return OURS


@pytest.mark.parametrize(
    ("answer", "ours", "asked"),
    [(lambda _: OURS, True, 1), (lambda _: b"another!", False, 1), (unavailable_once, True, 2)],
)
@virtual_time
async def test_the_one_that_ray_leads_to_has_the_system(
    answer: Any, ours: bool, asked: int
) -> None:
    head = Head(answer, seconds=0.01)
    assert await Succession("directory", head.world()).is_ours() is ours
    assert head.asked == asked


@virtual_time
async def test_an_answer_holds_for_a_while_and_is_asked_for_again_then() -> None:
    head = Head(lambda _: OURS, seconds=0.01)
    succession = Succession("directory", head.world())
    assert await succession.is_ours()
    assert await succession.is_ours()
    assert head.asked == 1
    await asyncio.sleep(Succession.HOLDS_S)
    assert await succession.is_ours()
    assert head.asked == 2


@virtual_time
async def test_an_end_ends_although_every_answer_comes_late() -> None:
    head = Head(lambda _: OURS, seconds=2 * Succession.HOLDS_S)
    assert await Succession("directory", head.world()).is_ours()
    assert 1 < head.asked <= Succession.LATE + 1
