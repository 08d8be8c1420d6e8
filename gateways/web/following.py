"""One stream's way through the logs of its system: what there is, and waiting for more.

It stands at a position in each log. Where it is behind what a broadcast keeps, it reads that log
itself, a page at a time and beside the others, so that a log that is away holds up none of them.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from gateways.web.live import Broadcast, Chunk, Mark, wake
from runtime.errors import BusUnavailable, fresh
from runtime.partition.log_access import LogAccess
from store.errors import StoreUnavailable
from store.event_store import Page
from store.rows.json_events import JsonEvents
from store.selection import Selection

logger = logging.getLogger("thornback.gateway")

#: Positions that one who is behind reads of the log at a time, at first and at most, and the bytes
#: that this aims at.
FIRST_PAGE, PAGE, PAGE_BYTES = 100, 2_000, 256 * 1024
#: Before the log is asked again that was away.
PAUSE_S = 0.5
#: How long the buses may take to say where the logs stand.
BEGIN_S = 5.0


class Source(NamedTuple):
    """A log, and what comes live of it."""

    log: LogAccess
    broadcast: Broadcast


class Following:
    """Of one selection. Lives in one event loop; whoever makes it closes it."""

    def __init__(self, sources: Sequence[Source], selection: Selection, json: JsonEvents) -> None:
        self._places = [_Place(each, selection) for each in sources]
        self._json = json
        self._waiter: asyncio.Future[None] | None = None  #: of `news`, while it waits

    @property
    def positions(self) -> tuple[int, ...]:
        """Behind which it stands, in each log."""
        return tuple(place.position for place in self._places)

    @property
    def id(self) -> bytes:
        """The same, as clients hear it: whoever says it later goes on behind that."""
        return b",".join(b"%d" % place.position for place in self._places)

    async def begin(self, positions: Sequence[int] | None) -> None:
        """Behind these positions, or, where there are none, where the logs stand now. Raises
        BusUnavailable where a bus does not say that."""
        if positions is None:
            try:
                async with asyncio.timeout(BEGIN_S):
                    while any(place.broadcast.begins is None for place in self._places):
                        await self._change(BEGIN_S)
            except TimeoutError as error:
                raise BusUnavailable("it does not say where the log stands") from error
            positions = [place.broadcast.reached for place in self._places]
        for place, position in zip(self._places, positions, strict=True):
            place.position = position

    def taken(self) -> bytes:
        """All that there is now, behind which it then stands."""
        found: list[bytes] = []
        for number, place in enumerate(self._places):
            if place.reading is not None:
                if place.reading.done():
                    chunk = Chunk(place.read(), self._json)
                    found.append(chunk.after(place.position, self._mark(number)))
                    place.position = chunk.through
            elif place.broadcast.covers(place.position):
                mark = self._mark(number)
                data, place.position = place.broadcast.after(place.position, mark)
                found.append(data)
            elif place.broadcast.begins is not None:
                place.begin_to_read().add_done_callback(self._woken)
        return b"".join(found)

    async def news(self, wait_s: float) -> None:
        """Wait until there may be something, for a while. Raises what ended it."""
        for place in self._places:
            if place.broadcast.error is not None:
                raise fresh(place.broadcast.error)
        if not any(place.has_news for place in self._places):
            await self._change(wait_s)

    def close(self) -> None:
        """It goes no further."""
        for place in self._places:
            if place.reading is not None:
                place.reading.cancel()

    async def _change(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(wait_s, wake, waiter)
        for place in self._places:
            place.broadcast.waiting.add(waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
            for place in self._places:
                place.broadcast.waiting.discard(waiter)
        for place in self._places:
            if place.broadcast.error is not None:
                raise fresh(place.broadcast.error)

    def _woken(self, _: object) -> None:
        if self._waiter is not None:
            wake(self._waiter)

    def _mark(self, number: int) -> Mark | None:
        """What an id says of the other logs: None where there is none."""
        if len(self._places) == 1:
            return None
        said = [b"%d" % place.position for place in self._places]
        before = b"".join(each + b"," for each in said[:number])
        return Mark(before, b"".join(b"," + each for each in said[number + 1 :]))


class _Place:
    """Where a stream stands in one log."""

    def __init__(self, source: Source, selection: Selection) -> None:
        self._log, self.broadcast = source
        self._selection = selection
        self._limit = FIRST_PAGE
        self.position = 0
        self.reading: asyncio.Task[Page] | None = None  #: a page, while it is behind

    @property
    def has_news(self) -> bool:
        """Does `taken` find something, or begin to read it?"""
        if self.reading is not None:
            return self.reading.done()
        return self.broadcast.begins is not None and self.broadcast.head > self.position

    def begin_to_read(self) -> "asyncio.Task[Page]":
        """The next page, which comes as soon as the log is there."""
        self.reading = asyncio.ensure_future(self._read())
        return self.reading

    def read(self) -> Page:
        """The page that was read. Raises what that did."""
        assert self.reading is not None
        page, self.reading = self.reading.result(), None
        fits = (page.through - self.position) * PAGE_BYTES // max(len(page.rows), 1)
        self._limit = max(min(fits, 4 * self._limit, PAGE), 1)
        return page

    async def _read(self) -> Page:
        while True:
            try:
                page = await self._log.read(self.position, self._limit, self._selection)
            except StoreUnavailable as error:
                logger.info("a stream waits at position %d: %s", self.position, error)
            else:
                if page.through > self.position:
                    return page
            # The log is away, or behind its bus: neither says when that is over.
            await asyncio.sleep(PAUSE_S)
