"""How the events of a log are counted: a stretch at a time, once, and with patience."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateways.web.census import Census
from store.errors import StoreUnavailable
from store.event_store import Counts, TypeCount


class Log:
    """Stands in for a LogStore over a log of one type, whose sources are all of any prefix."""

    def __init__(self, head: int) -> None:
        self.head = head
        self.asked: list[tuple[str, int]] = []  #: prefix, and after which position
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def ask(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        await self.answers.wait()
        if self.away:
            raise StoreUnavailable("the log", "on purpose")
        return await question(self)

    async def count(self, after: int, limit: int, prefix: str) -> Counts:
        self.asked.append((prefix, after))
        through = min(after + limit, self.head)
        if through == after:
            return Counts(types=(), through=after)
        found = TypeCount(
            actor_type="boiler",
            event_type="heated",
            events=through - after,
            newcomers=1 if after == 0 else 0,
            position=through,
            recorded_us=0,
        )
        return Counts(types=(found,), through=through)


@pytest.fixture
def log() -> Log:
    return Log(head=250_000)


async def test_a_log_is_counted_a_stretch_at_a_time_and_no_stretch_twice(log: Log) -> None:
    census = Census(log)  # type: ignore[arg-type]
    counted = await census.counted("")
    (heated,) = counted.types
    assert (heated.events, heated.newcomers, heated.position) == (250_000, 1, 250_000)
    assert (counted.through, counted.complete) == (250_000, True)
    log.head += 1
    assert (await census.counted("")).through == 250_001
    first = [*range(0, 250_001, Census.STRETCH)]
    assert [after for _, after in log.asked] == [*first, 250_000, 250_001]


async def test_those_who_ask_at_once_share_one_count(log: Log) -> None:
    census = Census(log)  # type: ignore[arg-type]
    first, second = await asyncio.gather(census.counted(""), census.counted(""))
    assert first == second
    assert [after for _, after in log.asked] == [*range(0, 250_001, Census.STRETCH)]


async def test_a_long_count_is_told_of_as_far_as_it_has_come(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Census, "PATIENCE_S", 0.01)
    census = Census(log)  # type: ignore[arg-type]
    log.answers.clear()
    waiting = await census.counted("")
    assert (waiting.types, waiting.through, waiting.complete) == ((), 0, False)
    log.answers.set()
    monkeypatch.setattr(Census, "PATIENCE_S", 10.0)
    assert (await census.counted("")).complete


async def test_a_log_that_is_away_is_told_and_counted_on_when_it_is_back(log: Log) -> None:
    census = Census(log)  # type: ignore[arg-type]
    await census.counted("")
    log.away = True
    with pytest.raises(StoreUnavailable):
        await census.counted("")
    log.away, log.head = False, 250_005
    assert (await census.counted("")).through == 250_005


async def test_the_prefix_that_nobody_has_asked_for_longest_is_forgotten(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Census, "MOST", 2)
    census = Census(log)  # type: ignore[arg-type]
    for prefix in ("a", "b", "a", "c"):
        await census.counted(prefix)
    log.asked.clear()
    for prefix in ("a", "b"):
        await census.counted(prefix)
    assert ("a", 0) not in log.asked
    assert ("b", 0) in log.asked


async def test_who_waits_for_a_count_has_it_however_many_others_ask_meanwhile(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Census, "MOST", 2)
    census = Census(log)  # type: ignore[arg-type]
    log.answers.clear()
    waiting = [asyncio.ensure_future(census.counted(prefix)) for prefix in "abcd"]
    await asyncio.sleep(0)
    log.answers.set()
    for counted in await asyncio.gather(*waiting):
        assert counted.complete
    log.asked.clear()
    for prefix in "dcba":
        await census.counted(prefix)
    assert [prefix for prefix, after in log.asked if not after] == ["b", "a"], "two are remembered"
