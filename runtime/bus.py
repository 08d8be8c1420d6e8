"""The bus: fans committed events out to subscriptions.

It keeps the last commits as they are, encoded, in one buffer for all. A subscription is
a position: whoever asks for what comes after it gets that from the buffer, or is told
to read the log up to where the buffer starts. So publishers never wait for a slow
subscriber, who loses nothing; and the seam between log and live is a number.
"""

import asyncio
import re
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from runtime.access import open_store
from runtime.metrics import BusMetrics
from runtime.process import Process
from runtime.wire import Poll, Polled, pack_polled, unpack_commit, unpack_poll
from store.codec import event_type_at, folds, source_at
from store.event_store import Selection
from store.writer import Commit

#: What a poll brings at most, in bytes of rows (one commit may be larger).
_POLL_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Kept:
    first: int
    rows: bytes
    lengths: "array[int]"
    types: frozenset[bytes]  #: of all its events

    @property
    def last(self) -> int:
        return self.first + len(self.lengths) - 1


class Buffer:
    """The last events of the log, by position: at most so many, and so many bytes."""

    MAX_BYTES = 256 * 1024 * 1024

    def __init__(self, head: int, capacity: int) -> None:
        self.head = head
        self._capacity = capacity
        self._kept: deque[_Kept] = deque()
        self._events = 0
        self._bytes = 0

    def add(self, commit: Commit) -> None:
        """The next commit. One that does not follow on the last means that commits were
        missed: the buffer starts anew, and readers find the rest in the log. One that
        was seen before changes nothing."""
        first, lengths = commit.first_position, commit.rows.lengths
        if first + len(lengths) - 1 <= self.head:
            return
        if first != self.head + 1:
            self._kept.clear()
            self._events = self._bytes = 0
        if lengths:
            rows = bytes(commit.rows.data)
            types = frozenset(name.encode() for name in commit.types)
            self._kept.append(_Kept(first, rows, lengths, types))
            self._events += len(lengths)
            self._bytes += len(rows)
        self.head = first + len(lengths) - 1
        while self._kept and (self._events > self._capacity or self._bytes > self.MAX_BYTES):
            oldest = self._kept.popleft()
            self._events -= len(oldest.lengths)
            self._bytes -= len(oldest.rows)

    def covers(self, after: int) -> bool:
        """Does the buffer hold all that comes after this position?"""
        return after >= self.head or (bool(self._kept) and self._kept[0].first <= after + 1)

    def after(self, after: int, matcher: "Matcher") -> tuple[bytes, int]:
        """The matching rows after a position that is covered, and how far they reach."""
        rows: list[bytes] = []
        size, through = 0, after
        for kept in self._kept:
            if kept.last <= after:
                continue
            if size > _POLL_BYTES:
                break
            piece = matcher.select(kept, after)
            rows.append(piece)
            size += len(piece)
            through = kept.last
        return (rows[0] if len(rows) == 1 else b"".join(rows)), through


class Matcher:
    """Selects rows by event type and source without decoding payloads."""

    def __init__(self, selection: Selection) -> None:
        self._types = _pattern(selection.event_types)
        self._sources = _pattern(selection.sources)
        self._verdicts: dict[bytes, bool] = {}

    def select(self, kept: _Kept, after: int) -> bytes:
        """The rows of a commit above a position that are wanted."""
        skipped = max(after + 1 - kept.first, 0)
        at = sum(kept.lengths[:skipped])
        if self._sources is None:
            verdicts = set(map(self._wants_type, kept.types))
            if verdicts == {True}:
                return kept.rows[at:] if at else kept.rows
            if verdicts == {False}:
                return b""
        wanted: list[bytes] = []
        for length in kept.lengths[skipped:]:
            if self._wants(kept.rows, at):
                wanted.append(kept.rows[at : at + length])
            at += length
        return b"".join(wanted)

    def _wants(self, rows: bytes, at: int) -> bool:
        if self._types is not None and not self._wants_type(event_type_at(rows, at)):
            return False
        return self._sources is None or self._sources.fullmatch(source_at(rows, at)) is not None

    def _wants_type(self, event_type: bytes) -> bool:
        if self._types is None:
            return True
        verdict = self._verdicts.get(event_type)
        if verdict is None:
            verdict = self._types.fullmatch(event_type) is not None
            self._verdicts[event_type] = verdict
        return verdict


class Bus(Process):
    """Named `bus`: one a partition."""

    SERVES = ("publish", "poll")
    #: A subscriber that has not asked for this long is not counted as live any more.
    FORGOTTEN_AFTER_S = 60.0

    def __init__(self, name: str, settings_json: str, metrics_folder: str | None) -> None:
        super().__init__(name, settings_json, metrics_folder)
        self._counts = BusMetrics(self.metrics)
        self._news = asyncio.Event()
        self._subscribers: dict[str, float] = {}
        self._matchers: dict[Selection, Matcher] = {}

    async def start(self) -> None:
        self._store = await open_store(self.settings)
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

    async def head(self) -> int:
        """The last position the bus has seen."""
        await self.started()
        return self._buffer.head

    async def poll(self, packed: bytes) -> bytes:
        """What comes after a position: wire.Poll, answered by wire.Polled."""
        await self.started()
        return pack_polled(await self._polled(unpack_poll(packed)))

    async def _polled(self, poll: Poll) -> Polled:
        self._seen(poll.subscriber)
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

    async def leave(self, subscriber: str) -> None:
        """A subscription was closed."""
        self._subscribers.pop(subscriber, None)
        self._counts.subscriptions(len(self._subscribers))

    async def facts(self) -> dict[str, Any]:
        if not self._started:
            return {"position": None}
        return {"position": self._buffer.head, "subscriptions": len(self._subscribers)}

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


def _pattern(globs: tuple[str, ...]) -> re.Pattern[bytes] | None:
    if not globs or "*" in globs:
        return None
    texts = (re.escape(glob.encode()).replace(rb"\*", b".*") for glob in globs)
    return re.compile(b"|".join(texts), re.DOTALL)
