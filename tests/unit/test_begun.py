"""What is begun runs at once up to where it waits, and is a task from there on."""

import asyncio

import pytest

from runtime.transport.begun import begun


async def test_the_first_step_is_done_before_the_call_returns() -> None:
    steps = []
    gate = asyncio.get_running_loop().create_future()

    async def work() -> str:
        steps.append("begun")
        steps.append(await gate)
        return "done"

    going = begun(work())
    assert steps == ["begun"]
    assert not going.done()
    gate.set_result("went on")
    assert await going == "done"
    assert steps == ["begun", "went on"]


async def test_what_never_waits_is_done_at_once() -> None:
    async def work() -> int:
        return 7

    going = begun(work())
    assert going.done()
    assert going.result() == 7


async def test_what_fails_at_once_fails_those_who_await_it() -> None:
    async def work() -> None:
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        await begun(work())


async def test_it_meets_what_it_waits_for_as_any_task_does() -> None:
    gate = asyncio.get_running_loop().create_future()
    met: list[str] = []

    async def work() -> str:
        try:
            await gate
        except ValueError as error:
            met.append(str(error))
        await asyncio.sleep(0)
        return "went on"

    going = begun(work())
    gate.set_exception(ValueError("failed"))
    assert await going == "went on"
    assert met == ["failed"]


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_it_can_be_cancelled_wherever_it_waits(turns: int) -> None:
    ended: list[str] = []
    gate = asyncio.get_running_loop().create_future()

    async def work() -> None:
        try:
            await gate
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    going = begun(work())
    for _ in range(turns):
        await asyncio.sleep(0)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert ended == ["cancelled"]
