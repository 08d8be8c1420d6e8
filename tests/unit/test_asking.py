"""A question to a process that is being started anew: put again until somebody answers."""

import asyncio

import pytest

from runtime.transport.asking import PAUSES_S, soonest
from tests.virtual_time import now_s, virtual_time


class Away(Exception):
    """What Ray says of a call to a process that has died, a second later."""


class Process:
    """Dies at 0: what was asked before it `lives` again fails late; it answers when it is back."""

    def __init__(self, *, lives_s: float, back_s: float, told_s: float = 1.2) -> None:
        self.lives_s, self.back_s, self.told_s = lives_s, back_s, told_s
        self.asked = 0

    async def answer(self) -> str:
        self.asked += 1
        if now_s() < self.lives_s:
            await asyncio.sleep(self.told_s)
            raise Away
        await asyncio.sleep(max(self.back_s - now_s(), 0.0))
        return "here"


@virtual_time
async def test_what_is_asked_again_is_answered_as_soon_as_the_process_is_back() -> None:
    process = Process(lives_s=0.16, back_s=0.19)
    assert await soonest(process.answer) == "here"
    assert now_s() == pytest.approx(0.19)
    assert process.asked == 7  # at 0, 50, and every 25 ms, the last of them at 175


@virtual_time
async def test_a_process_that_is_back_is_asked_within_25_ms() -> None:
    process = Process(lives_s=0.231, back_s=0.231)
    assert await soonest(process.answer) == "here"
    assert now_s() <= 0.231 + 0.025


@virtual_time
async def test_a_process_that_is_there_is_asked_once() -> None:
    process = Process(lives_s=0.0, back_s=0.0)
    assert await soonest(process.answer) == "here"
    assert process.asked == 1


@virtual_time
async def test_a_process_that_stays_away_is_said_to_be_so_by_the_first_question() -> None:
    process = Process(lives_s=60.0, back_s=60.0)
    with pytest.raises(Away):
        await soonest(process.answer)
    assert now_s() == pytest.approx(1.2)


@virtual_time
async def test_a_process_that_hangs_is_asked_so_often_and_no_more() -> None:
    process = Process(lives_s=0.0, back_s=50.0)
    assert await soonest(process.answer) == "here"
    assert process.asked == len(PAUSES_S)
    assert now_s() == pytest.approx(50.0)
