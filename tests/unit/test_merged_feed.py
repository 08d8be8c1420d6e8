"""Following the logs of several partitions, on buses and logs of the tests: whoever follows meets
the same events in the same order, whoever else does."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from actors.event import Event
from runtime.partition.log_access import LogAccess
from runtime.processing.merged_feed import MergedFeed
from runtime.processing.merging import MergedPage
from store.errors import StaleCheckpoint
from store.merges import Leg, Merge
from store.rows.decoding import Decoder
from store.selection import Selection
from tests.unit.feeding import Partition

MINE = Selection(sources=("mine/*",))


class Logs:
    """A worker's way to all logs (LogsOfPartitions)."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        self.logs = [partition.access() for partition in partitions]

    async def all(self) -> list[LogAccess]:
        return self.logs


class Following:
    """A worker that follows."""

    def __init__(self, partitions: Sequence[Partition], merge: Merge, after: int) -> None:
        self._news = asyncio.Event()
        self.pages: list[MergedPage] = []
        self.logs = Logs(partitions)
        logs: Any = self.logs
        store = partitions[0].log
        self.feed = MergedFeed(store, merge, logs, MINE, after, self._news.set, lambda: 10**15)

    @property
    def events(self) -> list[Event]:
        return [event for page in self.pages for event in Decoder().events(page.rows)]

    async def until(self, there: Callable[[], bool]) -> None:
        """Follow until that is so. Raises what ended it."""
        while not there():
            self._news.clear()
            if (page := self.feed.take()) is not None:
                self.pages.append(page)
            else:
                await self._news.wait()

    async def close(self) -> None:
        self.feed.close()
        for log in self.logs.logs:
            await log.close()


def in_logs(partitions: Sequence[Partition]) -> int:
    """The events that are selected."""
    return sum(
        event.source.startswith("mine/")
        for partition in partitions
        for event in Decoder().events(b"".join(partition.log._rows))
    )


async def test_all_who_follow_meet_the_same_order_and_event_time() -> None:
    partitions = [Partition(buffer_size=20), Partition(buffer_size=20), Partition()]
    for number in range(30):  # more than the buses have kept
        await partitions[number % 2].commit(f"mine/{number % 2}", "other/x")
    merge = await partitions[0].log.make_merge("totals", [0, 3, 0])
    several = [Following(partitions, merge, merge.start) for _ in range(3)]
    for number in range(20):
        await partitions[number % 3].commit(f"mine/{number % 3}")
    there = in_logs(partitions) - 2  # of the three positions that were passed over two are mine
    await asyncio.gather(
        *(each.until(lambda each=each: len(each.events) >= there) for each in several)  # type: ignore[misc]
    )
    first = several[0]
    assert [event.id for event in first.events] == [event.id for event in several[1].events]
    for each in several:
        assert each.events == first.events
        assert times(each) == times(first)
        assert len(each.events) == there
    for source in ("mine/0", "mine/1", "mine/2"):
        versions = [event.version or 0 for event in first.events if event.source == source]
        assert versions == sorted(versions)
        assert versions
    # Who comes later, wherever he begins, meets the same: also in the midst of a leg.
    for event in first.events[::7]:
        place = event.position or 0
        late = Following(partitions, merge, place)
        left = [each for each in first.events if (each.position or 0) > place]
        await late.until(lambda late=late, left=left: len(late.events) >= len(left))  # type: ignore[misc]
        assert late.events == left
        assert times(late) == {at: us for at, us in times(first).items() if at > place}
        await late.close()
    for each in several:
        await each.close()


def times(following: Following) -> dict[int, int]:
    """How far event time has come by each event."""
    return {place: us for page in following.pages for place, us in page.times.items()}


async def test_who_is_slower_goes_by_what_the_other_one_has_put_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partitions = [Partition(), Partition()]
    await partitions[0].commit("mine/0", "mine/0", "mine/0")
    await partitions[1].commit("mine/1")
    log = partitions[0].log
    merge = await log.make_merge("totals", [0, 0])
    own = log.extend_merge
    others = [leg(0, 1, 0, 1), leg(1, 0, 0, 2)]

    async def extend(merge: Merge, legs: Sequence[Leg]) -> bool:
        if others:
            assert await own(merge, others)
            others.clear()
        return await own(merge, legs)

    monkeypatch.setattr(log, "extend_merge", extend)
    following = Following(partitions, merge, 0)
    await following.until(lambda: len(following.events) == 4)
    assert [event.source for event in following.events] == ["mine/1", "mine/0", "mine/0", "mine/0"]
    assert [event.position for event in following.events] == [1, 2, 3, 4]
    await following.close()


async def test_a_log_that_is_away_ends_it_and_begun_anew_it_goes_on() -> None:
    partitions = [Partition(), Partition()]
    await partitions[1].commit("mine/1")
    merge = await partitions[0].log.make_merge("totals", [0, 0])
    assert await partitions[0].log.extend_merge(merge, [leg(0, 1, 0, 1)])
    partitions[1].restart_bus()
    partitions[1].log.away = True
    following = Following(partitions, merge, 0)
    with pytest.raises(Exception, match="on cue"):
        await following.until(lambda: bool(following.pages))
    await following.close()
    partitions[1].log.away = False
    again = Following(partitions, merge, 0)
    await again.until(lambda: len(again.events) == 1)
    # What it has read of the log itself comes again from what it follows, and is not new.
    for number in range(5):
        await partitions[1].commit("mine/1")
        await again.until(lambda count=number + 2: len(again.events) >= count)  # type: ignore[misc]
    assert [event.version for event in again.events] == [1, 2, 3, 4, 5, 6]
    await again.close()


async def test_who_follows_a_merge_that_is_gone_is_told() -> None:
    partitions = [Partition(), Partition()]
    merge = await partitions[0].log.make_merge("totals", [0, 0])
    following = Following(partitions, merge, 0)
    await partitions[0].log.drop_program("totals")
    await partitions[1].commit("mine/1")
    with pytest.raises(StaleCheckpoint):
        await following.until(lambda: bool(following.pages))
    await following.close()


def leg(after: int, partition: int, log_after: int, length: int) -> Leg:
    return Leg(
        after=after, partition=partition, log_after=log_after, length=length, merged_us=1,
        newest_us=1, heard_us=1,
    )  # fmt: skip
