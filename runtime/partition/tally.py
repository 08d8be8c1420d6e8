"""The tally: counts what is published, each event once, and never makes publishing wait.

What an earlier bus or writer did not come to, or what was missed, is counted out of the
log, in the background, before what followed it.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from store.appends import Commit
from store.errors import StoreUnavailable
from store.event_store import Page
from store.rows.decoding import folds

logger = logging.getLogger("thornback.bus")


class _Stretch(NamedTuple):
    """Events that follow one another, by type."""

    first: int
    last: int
    types: Mapping[str, int]


class Tally:
    """Everything up to `counted` is counted. What waits for a stretch before it is bounded:
    beyond that it is counted out of the log, too."""

    MAX_WAITING = 1_000
    PAGE = 2_000
    PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0

    def __init__(
        self,
        counted: int,
        count: Callable[[Mapping[str, int], int], None],
        read: Callable[[int, int], Awaitable[Page]],
    ) -> None:
        """`count` is given events by type and the position that they reach; `read` reads
        the log after a position."""
        self.counted = counted
        self._known = counted  #: counted, or waiting to be
        self._count = count
        self._read = read
        self._waiting: deque[_Stretch] = deque()
        self._filling: asyncio.Task[None] | None = None

    def add(self, commit: Commit) -> None:
        """A commit was published."""
        first, last = commit.first_position, commit.first_position + len(commit.rows) - 1
        if last <= self._known:
            return
        types = commit.types
        if first <= self._known:
            start = sum(commit.rows.lengths[: self._known + 1 - first])
            types, first = _types_of(bytes(commit.rows.data[start:])), self._known + 1
        self._known = last
        self._waiting.append(_Stretch(first, last, types))
        if len(self._waiting) > self.MAX_WAITING:
            self._waiting = deque((self._waiting[-1],))
        self._settle()
        if self._waiting and (self._filling is None or self._filling.done()):
            self._filling = asyncio.ensure_future(self._fill())

    async def wait_settled(self) -> None:
        """Wait until nothing is left to count."""
        if self._filling is not None:
            await asyncio.shield(self._filling)

    def _settle(self) -> None:
        while self._waiting and self._waiting[0].first == self.counted + 1:
            stretch = self._waiting.popleft()
            self._count(stretch.types, stretch.last)
            self.counted = stretch.last

    async def _fill(self) -> None:
        """Count what is missing before the first that waits."""
        pause_s = self.PAUSE_S
        while self._waiting:
            missing = self._waiting[0].first - 1 - self.counted
            try:
                page = await self._read(self.counted, min(missing, self.PAGE))
                if page.through == self.counted:
                    raise StoreUnavailable("the log", f"it ends at {self.counted}")
            except Exception as error:
                # Whatever it is: the bus goes on, and the events are counted when it is over.
                if not isinstance(error, StoreUnavailable):
                    logger.exception("the log cannot be read for counting")
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self.LONGEST_PAUSE_S)
                continue
            pause_s = self.PAUSE_S
            self._count(_types_of(page.rows), page.through)
            self.counted = page.through
            self._settle()


def _types_of(rows: bytes) -> Counter[str]:
    return Counter(fold.event_type.decode() for fold in folds(rows))
