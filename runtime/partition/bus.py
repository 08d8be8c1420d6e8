"""The bus: fans committed events out to subscriptions.

It keeps the last commits as they are, encoded, in one buffer for all. A subscription is
a position: whoever asks for what comes after it gets that from the buffer, or is told
to read the log up to where the buffer starts. So publishers never wait for a slow
subscriber, who loses nothing; and the seam between log and live is a number.
"""

import asyncio
import time
from collections import Counter

from runtime.partition.buffer import Buffer, Matcher
from runtime.process.process import Process
from runtime.process.world import World
from runtime.telemetry.metrics import BusMetrics
from runtime.topology.status import BusFacts
from runtime.wire.commits import unpack_commit
from runtime.wire.polls import FROM_NOW, Poll, Polled, pack_polled, unpack_names, unpack_poll
from store.appends import Commit
from store.rows.decoding import folds
from store.selection import Selection


class Bus(Process):
    """Named `bus`: one a partition."""

    SERVES = ("publish", "poll", "leave")
    #: A subscriber that has not asked for this long is not counted as live any more.
    FORGOTTEN_AFTER_S = 60.0

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        self._counts = BusMetrics(self.metrics)
        self._news = asyncio.Event()
        self._subscribers: dict[str, float] = {}
        self._matchers: dict[Selection, Matcher] = {}

    async def start(self) -> None:
        self._store = await self.world.open_store(self.settings)
        try:
            head = await self._store.head()
        except BaseException:
            await self._store.close()
            raise
        self._buffer = Buffer(head, self.settings.event_bus.buffer_size)
        # How far an earlier incarnation counted; a new system counts from here on.
        self._counted = self._counts.position() or head

    async def publish(self, packed: bytes) -> bytes:
        """A commit, from the writer (wire.pack_commit). Answers nothing."""
        await self.started()
        commit = unpack_commit(packed)
        await self._count(commit)
        self._buffer.add(commit)
        self._news.set()
        self._news = asyncio.Event()
        return b""

    async def poll(self, packed: bytes) -> bytes:
        """What comes after a position: wire.Poll, answered by wire.Polled."""
        await self.started()
        return pack_polled(await self._polled(unpack_poll(packed)))

    async def _polled(self, poll: Poll) -> Polled:
        if poll.subscriber:
            self._seen(poll.subscriber)
        if poll.after == FROM_NOW:
            return Polled(self._buffer.head, True, b"")
        selection = Selection(event_types=poll.event_types, sources=poll.sources)
        if poll.after >= self._buffer.head and poll.wait_s > 0:
            try:
                await asyncio.wait_for(self._news.wait(), poll.wait_s)
            except TimeoutError:
                return Polled(poll.after, True, b"")
        if not self._buffer.covers(poll.after):
            return Polled(self._buffer.head, False, b"")
        rows, through = self._buffer.after(poll.after, self._matcher(selection))
        return Polled(through, True, rows)

    async def leave(self, packed: bytes) -> bytes:
        """Subscriptions were closed (wire.pack_names). Answers nothing."""
        for subscriber in unpack_names(packed):
            self._subscribers.pop(subscriber, None)
        self._counts.subscriptions(len(self._subscribers))
        return b""

    async def facts(self) -> BusFacts | None:
        if not self._started:
            return None
        return BusFacts(position=self._buffer.head, subscriptions=len(self._subscribers))

    async def _count(self, commit: Commit) -> None:
        """Count what is published, each event once: what an earlier bus or writer did not
        come to is counted out of the log."""
        last = commit.first_position + len(commit.rows) - 1
        if last <= self._counted:
            return
        types = Counter(commit.types)
        while self._counted < commit.first_position - 1:
            missing = commit.first_position - 1 - self._counted
            page = await self._store.read(self._counted, min(missing, 10_000))
            types.update(fold.event_type.decode() for fold in folds(page.rows))
            self._counted = page.through
        self._counts.published(types, last)
        self._counted = last

    def _seen(self, subscriber: str) -> None:
        now = time.monotonic()
        self._subscribers.pop(subscriber, None)
        self._subscribers[subscriber] = now
        for name, seen in list(self._subscribers.items()):
            if now - seen < self.FORGOTTEN_AFTER_S:
                break  # in order of when they were seen
            del self._subscribers[name]
        self._counts.subscriptions(len(self._subscribers))

    def _matcher(self, selection: Selection) -> Matcher:
        if len(self._matchers) > 1000:
            self._matchers.clear()
        return self._matchers.setdefault(selection, Matcher(selection))
