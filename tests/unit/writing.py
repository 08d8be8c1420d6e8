"""What tests of the writer share: a store that fails on cue, and a writer over it."""

import asyncio
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from actors.event import Event
from store.appends import Acknowledged, Append, Commit
from store.dead_letters import LetterChange
from store.errors import StoreUnavailable
from store.event_store import CheckpointMove, CounterMove, Epoch, StateChange
from store.group_commit import GroupCommit
from store.memory import MemoryEventStore
from store.rows.decoding import Decoder
from store.rows.encoding import encode_event
from store.rows.layout import EncodedRows
from tests.contracts.appending import made_event

GONE = StoreUnavailable("memory", "on cue")
PATIENCE_S = 2.5
NOW_US = 1_000_000

#: What becomes of one append: takes what would commit it.
Cue = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


async def lost_before(_commit: Callable[[], Awaitable[None]]) -> None:
    """The connection is lost before anything was written."""
    raise GONE


async def lost_after(commit: Callable[[], Awaitable[None]]) -> None:
    """The connection is lost after the commit, before its answer."""
    await commit()
    raise GONE


class CuedStore(MemoryEventStore):
    """A store in memory whose appends and look-ups fail on cue."""

    def __init__(self) -> None:
        super().__init__()
        self.cues: deque[Cue] = deque()
        self.always: Cue | None = None  #: for every append that has no cue of its own
        self.away = False  #: nothing reaches it at all
        self.calls: list[int] = []  #: events of each append that was tried
        self.open = asyncio.Event()
        self.open.set()

    async def append(
        self,
        rows: EncodedRows,
        *,
        writer: CounterMove,
        nodes: Sequence[CounterMove],
        checkpoints: Sequence[CheckpointMove] = (),
        states: Sequence[StateChange] = (),
        letters: Sequence[LetterChange] = (),
        attempt: int = 0,
    ) -> None:
        self.calls.append(len(rows))
        await self.open.wait()
        # The writer may give the bytes to somebody else as soon as an append has failed.
        kept = EncodedRows(bytes(rows.data), array("I", rows.lengths))

        async def commit() -> None:
            await MemoryEventStore.append(
                self,
                kept,
                writer=writer,
                nodes=nodes,
                checkpoints=checkpoints,
                states=states,
                letters=letters,
                attempt=attempt,
            )

        if self.away:
            raise GONE
        cue = self.cues.popleft() if self.cues else self.always
        await (cue(commit) if cue else commit())

    async def epochs(self, names: Iterable[str]) -> dict[str, Epoch]:
        if self.away:
            raise GONE
        return await super().epochs(names)

    async def stored_sources(self) -> list[str]:
        """What the log has, as source:version, by position."""
        return spelled(Decoder().events((await self.read(0, 1_000_000)).rows))


def spelled(events: Iterable[Event]) -> list[str]:
    """source:version of each."""
    return [f"{event.source}:{event.version}" for event in events]


class Node:
    """A host as the writer sees it: numbers its appends, each of one source."""

    def __init__(self, writing: "Writing", epoch: Epoch) -> None:
        self._writing = writing
        self.epoch = epoch
        self.name = epoch.name
        self.generation = 0
        self.sequence = 0
        self.ticks = epoch.counter
        self.versions = 0

    def send(self, count: int = 1, **changes: Any) -> "asyncio.Task[Acknowledged]":
        """Append so many events of this node's source."""
        append = self.made(count, **changes)
        return asyncio.ensure_future(self._writing.writer.append(append))

    def made(self, count: int = 1, *, first_version: int | None = None, **changes: Any) -> Append:
        """The next append of this node."""
        first = self.versions + 1 if first_version is None else first_version
        events = [made_event(self.name, first + n) for n in range(count)]
        fields = {
            "node": self.name,
            "epoch": self.epoch.number,
            "generation": self.generation,
            "sequence": self.sequence,
            "tick": self.ticks + count,
            "rows": EncodedRows.of([encode_event(event) for event in events]),
            "types": {"temperature-reported": count},
        }
        self.sequence += 1
        self.versions = first + count - 1
        self.ticks += count
        return Append(**{**fields, **changes})

    def begin_generation(self, versions: int) -> None:
        """After a refusal: on from what the log has."""
        self.generation, self.sequence, self.versions = self.generation + 1, 0, versions


class Writing:
    """A writer at work over a cued store."""

    def __init__(self, store: CuedStore, batch_size: int) -> None:
        self.store = store
        self.commits: list[Commit] = []
        self.now_us = NOW_US
        self.writer = GroupCommit(
            store,
            batch_size=batch_size,
            publish=self.commits.append,
            now_us=lambda: self.now_us,
            patience_s=PATIENCE_S,
        )

    @classmethod
    async def begin(cls, store: CuedStore | None = None, *, batch_size: int = 100) -> "Writing":
        """Open a writer and let it run."""
        writing = cls(store or CuedStore(), batch_size)
        await writing.writer.open()
        writing.running = asyncio.ensure_future(writing.writer.run())
        return writing

    running: "asyncio.Task[None]"

    async def node(self, name: str) -> Node:
        """A host of that name begins."""
        return Node(self, await self.store.open_epoch(name))

    def published(self) -> list[str]:
        """What the bus was told, as source:version."""
        found: list[str] = []
        for commit in self.commits:
            events = Decoder().events(bytes(commit.rows.data))
            first = commit.first_position
            assert [event.position for event in events] == list(range(first, first + len(events)))
            found += spelled(events)
        return found
