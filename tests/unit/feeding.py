"""What tests of feeds share: a log and a bus over it, with a test for a writer; and the ways
in which either can be away."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ray.exceptions import ActorDiedError

from actors.event import Event
from runtime.partition.bus import Bus
from runtime.partition.feed import Feed
from runtime.partition.log_access import LogAccess
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.status import Topology
from runtime.wire.commits import pack_commit
from store.appends import Commit
from store.errors import StoreUnavailable
from store.event_store import EventStore, Page
from store.memory import MemoryEventStore
from store.rows.decoding import Decoder
from store.rows.layout import EncodedRows
from store.selection import EVERYTHING, Selection
from tests.contracts.appending import Log, made_event


def gone() -> StoreUnavailable:
    """What a log that is away raises."""
    return StoreUnavailable("memory", "on cue")


class PlayedLog(MemoryEventStore):
    """A log whose reads fail, or say nothing, on cue."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.silent = False
        self.reads: list[int] = []  #: positions of each that was tried
        self.opened = 0
        self.given_back: list[str] = []  #: by whoever had opened it

    async def close(self) -> None:
        self.given_back.append("log")

    async def head(self) -> int:
        if self.away:
            raise gone()
        return await super().head()

    async def read(self, after: int, limit: int, *, selection: Selection = EVERYTHING) -> Page:
        self.reads.append(limit)
        if self.silent:
            await asyncio.get_running_loop().create_future()
        if self.away:
            raise gone()
        return await super().read(after, limit, selection=selection)


class PlayedWorld(World):
    """A partition's world: its bus is an object, its log another."""

    def __init__(self, partition: "Partition") -> None:
        super().__init__("test")
        self._partition = partition
        self._count = 0

    async def handle(self, name: str) -> "PlayedDirectory":
        assert name == "directory"
        if self._partition.drained:
            raise ValueError("no actor of that name")
        return PlayedDirectory(self._partition)

    async def caller(self, name: str) -> "PlayedBus":
        assert name == "bus"
        if self._partition.drained:
            raise ValueError("no actor of that name")
        return PlayedBus(self._partition)

    async def open_store(self, settings: Settings) -> EventStore:
        if self._partition.log.away:
            raise gone()
        self._partition.log.opened += 1
        return self._partition.log

    def random(self, size: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size, "big")


class PlayedDirectory:
    """The handle of whichever directory there is."""

    def __init__(self, partition: "Partition") -> None:
        self._partition = partition
        self.join = self

    async def remote(self, _timeout_s: float, _release: str) -> Topology:
        """What a driver has to know."""
        settings_json = self._partition.settings.model_dump_json()
        return Topology(settings_json=settings_json, hosts=(), log=self._partition.log_id)


class PlayedBus:
    """The way to the bus."""

    def __init__(self, partition: "Partition") -> None:
        self._partition = partition

    async def call(self, method: str, request: bytes) -> bytes:
        partition = self._partition
        partition.calls.append((asyncio.get_running_loop().time(), method))
        if partition.drained:
            raise ActorDiedError
        if partition.bus_silent:
            await asyncio.get_running_loop().create_future()
        bus = partition.bus
        if bus is None:
            raise ConnectionResetError
        answer: bytes = await getattr(bus, method)(request)
        if bus is not partition.bus:
            raise ConnectionResetError  # it was restarted meanwhile
        return answer

    def look_again(self) -> None:
        """It is where it was."""

    def close(self) -> None:
        self._partition.given_back.append("bus")


def node_of(source: str) -> str:
    """Whoever decides a source in these tests: there are two."""
    return f"node-001.host-{len(source) % 2}"


class Partition:
    """A log, and a bus over it; who calls `commit` is the writer."""

    def __init__(self, buffer_size: int = 1_000) -> None:
        self.log = PlayedLog()
        self.settings = Settings.load(
            None,
            environ={},
            event_bus={"buffer_size": buffer_size},
            event_store={"type": "memory"},
        )
        self.world = PlayedWorld(self)
        self.calls: list[tuple[float, str]] = []  #: when what was asked of the bus
        self.given_back = self.log.given_back
        self.drained = False
        self.log_id = ""  #: what tells its log from others
        self.bus_silent = False
        self.bus: Bus | None = None
        self.restart_bus()
        self._writing: Log | None = None

    def restart_bus(self) -> None:
        """A new bus, which knows nothing yet."""
        self.bus = Bus("bus", self.settings.model_dump_json(), None, world=self.world)

    async def append(self, *events: Event) -> Commit:
        """Into the log alone."""
        if self._writing is None:
            self._writing = await Log.open(self.log)
        rows = self._writing.stamped(events)
        first = self._writing.head + 1
        await self._writing.append_rows(rows)
        return Commit(
            first_position=first,
            rows=EncodedRows(bytes(rows.data), rows.lengths),
            types=Counter(event.event_type for event in events),
            nodes=Counter(node_of(event.source) for event in events),
        )

    async def publish(self, commit: Commit) -> None:
        """To the bus, if there is one."""
        if self.bus is not None:
            await self.bus.publish(pack_commit(commit))

    async def commit(self, *sources: str, **fields: Any) -> None:
        """An event of each of these sources: into the log, then to the bus."""
        self._versions = getattr(self, "_versions", 0)
        events = []
        for source in sources:
            self._versions += 1
            events.append(made_event(source, self._versions, **fields))
        await self.publish(await self.append(*events))

    def access(self) -> LogAccess:
        """A connection's way to bus and log."""
        return LogAccess(self.world, self.settings)

    def feed(self, *sources: str, after: int | None = None, catch_up: bool = True) -> "ReadFeed":
        """A feed with a connection of its own."""
        return ReadFeed(self.access(), Selection(sources=sources), after, catch_up=catch_up)


class ReadFeed(Feed):
    """A feed with one reader, in its own loop."""

    def __init__(
        self, log: LogAccess, selection: Selection, after: int | None, *, catch_up: bool = True
    ) -> None:
        self._news = asyncio.Event()
        super().__init__(log, selection, after, catch_up=catch_up, on_change=self._news.set)

    async def next_page(self) -> Page | None:
        """Wait for the next page; None once the feed is closed. Raises what ended it. Who
        gives up waiting misses nothing."""
        while (page := self.take()) is None and not self._closed:
            self._news.clear()
            await self._news.wait()
        return page


def positions(pages: Sequence[Page]) -> list[int]:
    """The positions of the events of some pages."""
    decoder = Decoder()
    return [event.position or 0 for page in pages for event in decoder.events(page.rows)]


async def fed(feed: ReadFeed, count: int) -> list[int]:
    """The positions of the next events of a feed, at least so many."""
    found: list[int] = []
    while len(found) < count:
        page = await feed.next_page()
        assert page is not None
        found += positions([page])
    return found
