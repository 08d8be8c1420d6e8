"""What a commit costs the bus, by live subscriptions with source filters. Without Ray.

    python -m benchmarks.bus_fanout [SECONDS]

One process, one loop: a Bus, a publisher of commits of 500 events from 5,000 devices, and
subscribers that poll as feeds do, each for the devices of a group of ten ("glob") or for
ten devices by name ("names"). First the publisher keeps a pace of 140 commits a second
(70,000 events), and the figure is the CPU a commit, of bus and polls together, without
transport. Then it publishes as fast as the bus takes it.
"""

import asyncio
import sys
import time
from array import array
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from actors.clock import VectorClock
from actors.event import Event, Kind
from actors.naming import aggregate_id_of
from runtime.partition.bus import Bus
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.wire.commits import pack_commit
from runtime.wire.polls import Poll, pack_poll, unpack_polled
from store.appends import Commit
from store.event_store import EventStore
from store.memory import MemoryEventStore
from store.rows.encoding import encode_event
from store.rows.layout import EncodedRows, stamp

EVENTS, DEVICES, GROUP = 500, 5_000, 10
COMMITS_A_S = 140
SUBSCRIBERS = (0, 1, 50, 500)

Filter = Callable[[int], tuple[str, ...]]

FILTERS: dict[str, Filter] = {
    "glob": lambda group: (f"device/{group:03}-*",),
    "names": lambda group: tuple(f"device/{group:03}-{n}" for n in range(GROUP)),
}


class MemoryWorld(World):
    """A world whose log is in memory."""

    async def open_store(self, settings: Settings) -> EventStore:
        return MemoryEventStore()


class Published:
    """Commits that follow one another; made beforehand, so that making them costs nothing."""

    def __init__(self) -> None:
        self._rows = [self._encoded(first) for first in range(0, DEVICES, EVENTS)]
        self.position = 0

    def following(self) -> bytes:
        """The next commit, packed."""
        rows = self._rows[self.position // EVENTS % len(self._rows)]
        data = bytearray(rows.data)
        stamp(data, rows.lengths, 0, self.position + 1)
        commit = Commit(
            first_position=self.position + 1,
            rows=EncodedRows(bytes(data), array("I", rows.lengths)),
            types={"reading-taken": EVENTS},
            nodes={"node-001.host-0": EVENTS},
        )
        self.position += EVENTS
        return pack_commit(commit)

    @staticmethod
    def _encoded(first: int) -> EncodedRows:
        sources = [f"device/{(first + n) * 7 % 500:03}-{n % GROUP}" for n in range(EVENTS)]
        return EncodedRows.of([encode_event(_event(source)) for source in sources])


def _event(source: str) -> Event:
    return Event(
        id=UUID(int=1),
        event_type="reading-taken",
        kind=Kind.DEVICE,
        source=source,
        aggregate_id=aggregate_id_of(source),
        version=1,
        timestamp=datetime(2013, 1, 1, tzinfo=UTC),
        data={"number": 1, "celsius": 21.5},
        vector_clock=VectorClock({"node-001.host-0": 1}),
    )


class Fanout:
    """A bus with its subscribers."""

    def __init__(self, subscribers: int, sources: Filter) -> None:
        settings = Settings.load(None, environ={}, event_store={"type": "memory"})
        self.bus = Bus("bus", settings.model_dump_json(), None, world=MemoryWorld("bench"))
        self.published = Published()
        self.answers = self.bytes = 0
        self._polling = [
            asyncio.ensure_future(self._poll(str(number), sources(number)))
            for number in range(subscribers)
        ]

    async def _poll(self, name: str, sources: tuple[str, ...]) -> None:
        after = 0
        while True:
            poll = pack_poll(Poll(name, after, (), sources, (), 10.0))
            # In a task of its own, as a call over loopback is.
            polled = unpack_polled(await asyncio.ensure_future(self.bus.poll(poll)))
            after = polled.through
            self.answers += 1
            self.bytes += len(polled.rows)

    async def paced(self, seconds: float) -> tuple[float, float]:
        """CPU microseconds a commit, and answers a commit."""
        loop = asyncio.get_running_loop()
        commits = [self.published.following() for _ in range(int(seconds * COMMITS_A_S))]
        begun, cpu, answers = loop.time(), time.process_time(), self.answers
        for number, commit in enumerate(commits, 1):
            await self.bus.publish(commit)
            await asyncio.sleep(begun + number / COMMITS_A_S - loop.time())
        spent = time.process_time() - cpu
        return spent / len(commits) * 1e6, (self.answers - answers) / len(commits)

    async def unpaced(self, seconds: float) -> float:
        """Commits a second that the bus takes."""
        begun, spent, taken = time.perf_counter(), 0.0, 0
        while time.perf_counter() - begun < seconds:
            commit = self.published.following()
            start = time.perf_counter()
            await asyncio.ensure_future(self.bus.publish(commit))
            spent += time.perf_counter() - start
            taken += 1
        return taken / spent

    def close(self) -> None:
        """End the subscribers."""
        for polling in self._polling:
            polling.cancel()


async def measure(subscribers: int, sources: Filter, seconds: float) -> str:
    """One line of the table."""
    fanout = Fanout(subscribers, sources)
    await asyncio.sleep(0.2)
    cpu_us, answers = await fanout.paced(seconds)
    rate = await fanout.unpaced(seconds)
    fanout.close()
    return f"{subscribers:>5} {cpu_us:>12,.0f} {answers:>10.1f} {rate:>12,.0f}"


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    for name, sources in FILTERS.items():
        print(f"{name}: subscriptions, CPU us a commit, answers a commit, commits/s unpaced")
        for subscribers in SUBSCRIBERS:
            print(asyncio.run(measure(subscribers, sources, seconds)), flush=True)


if __name__ == "__main__":
    main()
