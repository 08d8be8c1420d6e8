"""A drain flushes in its order, waits for nobody without bound, and says what it saw."""

import asyncio
from collections.abc import Awaitable, Callable

from ray.exceptions import ActorUnavailableError

from runtime.cluster.draining import Drain
from runtime.topology.names import processes_among
from runtime.topology.status import DrainReport, Progress
from tests.virtual_time import now_s, virtual_time

NAMES = ("directory", "bus", "writer", "host-0", "host-1", "beacon/a")
Answer = Callable[[], Awaitable[int]]


class System:
    """Processes that answer `drain`, each after a second unless it is told otherwise."""

    def __init__(self) -> None:
        self.began: list[tuple[float, str]] = []
        self.answers: dict[str, Answer] = {}
        self.drain = Drain(processes_among(NAMES, {"beacon": "dedicated"}), self.drained, 30.0)

    def drained(self, name: str) -> Awaitable[int]:
        self.began.append((now_s(), name))
        return self.answers.get(name, self.second)()

    async def second(self) -> int:
        await asyncio.sleep(1)
        return 7


@virtual_time
async def test_hosts_are_flushed_side_by_side_and_the_writer_after_them() -> None:
    system = System()
    drained = await system.drain.run()
    assert sorted(system.began) == [
        (0.0, "beacon/a"), (0.0, "host-0"), (0.0, "host-1"), (1.0, "writer"),
    ]  # fmt: skip
    assert [each.name for each in drained][-1] == "writer"
    assert {each.settled for each in drained} == {7}
    assert DrainReport(processes=drained).problems == ()


@virtual_time
async def test_one_that_hangs_is_given_up_and_the_others_are_flushed_all_the_same() -> None:
    system = System()
    system.answers["host-0"] = _never
    report = DrainReport(processes=await system.drain.run())
    assert report.problems == ("host-0: not flushed within 30 s",)
    assert report["writer"].settled == 7
    assert now_s() == 31


@virtual_time
async def test_one_that_is_just_being_restarted_is_waited_for() -> None:
    system, tries = System(), 0

    async def restarted() -> int:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise ActorUnavailableError("host-0", None)
        return 3

    system.answers["host-0"] = restarted
    report = DrainReport(processes=await system.drain.run())
    assert (report.problems, report["host-0"].settled) == ((), 3)


@virtual_time
async def test_one_that_is_gone_for_good_is_a_problem_with_a_reason() -> None:
    system = System()
    system.answers["writer"] = _gone
    assert DrainReport(processes=await system.drain.run()).problems == (
        "writer: not flushed: ValueError",
    )


@virtual_time
async def test_a_report_has_every_problem_of_the_end_behind_those_of_the_processes() -> None:
    system = System()
    system.answers["writer"] = _gone
    end = ("the directory did not do it: it is gone", "the embedded PostgreSQL did not stop")
    report = DrainReport(processes=await system.drain.run(), end_problems=end)
    assert report.problems == ("writer: not flushed: ValueError", *end)


@virtual_time
async def test_the_progress_says_who_is_waited_for() -> None:
    system = System()
    system.answers["host-0"] = _never
    draining = asyncio.ensure_future(system.drain.run())
    await asyncio.sleep(2)
    assert system.drain.progress == Progress(doing="flushing host-0", done=2, processes=4)
    await asyncio.sleep(28.5)
    assert system.drain.progress == Progress(doing="flushing writer", done=3, processes=4)
    await draining


async def _never() -> int:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")


async def _gone() -> int:
    raise ValueError("no such actor")
