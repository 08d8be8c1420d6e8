"""What the bus counts: each event once, whatever is missed, repeated or late."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from runtime.partition.tally import Tally
from store.event_store import Page
from tests.contracts.appending import made_event
from tests.unit.feeding import Partition
from tests.unit.test_bus_buffer import commit
from tests.virtual_time import virtual_time


class Counting:
    """A tally over a log that is read page by page, and may be away."""

    def __init__(self, counted: int) -> None:
        self.partition = Partition()
        self.counts: Counter[str] = Counter()
        self.through = counted
        self.tally = Tally(counted, self._count, self._read)

    def _count(self, types: Mapping[str, int], position: int) -> None:
        assert position > self.through
        self.through = position
        self.counts.update(types)

    async def _read(self, after: int, limit: int) -> Page:
        await asyncio.sleep(0.01)
        return await self.partition.log.read(after, limit)


@virtual_time
async def test_each_event_is_counted_once_whatever_is_missed_repeated_or_overlaps() -> None:
    counting = Counting(0)
    commits = []
    for number in range(8):
        made = [made_event("a", 10 * number + n + 1, event_type=f"t{n % 2}") for n in range(3)]
        commits.append(await counting.partition.append(*made))
    first = commits[0]
    whole = commit(4, [made_event("a", event_type=f"t{n % 3 % 2}") for n in range(6)])
    for one in (commits[1], first, commits[3], commits[3], whole, commits[6], commits[5]):
        counting.tally.add(one)
        await asyncio.sleep(0)
    await counting.tally.wait_settled()
    assert counting.tally.counted == counting.through == 21
    assert counting.counts == {"t0": 14, "t1": 7}


@virtual_time
async def test_commits_that_overlap_what_was_counted_are_counted_from_there() -> None:
    counting = Counting(2)
    counting.tally.add(commit(1, [made_event("a", event_type=f"t{n}") for n in range(4)]))
    assert counting.counts == {"t2": 1, "t3": 1}


@virtual_time
async def test_while_the_log_is_away_commits_are_taken_and_counted_afterwards() -> None:
    counting = Counting(0)
    counting.tally.MAX_WAITING = 3
    counting.partition.log.away = True
    made = [await counting.partition.append(made_event("a", n + 1)) for n in range(20)]
    for one in made[5:]:
        counting.tally.add(one)
    await asyncio.sleep(100)
    assert counting.counts == {}
    assert len(counting.tally._waiting) <= 3
    counting.partition.log.away = False
    await counting.tally.wait_settled()
    assert counting.counts == {"temperature-reported": 20}
