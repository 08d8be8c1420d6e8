"""A stream over several logs: its ids, and what holds up what."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any, cast

import pytest

from gateways.web.following import Following, Source
from gateways.web.live import Chunk, Mark
from gateways.web.parts import Parts
from gateways.web.reading import positions_of
from runtime.driver.connection import Connection
from runtime.topology.partitions import partition_of
from store.errors import StoreUnavailable
from store.event_store import Page
from store.memory import MemoryEventStore
from store.rows.json_events import JsonEvents
from store.selection import EVERYTHING, Selection
from tests.contracts.appending import Log, made_event


class Broadcast:
    """Has begun behind the end of its log: whoever is at the beginning reads that."""

    error = None

    def __init__(self, begins: int) -> None:
        self.begins = self.head = self.reached = begins
        self.waiting: set[asyncio.Future[None]] = set()

    def covers(self, position: int) -> bool:
        return position >= self.begins

    def after(self, position: int, _: object = None) -> tuple[bytes, int]:
        return b"", max(position, self.head)


class Read:
    """A log that answers, or is away."""

    def __init__(self, store: MemoryEventStore | None) -> None:
        self._store = store

    async def read(self, after: int, limit: int, selection: Selection) -> Page:
        if self._store is None:
            raise StoreUnavailable("the log", "on purpose")
        return await self._store.read(after, limit, selection=selection)


async def log_of(count: int) -> MemoryEventStore:
    log = await Log.open(MemoryEventStore())
    await log.append(*(made_event("meter/5", version) for version in range(1, count + 1)))
    return cast(MemoryEventStore, log.store)


def ids(data: bytes) -> list[bytes]:
    return re.findall(rb"^id: (.*)$", data, re.MULTILINE)


async def test_an_id_says_where_its_reader_stands_in_each_log() -> None:
    page = await (await log_of(3)).read(0, 10)
    chunk = Chunk(page, JsonEvents())
    marked = chunk.after(1, Mark(b"7,", b",9"))
    assert ids(marked) == [b"7,2,9", b"7,3,9"]
    assert marked.replace(b"7,", b"").replace(b",9\n", b"\n") == chunk.after(1)
    assert ids(chunk.after(0, Mark(b"", b",9"))) == [b"1,9", b"2,9", b"3,9"]
    assert chunk.after(3, Mark(b"", b",9")) == chunk.after(3) == b""


async def test_a_log_that_is_away_holds_up_no_other() -> None:
    sources: Sequence[Any] = [
        Source(cast(Any, Read(None)), cast(Any, Broadcast(5))),
        Source(cast(Any, Read(await log_of(3))), cast(Any, Broadcast(3))),
    ]
    following = Following(sources, EVERYTHING, JsonEvents())
    try:
        await following.begin([0, 0])
        found = b""
        async with asyncio.timeout(10):
            while not found:
                found = following.taken()
                await following.news(5.0)
        assert ids(found) == [b"0,1", b"0,2", b"0,3"]
        assert following.id == b"0,3"
    finally:
        following.close()


def test_a_stream_of_one_partition_alone_is_known_by_its_sources() -> None:
    parts = Parts(cast(Sequence[Connection], [None, None]))
    here = [each for each in map("meter/{}".format, range(20)) if partition_of(each, 2) == 1]
    there = next(each for each in map("meter/{}".format, range(20)) if partition_of(each, 2) == 0)
    assert parts.of_all(here) == 1
    assert parts.of_all([*here, there]) is None
    assert parts.of_all([]) is parts.of_all(["meter/*"]) is None
    assert parts.of_all(["messages/returned"]) is None  # each partition has it
    assert Parts(cast(Sequence[Connection], [None])).of_all([]) == 0


@pytest.mark.parametrize(
    ("text", "partitions", "found"),
    [
        ("12,40", 2, [12, 40]),
        ("0", 2, [0, 0]),
        ("12", 1, [12]),
        ("12", 2, None),
        ("1,2,3", 2, None),
        ("1,", 2, None),
        ("-1,2", 2, None),
        (f"{2**63},1", 2, None),
    ],
)
def test_a_position_has_a_number_for_each_partition(
    text: str, partitions: int, found: list[int] | None
) -> None:
    assert positions_of(text, partitions) == found
