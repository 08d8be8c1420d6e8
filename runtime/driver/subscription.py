"""Subscriptions: the log from a position on, then live, as one stream.

A subscription is a position. It asks the bus for what comes after; where the bus's
buffer does not reach back that far it reads the log up to where the buffer starts. The
same number closes the seam: no event is missed there and none comes twice.
"""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from typing import Any
from uuid import uuid4

from ray.exceptions import ActorDiedError, RayError

from actors.event import Event
from runtime.driver.connection import Connection
from runtime.errors import SystemNotFound
from runtime.process.world import Calls
from runtime.topology.names import BUS_ACTOR
from runtime.wire.polls import Poll, pack_poll, unpack_polled
from store.errors import StoreUnavailable
from store.event_store import EventStore, Page
from store.rows.decoding import Decoder
from store.selection import Selection


class Subscription:
    """Events in the order of their positions, each aggregate's in version order.

    Iterate it (`for` or `async for`); it has no end until `close`, and a further iteration
    goes on where the last one was left. `position` is how far
    what was handed out reaches: subscribing again `after` it goes on without a gap. While
    bus or database are away it waits and goes on afterwards. Iterating raises
    SystemNotFound once the system was drained.
    """

    #: Positions read from the log at a time.
    PAGE = 10_000
    #: Pages ready before the reader asks: the next one is fetched while one is decoded.
    AHEAD = 3
    WAIT_S = 10.0
    PAUSE_S = 0.2

    def __init__(self, connection: Connection, selection: Selection, after: int | None) -> None:
        self._connection = connection
        self._selection = selection
        self._start = after
        self.position = after if after is not None else -1
        self._name = uuid4().hex
        self._decoder = Decoder()
        self._pages: queue.Queue[Page | Exception | None] = queue.Queue()
        self._rest: Iterator[Event] = iter(())  # of the page being handed out
        self._coming: asyncio.Future[Page | None] | None = None  # what an async reader waits for
        self._room = asyncio.Semaphore(self.AHEAD)
        self._caller: Calls | None = None
        self._store: EventStore | None = None
        self._closed = threading.Event()
        self._begun = threading.Event()
        self._loop = connection.courier.loop
        self._task = connection.courier.run(self._fetch())
        if after is None:
            self._begun.wait()  # from now on means: from before this call returns

    def __iter__(self) -> Iterator[Event]:
        while True:
            # Not `yield from`: it would close, with this iterator, the rest of the page.
            while (event := next(self._rest, None)) is not None:
                yield event
            if (page := self._next_page()) is None:
                return
            self._rest = self._hand_out(page)

    async def __aiter__(self) -> AsyncIterator[Event]:
        loop = asyncio.get_running_loop()
        while True:
            while (event := next(self._rest, None)) is not None:
                yield event
            coming = self._coming
            if coming is None or coming.get_loop() is not loop:
                coming = self._coming = loop.run_in_executor(None, self._next_page)
            # Who gives up waiting leaves the page to whoever iterates next.
            page = await asyncio.shield(coming)
            self._coming = None
            if page is None:
                return
            self._rest = self._hand_out(page)

    def pages(self) -> Iterator[list[Event]]:
        """The same stream, in the pieces in which it arrives (some may be empty)."""
        yield list(self._rest)
        while (page := self._next_page()) is not None:
            events = self._decoder.events(page.rows)
            observe = self._connection.clock.observe
            for event in events:
                observe(event.vector_clock.counts)
            self.position = page.through
            yield events

    def close(self) -> None:
        """End the stream; whoever iterates comes to its end."""
        if not self._closed.is_set():
            self._closed.set()
            self._task.cancel()
            self._pages.put(None)

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next_page(self) -> Page | None:
        page = self._pages.get()
        if isinstance(page, Exception):
            self._pages.put(page)  # whoever asks again hears it again
            raise page
        if page is not None and not self._closed.is_set():
            self._loop.call_soon_threadsafe(self._room.release)
            return page
        self._pages.put(None)  # for another reader, or the same one again
        return None

    def _hand_out(self, page: Page) -> Iterator[Event]:
        observe = self._connection.clock.observe
        for event in self._decoder.events(page.rows):
            if self._closed.is_set():
                return
            observe(event.vector_clock.counts)
            if event.position is not None:
                self.position = event.position
            yield event
        self.position = page.through

    async def _fetch(self) -> None:
        try:
            position = await self._begin()
            self._begun.set()
            while True:
                await self._room.acquire()
                page = await self._patiently(self._page, position)
                if page.through == position:
                    self._room.release()
                    continue
                position = page.through
                self._pages.put(page)
        except (asyncio.CancelledError, CancelledError):
            raise
        except Exception as error:
            self._pages.put(error)
        finally:
            self._begun.set()
            await self._leave()

    async def _begin(self) -> int:
        if self._start is not None:
            return self._start
        self.position = await self._patiently(self._head)
        return self.position

    async def _patiently(self, step: Any, *arguments: Any) -> Any:
        """Again and again while bus or database are away: neither tells when it is back."""
        while True:
            try:
                return await step(*arguments)
            except (ActorDiedError, ValueError) as error:
                raise SystemNotFound(self._connection.namespace) from error  # drained: for good
            except (RayError, ConnectionError, StoreUnavailable):
                await asyncio.sleep(self.PAUSE_S)

    async def _head(self) -> int:
        return await self._bus().head.remote()  # type: ignore[no-any-return]

    async def _page(self, position: int) -> Page:
        selection = self._selection
        poll = Poll(self._name, position, selection.event_types, selection.sources, self.WAIT_S)
        if self._caller is None:
            self._caller = self._connection.world.caller(BUS_ACTOR)
        polled = unpack_polled(await self._caller.call("poll", pack_poll(poll)))
        if polled.covered:
            return Page(rows=polled.rows, through=polled.through)
        if self._store is None:
            self._store = await self._connection.open_store()
        limit = min(self.PAGE, polled.through - position)
        return await self._store.read(position, limit, selection=self._selection)

    async def _leave(self) -> None:
        if self._caller is not None:
            self._caller.close()
        if self._store is not None:
            await self._store.close()
        try:
            self._bus().leave.remote(self._name)
        except (RayError, ValueError):
            return  # no bus: nobody to tell

    def _bus(self) -> Any:
        return self._connection.world.handle(BUS_ACTOR)
