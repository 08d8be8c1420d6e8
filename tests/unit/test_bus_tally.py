"""What the bus counts: each event once, whatever is missed, repeated or late, whoever counts."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from runtime.partition.tally import Tally
from store.event_store import Page, Tallied
from tests.contracts.appending import made_event
from tests.unit.feeding import Partition, node_of
from tests.unit.test_bus_buffer import commit
from tests.virtual_time import virtual_time

TYPE = "temperature-reported"


class Counting:
    """A tally over a log that is read page by page, and may be away."""

    def __init__(self, counted: int = 0, head: int | None = None) -> None:
        self.partition = Partition()
        self.through = -1
        self.begin(Tallied(launch="l", through=counted, by_type={}, by_node={}), head or counted)

    def begin(self, tallied: Tallied, head: int) -> None:
        """A bus begins that finds this saved, and the log there."""
        self.types: dict[str, int] = {}
        self.nodes: dict[str, int] = {}
        self.tally = Tally(tallied, head, self._show, self._read, node_of)

    def _show(self, types: Mapping[str, int], nodes: Mapping[str, int], position: int) -> None:
        assert position >= self.through
        self.through = position
        for known, new in ((self.types, types), (self.nodes, nodes)):
            assert all(count >= known.get(name, 0) for name, count in new.items())
            known.update(new)

    async def _read(self, after: int, limit: int) -> Page:
        await asyncio.sleep(0.01)
        return await self.partition.log.read(after, limit)


@virtual_time
async def test_each_event_is_counted_once_whatever_is_missed_repeated_or_overlaps() -> None:
    counting = Counting()
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
    assert counting.types == {"t0": 14, "t1": 7}
    assert counting.nodes == {node_of("a"): 21}


@virtual_time
async def test_commits_that_overlap_what_was_counted_are_counted_from_there() -> None:
    counting = Counting(2)
    counting.tally.add(commit(1, [made_event("a", event_type=f"t{n}") for n in range(4)]))
    assert counting.types == {"t2": 1, "t3": 1}
    assert counting.nodes == {node_of("a"): 2}


@virtual_time
async def test_while_the_log_is_away_commits_are_taken_and_counted_afterwards() -> None:
    counting = Counting()
    counting.tally.MAX_WAITING = 3
    counting.partition.log.away = True
    made = [await counting.partition.append(made_event("a", n + 1)) for n in range(20)]
    for one in made[5:]:
        counting.tally.add(one)
    await asyncio.sleep(100)
    assert counting.types == {}
    assert len(counting.tally._waiting) <= 3
    counting.partition.log.away = False
    await counting.tally.wait_settled()
    assert counting.types == {TYPE: 20}


@virtual_time
async def test_a_successor_counts_on_from_what_was_saved_and_shows_nothing_before_it_is_there() -> (
    None
):
    """Its predecessor has shown more than it has saved, and was killed: no counter goes back."""
    counting = Counting()
    commits = [await counting.partition.append(made_event("a", n + 1)) for n in range(5)]
    for one in commits[:2]:
        counting.tally.add(one)
    saved = counting.tally.tallied
    for one in commits[2:4]:
        counting.tally.add(one)
    assert counting.types == {TYPE: 4}
    counting.begin(saved, head=5)
    assert counting.types == {}
    await counting.tally.wait_settled()
    assert counting.types == {TYPE: 5}
    assert counting.nodes == {node_of("a"): 5}
    again = Counting()
    again.begin(counting.tally.tallied, head=5)
    assert again.types == {TYPE: 5}, "at once: there is nothing to be counted"


def test_a_bus_on_another_machine_shows_what_its_predecessor_had_counted(tmp_path: Path) -> None:
    moved = subprocess.run(
        [sys.executable, "-m", "tests.unit.moving_bus", str(tmp_path)],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    shown = [list(totals.values()) for totals in json.loads(moved.stdout)]
    assert shown == [[count, count] for count in (3, 5, 9)]
