"""Reading several logs as one, on stores in memory: whoever reads, and wherever he begins, meets
the same events at the same places, and event time comes as far by each of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from actors.event import Event
from runtime.processing.merged_reading import MergedReading
from runtime.processing.merged_time import MergedTime
from store.errors import StaleCheckpoint
from store.memory import MemoryEventStore
from store.merges import Leg, Merge
from store.rows.decoding import Decoder
from store.selection import EVERYTHING, Selection
from streams.program import NEVER
from tests.contracts.appending import Log, made_event

DAY = datetime(2024, 1, 1, tzinfo=UTC)
IDLE_US = MergedTime.IDLE_US


class LogOf:
    """What is asked of a log (LogAccess), which is in memory."""

    def __init__(self, store: MemoryEventStore) -> None:
        self.store = store

    async def read(self, after: int, limit: int, selection: Selection) -> Any:
        return await self.store.read(after, limit, selection=selection)

    async def ask(self, question: Callable[[MemoryEventStore], Any]) -> Any:
        return await question(self.store)


class Logs:
    """Those of all partitions (LogsOfPartitions)."""

    def __init__(self, stores: Sequence[MemoryEventStore]) -> None:
        self.stores = stores

    def __len__(self) -> int:
        return len(self.stores)

    async def all(self) -> Any:
        return [LogOf(store) for store in self.stores]


@dataclass
class Merged:
    """A merge of logs, and what reads it."""

    stores: list[MemoryEventStore]
    merge: Merge
    reading: MergedReading
    legs: list[Leg]

    async def read(self, after: int, limit: int, selection: Selection = EVERYTHING) -> Any:
        return await self.reading.read(after, limit, selection)

    async def events(self, after: int, through: int, limit: int) -> list[tuple[Event, int]]:
        """Those of some places, so many places at a time, each with how far event time has come."""
        found: list[tuple[Event, int]] = []
        while after < through:
            page = await self.read(after, min(limit, through - after))
            events = Decoder().events(page.rows)
            found += [(event, self.reading.event_time(event)) for event in events]
            assert page.through > after
            after = page.through
        return found


async def merged(random: Random, logs: int = 3, count: int = 40) -> Merged:
    """Logs, read as one by legs of whatever lengths, as a worker puts them there."""
    stores = [MemoryEventStore() for _ in range(logs)]
    for number, store in enumerate(stores):
        log = await Log.open(store)
        for version in range(1, count + 1):
            moment = DAY + timedelta(seconds=20 * version + random.randrange(60))
            await log.append(made_event(f"device/{number}", version, timestamp=moment))
    began = [random.randrange(3) for _ in stores]
    merge = await stores[0].make_merge("totals", began)
    at, after, now_us = list(began), merge.start, 10**15
    time, legs = MergedTime(logs), list[Leg]()
    while any(position < count for position in at):
        partition = random.randrange(logs)
        length = min(random.randint(1, 7), count - at[partition])
        if not length:
            continue
        now_us += random.randrange(IDLE_US)
        leg = Leg(
            after=after, partition=partition, log_after=at[partition], length=length,
            merged_us=now_us,
        )  # fmt: skip
        time.begin(leg)
        page = await stores[partition].read(at[partition], length)
        for event in Decoder().events(page.rows):
            time.hear(partition, event.timestamp_us)
        newest_us, heard_us = time.of(partition)
        legs.append(replace(leg, newest_us=newest_us, heard_us=heard_us))
        at[partition] += length
        after += length
    assert await stores[0].extend_merge(merge, legs)
    reading = MergedReading("totals", stores[0], Logs(stores), lambda: now_us)  # type: ignore[arg-type]
    await reading.begin()
    return Merged(stores, merge, reading, legs)


@pytest.mark.parametrize("seed", range(5))
async def test_whoever_reads_from_wherever_meets_the_same(seed: int) -> None:
    random = Random(seed)
    there = await merged(random)
    start, end = there.merge.start, there.legs[-1].through
    whole = await there.events(start, end, 10**6)
    places = [event.position or 0 for event, _ in whole]
    assert places == list(range(start + 1, end + 1))
    for source in {event.source for event, _ in whole}:
        versions = [event.version or 0 for event, _ in whole if event.source == source]
        assert versions == sorted(versions)
    for limit in (1, 5, 17):
        assert await there.events(start, end, limit) == whole
    for _ in range(20):
        after = random.randrange(start, end)
        assert await there.events(after, end, random.randint(1, 30)) == whole[after - start :]


async def test_a_stretch_of_event_time_is_read_of_all_logs_at_their_places() -> None:
    there = await merged(Random(7))
    start, end = there.merge.start, there.legs[-1].through
    whole = [event for event, _ in await there.events(start, end, 10**6)]
    begin = DAY + timedelta(minutes=4)
    moments = (_us(begin), _us(begin + timedelta(minutes=3)))
    selection = Selection(moments_us=moments)
    for through in (end, end - 20):
        page = await there.read(start, through - start, selection)
        assert page.through == through
        found = Decoder().events(page.rows)
        assert found == [
            event
            for event in whole
            if moments[0] <= event.timestamp_us < moments[1] and (event.position or 0) <= through
        ]
        assert len({event.source for event in found}) == 3


async def test_events_are_found_by_their_ids_in_whatever_log_at_their_places() -> None:
    there = await merged(Random(8))
    whole = await there.events(there.merge.start, there.legs[-1].through, 10**6)
    wanted = [event for event, _ in whole[::9]]
    found = await there.reading.find_rows([event.id_bytes for event in wanted])
    assert sorted(Decoder().events(found.rows), key=lambda event: event.position or 0) == wanted
    assert not found.more
    await there.read(there.legs[-1].through - 1, 1)
    assert there.reading.event_time(wanted[0]) == NEVER


async def test_one_whose_merge_is_gone_was_dropped() -> None:
    there = await merged(Random(9))
    await there.stores[0].drop_program("totals")
    with pytest.raises(StaleCheckpoint):
        await there.reading.begin()


def leg_at(merged_us: int) -> Leg:
    return Leg(after=0, partition=0, log_after=0, length=1, merged_us=merged_us)


def test_event_time_is_that_of_the_log_that_is_furthest_behind() -> None:
    time = MergedTime(3)
    time.begin(leg_at(10 * IDLE_US))
    assert time.hear(0, 500) == 500
    assert time.hear(1, 200) == 200
    assert time.hear(0, 900) == 200
    assert time.hear(1, 100) == 200
    assert time.hear(1, 700) == 700
    assert time.of(1) == (700, 10 * IDLE_US)
    assert time.of(2) == (None, None)


def test_a_log_that_is_idle_holds_nobody_up_until_it_has_something_again() -> None:
    time = MergedTime(2)
    time.begin(leg_at(10 * IDLE_US))
    time.hear(0, 100)
    time.begin(leg_at(11 * IDLE_US))
    assert time.hear(1, 900) == 100
    time.begin(leg_at(11 * IDLE_US + 1))
    assert time.hear(1, 901) == 901
    assert time.hear(0, 150) == 150


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
