"""Whatever becomes of bus, database, commits and readers: each selected event comes once,
in order, without a gap. A plain list says what is right."""

import asyncio
from array import array
from collections import Counter
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.event import Event
from runtime.partition.feed import Feed
from store.appends import Commit
from store.errors import StoreUnavailable
from store.rows.decoding import Decoder
from store.rows.layout import EncodedRows
from store.selection import Selection, row_filter
from tests.contracts.appending import made_event
from tests.unit.feeding import Partition, ReadFeed
from tests.virtual_time import VirtualLoop

SELECTIONS = (
    Selection(),
    Selection(sources=("a",)),
    Selection(sources=("b*", "*c")),
    Selection(event_types=("even",)),
    Selection(event_types=("odd",), sources=("a", "bc")),
    Selection(sources=("nobody",)),
)
SOURCES = st.sampled_from(["a", "b", "bc", "d"])

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.lists(SOURCES, min_size=1, max_size=4)),
        st.tuples(st.just("publish"), st.integers(0, 30), st.integers(1, 3)),
        st.tuples(st.just("head")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("bus"), st.sampled_from(["away", "back", "silent"])),
        st.tuples(st.just("log"), st.sampled_from(["away", "back"])),
        st.tuples(st.just("time"), st.sampled_from([0.0, 0.001, 0.3, 9.999, 10.0, 70.0])),
        st.tuples(st.just("read"), st.integers(0, 2)),
        st.tuples(st.just("give up"), st.integers(0, 2), st.integers(0, 9)),
        st.tuples(st.just("resume"), st.integers(0, 2)),
        st.tuples(st.just("look"), st.integers(0, 6)),
    ),
    max_size=60,
)


class Reader:
    """A subscriber: reads pages, gives up, ends and resumes where it was."""

    def __init__(self, partition: Partition, selection: Selection) -> None:
        self._partition, self._selection = partition, selection
        self.access = partition.access()
        self.seen: list[int] = []
        self.through = 0
        self.feed = ReadFeed(self.access, selection, 0)

    async def read(self) -> None:
        """The next page."""
        page = await self.feed.next_page()
        assert page is not None
        assert page.through > self.through
        self.through = page.through
        self.seen += [event.position or 0 for event in Decoder().events(page.rows)]

    async def give_up(self, turns: int) -> None:
        """Begin to wait for a page, and do not."""
        reading = asyncio.ensure_future(self.read())
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait((reading,))

    def resume(self) -> None:
        """End, and begin anew after what was read."""
        self.feed.close()
        self.feed = ReadFeed(self.access, self._selection, self.through)


class Story:
    """A partition to which things happen."""

    def __init__(self, buffer_size: int, selections: list[Selection]) -> None:
        self.partition = Partition(buffer_size)
        self.commits: list[Commit] = []
        self.readers = [Reader(self.partition, one) for one in selections]
        self.publishing: list[asyncio.Task[None]] = []

    async def happen(self, step: tuple[Any, ...]) -> None:
        """One thing."""
        what, *how = step
        await getattr(self, f"_{what.replace(' ', '_')}")(*how)

    async def _commit(self, sources: list[str]) -> None:
        self.commits.append(await self.partition.append(*map(_event, sources)))

    async def _publish(self, back: int, count: int) -> None:
        if chosen := self.commits[-1 - back :][:count]:
            self.publish(_joined(chosen))

    async def _head(self) -> None:
        head = len(self.partition.log._rows)
        self.publish(Commit(first_position=head + 1, rows=_joined([]).rows, types={}, nodes={}))

    async def _restart(self) -> None:
        self.partition.restart_bus()

    async def _bus(self, state: str) -> None:
        self.partition.bus_silent = state == "silent"
        if state == "away":
            self.partition.bus = None
        elif self.partition.bus is None:
            self.partition.restart_bus()

    async def _log(self, state: str) -> None:
        self.partition.log.away = state == "away"

    async def _time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _read(self, index: int) -> None:
        reader = self.readers[index % len(self.readers)]
        if reader.feed._ahead:
            await reader.read()

    async def _give_up(self, index: int, turns: int) -> None:
        await self.readers[index % len(self.readers)].give_up(turns)

    async def _resume(self, index: int) -> None:
        self.readers[index % len(self.readers)].resume()

    async def _look(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    def publish(self, commit: Commit) -> None:
        """In the background: other things happen meanwhile."""
        self.publishing.append(asyncio.ensure_future(self._published(commit)))

    async def _published(self, commit: Commit) -> None:
        with suppress(StoreUnavailable):  # a new bus that cannot start: it misses the commit
            await self.partition.publish(commit)

    async def end_well(self) -> None:
        """Everything is back, and everybody reads to the end."""
        await self._log("back")
        await self._bus("back")
        await self._head()
        await asyncio.gather(*self.publishing)
        head = len(self.partition.log._rows)
        for reader in self.readers:
            async with asyncio.timeout(1_000):
                while reader.through < head:
                    await reader.read()


def _event(source: str) -> Event:
    event = made_event(source)
    return made_event(source, event.id.int, event_type="odd" if event.id.int % 2 else "even")


def _joined(commits: list[Commit]) -> Commit:
    lengths = array("I", [length for one in commits for length in one.rows.lengths])
    data = b"".join(bytes(one.rows.data) for one in commits)
    types = sum((Counter(one.types) for one in commits), Counter[str]())
    nodes = sum((Counter(one.nodes) for one in commits), Counter[str]())
    first = commits[0].first_position if commits else 0
    return Commit(first_position=first, rows=EncodedRows(data, lengths), types=types, nodes=nodes)


@settings(max_examples=150)
@given(
    STEPS,
    st.integers(min_value=1, max_value=12),
    st.lists(st.sampled_from(SELECTIONS), min_size=1, max_size=3),
    st.sampled_from([1, 700, 2 * 1024 * 1024]),
)
def test_each_selected_event_comes_once_in_order_whatever_happens(
    steps: list[tuple[Any, ...]], buffer_size: int, selections: list[Selection], bytes_: int
) -> None:
    async def tell() -> None:
        story = Story(buffer_size, selections)
        for step in steps:
            await story.happen(step)
        await story.end_well()
        whole = [row for one in story.commits for row in _rows(one)]
        for reader, selection in zip(story.readers, selections, strict=True):
            wanted = row_filter(selection)
            assert reader.seen == [n for n, row in enumerate(whole, 1) if wanted(row)]
            await reader.access.close()

    with (
        patch.multiple(Feed, FIRST_PAGE=2, PAGE=3),
        patch("runtime.partition.buffer.POLL_BYTES", bytes_),
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        runner.run(tell())


def _rows(commit: Commit) -> list[bytes]:
    data, lengths = bytes(commit.rows.data), commit.rows.lengths
    return [data[sum(lengths[:n]) : sum(lengths[: n + 1])] for n in range(len(lengths))]
