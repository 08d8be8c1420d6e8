"""Events for many clients at once: one feed a selection, whoever listens to it.

What comes is put into the form in which it leaves, once, and kept for a while. A client is a
position, as everywhere: whoever is behind what is kept reads the log himself until he is not. So
a slow client costs a place in a socket's buffer, and nobody waits for him.
"""

import asyncio
from bisect import bisect_right
from collections import deque
from typing import NamedTuple

from runtime.partition.feed import Feed
from runtime.partition.log_access import LogAccess
from store.event_store import Page
from store.rows.json_events import JsonEvents
from store.selection import Selection


class Mark(NamedTuple):
    """What the id of an event has before its position and behind it, for somebody who reads
    several logs: where he stands in the others."""

    before: bytes
    behind: bytes


class Chunk:
    """A page of events in the form of server-sent events."""

    __slots__ = ("_ends", "_positions", "data", "through")

    def __init__(self, page: Page, json: JsonEvents) -> None:
        self.through = page.through
        self._positions: list[int] = []
        self._ends: list[int] = []
        parts: list[bytes] = []
        size = 0
        for position, _, text in json.texts(page.rows) if page.rows else ():
            part = b"id: %d\ndata: %b\n\n" % (position, text)
            parts.append(part)
            size += len(part)
            self._positions.append(position)
            self._ends.append(size)
        self.data = b"".join(parts)

    def after(self, position: int, mark: Mark | None = None) -> bytes:
        """Its events after a position, with a mark in their ids."""
        before = bisect_right(self._positions, position)
        if mark is None:
            return self.data[self._ends[before - 1] :] if before else self.data
        parts: list[bytes] = []
        start = self._ends[before - 1] if before else 0
        for own, end in zip(self._positions[before:], self._ends[before:], strict=True):
            rest = self.data[start + len(b"id: %d" % own) : end]
            parts.append(b"id: %b%d%b%b" % (mark.before, own, mark.behind, rest))
            start = end
        return b"".join(parts)


class Broadcast:
    """What comes of one selection, for all who listen to it. Lives in one event loop."""

    #: Of what has come so much is kept, for those who are a little behind.
    KEPT_BYTES = 4 * 1024 * 1024
    KEPT_CHUNKS = 10_000

    def __init__(self, log: LogAccess, selection: Selection, json: JsonEvents) -> None:
        self.listeners = 0
        self.begins: int | None = None  #: what is kept begins after this position
        self.head = -1  #: how far it has come
        self.error: Exception | None = None  #: why nothing comes any more
        self._json = json
        self._kept: deque[Chunk] = deque()
        self._kept_bytes = 0
        self.waiting: set[asyncio.Future[None]] = set()  #: woken when something has changed
        self._feed = Feed(log, selection, None, on_change=self._changed)

    @property
    def reached(self) -> int:
        """How far it has come since it has begun."""
        return max(self.head, self.begins or 0)

    def covers(self, position: int) -> bool:
        """Is all that comes after a position kept, or still to come?"""
        return self.begins is not None and position >= self.begins

    def after(self, position: int, mark: Mark | None = None) -> tuple[bytes, int]:
        """What is kept of the events after a position which is covered, with a mark in their ids,
        and how far it reaches."""
        found: list[bytes] = []
        for chunk in reversed(self._kept):
            if chunk.through <= position:
                break
            if chunk.data:
                found.append(chunk.after(position, mark))
        return b"".join(reversed(found)), max(position, self.head)

    def wake(self) -> None:
        """Have everybody look again."""
        for waiter in self.waiting:
            wake(waiter)

    def close(self) -> None:
        """Nobody listens any more."""
        self._feed.close()
        self.wake()

    def _changed(self) -> None:
        try:
            if self.begins is None and self._feed.start is not None:
                self.begins = self.head = self._feed.start
            while (page := self._feed.take()) is not None:
                self._keep(Chunk(page, self._json))
        except Exception as error:  # what ended the feed, or a row that cannot be told
            self.error = error
        self.wake()

    def _keep(self, chunk: Chunk) -> None:
        self.head = chunk.through
        last = self._kept[-1] if self._kept else None
        if last is not None and not last.data and not chunk.data:
            last.through = chunk.through  # nothing has come, so far
            return
        self._kept.append(chunk)
        self._kept_bytes += len(chunk.data)
        while self._kept_bytes > self.KEPT_BYTES or len(self._kept) > self.KEPT_CHUNKS:
            dropped = self._kept.popleft()
            self._kept_bytes -= len(dropped.data)
            self.begins = dropped.through


def wake(waiter: "asyncio.Future[None]") -> None:
    """Have whoever waits for it look, unless he does."""
    if not waiter.done():
        waiter.set_result(None)
