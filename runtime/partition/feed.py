"""A feed: the log from a position on, then live, as pages, in one event loop.

A feed is a position. It asks the bus for what comes after; where the bus's buffer does
not reach back that far it reads the log up to where the buffer starts. Whichever of the
two a page comes from, the next question names the position that the page reached. That
number is the seam: no event is missed there, and none comes twice.

One that does not catch up asks the log instead how many events it has missed, and goes on where
the bus stands.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from runtime.errors import BusUnavailable, SystemNotFound, fresh
from runtime.partition.log_access import LogAccess
from runtime.partition.pages_ahead import Gap, PagesAhead
from runtime.wire.polls import FROM_NOW, Poll
from store.errors import StoreUnavailable, SystemReplaced
from store.event_store import EventStore, Page
from store.selection import EVERYTHING, Selection

logger = logging.getLogger("thornback.feed")

T = TypeVar("T")


class Feed:
    """Pages of the selected events, each once, in the order of their positions.

    A page may be empty: its `through` then says how far the feed came without finding
    anything. While bus or database are away the feed waits and goes on afterwards. It ends
    with `close`, with the access to the log, or with an error, which every reader is told
    after the pages that came before it: SystemNotFound once the system was drained and none came
    back in its namespace for GONE_S, or one with another log; SystemReplaced.

    It fetches ahead of its reader, at most so many pages and about so many bytes, and then
    waits for him. Everything but `take` belongs to the loop in which it was made.
    """

    AHEAD_PAGES = 3
    AHEAD_BYTES = 8 * 1024 * 1024
    #: Positions that are read from the log at a time: at first, and where pages are small.
    FIRST_PAGE, PAGE = 1_000, 10_000
    #: Positions of which the log is asked at a time how many are selected.
    COUNTED = 50_000
    #: What a page from the log aims at where events are large.
    PAGE_BYTES = 4 * 1024 * 1024
    #: How long a poll may wait at the bus.
    WAIT_S = 10.0
    #: How long it waits for a system that was drained to be launched anew: as a launch may take.
    GONE_S = 600.0
    #: Pauses while bus or database are away, which do not say when they are back.
    PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0

    def __init__(
        self,
        log: LogAccess,
        selection: Selection = EVERYTHING,
        after: int | None = None,
        *,
        catch_up: bool = True,
        begin: Callable[[], Awaitable[int]] | None = None,
        on_change: Callable[[], None] | None = None,
        met: bool = False,
        committed: bool = False,
    ) -> None:
        """Begin after a position (0: with the first event), or after the one that `begin` finds,
        or from now on. One that does not catch up has a Gap in its pages where it fell behind what
        the bus has kept. `on_change` is called, in the loop, when it has begun, when a page is
        there, and when it ended. `met`: there was a system before, which is waited for.
        `committed`: what is in the log when it begins it reads there, as it is by then, and takes
        none of it from the bus, which may have kept what was erased meanwhile."""
        # What it reads, and for whom:
        self.name = log.world.random(8).hex()  #: the bus knows it by that
        self.start = after  #: after which position it begins; None until that is known
        self._log = log
        self._selection = selection
        self._catch_up = catch_up
        self._find_start = begin or self._head
        self._on_change = on_change
        # How far it is; all but `_ahead` is touched in the loop alone:
        self.position = FROM_NOW if after is None else after  #: how far it has fetched
        self._limit = self.FIRST_PAGE  # positions to read from the log next time
        self._ahead = PagesAhead()  # pages that nobody took yet
        self._met = met  # has the bus ever answered? Else there was no system to begin with
        # How it ends:
        self._error: Exception | None = None
        self._closed = False
        self._changed = asyncio.Event()  # for who waits in `begin`: begun, or ended
        log.joined(self)
        self._task = asyncio.ensure_future(self._fetch(committed=committed))

    @property
    def error(self) -> Exception | None:
        """What ended the feed, if anything but `close` did. Pages from before may be left."""
        return self._error

    async def begin(self) -> int:
        """Wait until it is known after which position it begins: what is committed after
        this has returned will come. Raises what ended the feed."""
        while self.start is None:
            if self._error is not None:
                raise fresh(self._error)
            if self._closed:
                raise BusUnavailable("the feed was closed before it had begun")
            self._changed.clear()
            await self._changed.wait()
        return self.start

    def take(self) -> Page | None:
        """The next page if one is there. Raises what ended the feed, if anything did. May
        be called in any thread."""
        try:
            return self._ahead.take()
        except IndexError:
            if self._error is not None:
                raise fresh(self._error) from None
            return None

    def close(self) -> None:
        """End it: no page comes any more, and waiting readers come to the end."""
        if not self._closed:
            self._closed = True
            self._task.cancel()
            self._ahead.clear()
            self._log.left(self)
            self._tell()

    def fail(self, error: Exception) -> None:
        """End it with an error, which readers are told after the pages that are there."""
        if self._error is None and not self._closed:
            self._error = error
            self._task.cancel()
            self._log.left(self)
            self._tell()

    async def _fetch(self, *, committed: bool) -> None:
        try:
            if self.start is None:
                self.start = self.position = await self._patiently(self._find_start)
                self._tell()
            until = 0  # so far it reads the log alone
            if committed:
                until = await self._patiently(partial(self._log.ask, _committed_head))
            while True:
                await self._ahead.wait_room(self.AHEAD_PAGES, self.AHEAD_BYTES)
                page = await self._patiently(partial(self._page, until))
                if page.through > self.position:
                    self._arrived(page)
        except Exception as error:
            self._error = error
            self._log.left(self)
            self._tell()

    async def _head(self) -> int:
        return (await self._log.poll(self._question(FROM_NOW, 0.0))).through

    async def _page(self, until: int) -> Page:
        if self.position < until:
            return await self._read(until)
        polled = await self._log.poll(self._question(self.position, self.WAIT_S))
        if polled.covered:
            return Page(rows=polled.rows, through=polled.through)
        if not self._catch_up:
            return await self._gap(polled.through)
        return await self._read(polled.through)

    async def _read(self, through: int) -> Page:
        limit = min(self._limit, through - self.position)
        page = await self._log.read(self.position, limit, self._selection)
        if page.through == self.position:
            raise StoreUnavailable("the log", f"it ends before {through}")
        fits = (page.through - self.position) * self.PAGE_BYTES // max(len(page.rows), 1)
        self._limit = max(min(fits, 4 * self._limit, self.PAGE), 1)
        return page

    async def _gap(self, through: int) -> Gap:
        missed, after = 0, self.position
        while after < through:
            end = min(after + self.COUNTED, through)
            count = partial(_count, self._selection, after, end)
            missed += await self._log.ask(count)
            after = end
        return Gap(rows=b"", through=through, missed=missed)

    def _question(self, after: int, wait_s: float) -> Poll:
        wanted = self._selection
        types, sources, kinds = wanted.event_types, wanted.sources, wanted.kinds
        return Poll(self.name, after, types, sources, kinds, wait_s)

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Again and again while bus or database are away."""
        pause_s = self.PAUSE_S
        gone_until_s: float | None = None
        while True:
            try:
                found = await step()
                self._met = True
                return found
            except SystemReplaced:
                raise
            except (BusUnavailable, StoreUnavailable, SystemNotFound) as error:
                if isinstance(error, SystemNotFound):
                    now_s = asyncio.get_running_loop().time()
                    gone_until_s = gone_until_s or now_s + self.GONE_S
                    if not self._met or now_s >= gone_until_s:
                        raise
                if pause_s == self.PAUSE_S:
                    logger.info("a feed waits at position %d: %s", self.position, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self.LONGEST_PAUSE_S)

    def _arrived(self, page: Page) -> None:
        self.position = page.through
        self._ahead.add(page)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        if self._on_change is not None:
            self._on_change()


async def _count(selection: Selection, after: int, through: int, store: EventStore) -> int:
    return (await store.recount(selection, after, through)).count


async def _committed_head(store: EventStore) -> int:
    return await store.head()
