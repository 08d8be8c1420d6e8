"""One of several logs, as far as it was fetched for their merge."""

from collections import deque
from collections.abc import Callable
from itertools import takewhile

from runtime.partition.feed import Feed
from runtime.partition.log_access import LogAccess
from store.errors import StoreUnavailable
from store.event_store import Page
from store.rows.layout import position_at, split_rows
from store.selection import Selection


class LogAhead:
    """Its selected rows behind a position, which are taken up to where a merge says. What was not
    heard of yet is read, as the log has it. Lives in one event loop."""

    #: Positions that are read from the log together, at least.
    READ = 1_000

    def __init__(
        self,
        log: LogAccess,
        selection: Selection,
        after: int,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        """With `on_change` what comes is followed; that is called when there is more."""
        self.position = after  #: up to which position it was taken
        self._log, self._selection = log, selection
        self._feed: Feed | None = None
        if on_change is not None:
            # What is to be done again after an erasure is met as that has left it.
            self._feed = Feed(log, selection, after, on_change=on_change, committed=True)
        self._rows: deque[tuple[int, bytes]] = deque()  # by position
        self._reached = after

    @property
    def fetched(self) -> int:
        """Up to which position it is known to reach."""
        feed = self._feed
        return self._reached if feed is None else max(self._reached, feed.position)

    def check(self) -> None:
        """Raises what has ended it, if anything did."""
        if self._feed is not None and self._feed.error is not None:
            raise self._feed.error

    async def reach(self, through: int) -> None:
        """Have all rows up to a position at hand, which the log has. Raises StoreUnavailable, and
        what has ended it."""
        while self._reached < through:
            page = None if self._feed is None else self._feed.take()
            self._add(page or await self._read(through))

    def up_to(self, through: int) -> list[tuple[int, bytes]]:
        """Those at hand up to a position."""
        return list(takewhile(lambda found: found[0] <= through, self._rows))

    def take(self, through: int) -> list[tuple[int, bytes]]:
        """The same, which are taken by that."""
        taken = self.up_to(through)
        for _ in taken:
            self._rows.popleft()
        self.position = max(self.position, through)
        return taken

    def close(self) -> None:
        """Follow it no more."""
        if self._feed is not None:
            self._feed.close()

    async def _read(self, through: int) -> Page:
        missing = through - self._reached
        limit = missing if self._feed is None else max(missing, self.READ)
        page = await self._log.read(self._reached, limit, self._selection)
        if page.through <= self._reached:
            raise StoreUnavailable("the log", f"it ends before {through}")
        return page

    def _add(self, page: Page) -> None:
        """A page, of which a part may be there already: the feed comes behind what was read."""
        for _, row in split_rows(page.rows):
            position = position_at(row, 0)
            if position > self._reached:
                self._rows.append((position, row))
        self._reached = max(self._reached, page.through)
