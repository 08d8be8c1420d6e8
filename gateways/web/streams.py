"""Server-sent events: the log from a position on, then live, for thousands of clients.

The id of an event is its position, so a client that comes back says where it was by itself
(`Last-Event-ID`), and goes on without a gap. A stream that has nothing to say gives a sign of life,
with the position that it has come to.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from actors.errors import ThornbackError
from actors.patterns import as_kinds
from gateways.tokens import READ
from gateways.web.allowed import Allowed, allowed_of
from gateways.web.counting import Counting
from gateways.web.live import Broadcast, Chunk
from gateways.web.problems import refusal
from gateways.web.reading import Parameters, whole_number
from gateways.web.tenants import within
from runtime.driver.connection import Connection
from runtime.driver.selecting import MAX_POSITION, selection_of
from runtime.errors import BusUnavailable
from runtime.settings.sections import GatewaySettings
from store.errors import StoreUnavailable
from store.event_store import Page
from store.rows.json_events import JsonEvents
from store.selection import Selection

logger = logging.getLogger("thornback.gateway")

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy is not to wait for more
}


class Streams:
    """Answers GET /v1/events. Lives in one event loop."""

    #: A client that lost its stream waits so long before it comes back.
    RETRY_MS = 2_000
    #: Written at a time: what may lie about for a client that does not take it.
    PIECE = 64 * 1024
    #: Positions that one who is behind reads of the log at a time, at first and at most, and the
    #: bytes that this aims at.
    FIRST_PAGE, PAGE, PAGE_BYTES = 100, 2_000, 256 * 1024
    #: Before the log is asked again that was away.
    PAUSE_S = 0.5
    #: How long the bus may take to say where the log stands.
    BEGIN_S = 5.0

    def __init__(
        self, connection: Connection, settings: GatewaySettings, counting: Counting
    ) -> None:
        self._log = connection.log
        self._most = settings.max_streams
        self._beat_s = settings.heartbeat_ms / 1000
        self._send_s = settings.read_timeout_ms / 1000
        self._counting = counting
        self._json = JsonEvents()
        self._broadcasts: dict[Selection, Broadcast] = {}
        self.open = 0  #: streams
        self._ending = False

    def end(self) -> None:
        """End all streams: their clients go on elsewhere, or later."""
        self._ending = True
        self.look_again()

    def look_again(self) -> None:
        """Have every stream look whether it may go on."""
        for broadcast in self._broadcasts.values():
            broadcast.wake()

    async def answer(self, request: web.BaseRequest, query: str) -> web.StreamResponse:
        """A stream, until its client leaves. Raises RequestRefused, InvalidName, and
        BusUnavailable where the bus does not say where the log stands."""
        several = "types", "sources", "kinds"
        parameters = Parameters(query, (*several, "after"), several=several)
        allowed = allowed_of(request)
        allowed.check_scope(READ)
        asked = parameters.texts("sources") or ["*"]
        sources = within(asked, allowed.grant.prefix)
        if not sources:
            raise allowed.outside(", ".join(asked))
        try:
            kinds = as_kinds(parameters.texts("kinds"))
        except ValueError as error:
            raise refusal(400, "bad-kind", "This is no kind of event", str(error)) from error
        selection = selection_of(parameters.texts("types") or "*", sources, kinds)
        after = _position(request, parameters)
        if self.open >= self._most:
            raise refusal(
                429, "too-many-streams", "Too many streams",
                f"{self._most} are open (gateway.max_streams)", retry_after_s=5,
            )  # fmt: skip
        with self._listening(selection) as broadcast:
            response = web.StreamResponse(headers=_HEADERS)
            if after is None:
                after = await self._begun(broadcast)
            await response.prepare(request)
            try:
                await self._write(response, b"retry: %d\nid: %d\n\n" % (self.RETRY_MS, after))
                await self._stream(response, broadcast, selection, after, allowed)
            except TimeoutError:
                logger.info("a client does not take its events: its stream is cut")
                if request.transport is not None:
                    request.transport.abort()
            except ConnectionError:
                logger.debug("a client has left its stream")
            except ThornbackError as error:
                logger.warning("a stream has ended: %s", error)
        return response

    async def _stream(
        self,
        response: web.StreamResponse,
        broadcast: Broadcast,
        selection: Selection,
        position: int,
        allowed: Allowed,
    ) -> None:
        now_s = asyncio.get_running_loop().time
        limit, told, beat_s = self.FIRST_PAGE, position, now_s() + self._beat_s
        while not self._ending and allowed.stands:
            data, behind = b"", not broadcast.covers(position)
            if not allowed.fresh:
                # Nobody vouches for this client now, and nobody says when that is over.
                behind = True
                await asyncio.sleep(self.PAUSE_S)
            elif not behind:
                data, position = broadcast.after(position)
            elif broadcast.begins is not None:
                page = await self._read(position, limit, selection)
                limit = self._fitting(limit, page, position)
                # Nothing came: the log is away, which does not say when it is back.
                pause_s = self.PAUSE_S if page.through == position else 0.0
                data, position = Chunk(page, self._json).data, page.through
                await asyncio.sleep(pause_s)
            if data:
                await self._write(response, data)
            elif now_s() >= beat_s:
                # A position is an event without data, which moves Last-Event-ID alone.
                moved = position > told
                await self._write(response, b"id: %d\n\n" % position if moved else b":\n\n")
            else:
                if not behind or broadcast.begins is None:
                    await broadcast.news(position, beat_s - now_s())
                continue
            told, beat_s = position, now_s() + self._beat_s

    async def _read(self, position: int, limit: int, selection: Selection) -> Page:
        """A page of the log; nothing, where that is away."""
        try:
            return await self._log.read(position, limit, selection)
        except StoreUnavailable as error:
            logger.info("a stream waits at position %d: %s", position, error)
            return Page(rows=b"", through=position)

    def _fitting(self, limit: int, page: Page, position: int) -> int:
        read = page.through - position
        fits = read * self.PAGE_BYTES // max(len(page.rows), 1)
        return max(min(fits, 4 * limit, self.PAGE), 1)

    async def _begun(self, broadcast: Broadcast) -> int:
        try:
            async with asyncio.timeout(self.BEGIN_S):
                while broadcast.begins is None:
                    await broadcast.news(broadcast.head, self.BEGIN_S)
        except TimeoutError as error:
            raise BusUnavailable("it does not say where the log stands") from error
        return max(broadcast.head, broadcast.begins)

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        """Raises TimeoutError for a client that does not take it, ConnectionError for one that
        has left."""
        async with asyncio.timeout(self._send_s):
            if len(data) <= self.PIECE:
                await response.write(data)
                return
        for start in range(0, len(data), self.PIECE):
            async with asyncio.timeout(self._send_s):
                await response.write(data[start : start + self.PIECE])

    @contextmanager
    def _listening(self, selection: Selection) -> Iterator[Broadcast]:
        broadcast = self._broadcasts.get(selection)
        if broadcast is None or broadcast.error is not None:
            broadcast = self._broadcasts[selection] = Broadcast(self._log, selection, self._json)
        broadcast.listeners += 1
        self.open += 1
        self._counting.streams(self.open)
        try:
            yield broadcast
        finally:
            self.open -= 1
            self._counting.streams(self.open)
            broadcast.listeners -= 1
            if not broadcast.listeners:
                broadcast.close()
                if self._broadcasts.get(selection) is broadcast:
                    del self._broadcasts[selection]


def _position(request: web.BaseRequest, parameters: Parameters) -> int | None:
    """After which position a client wants to go on; None: from now on."""
    last = request.headers.get("Last-Event-ID", "").strip()
    if not last:
        given = parameters.text("after")
        return None if given is None else parameters.whole("after", 0, 0, MAX_POSITION)
    position = whole_number(last)
    if position is None or position > MAX_POSITION:
        raise refusal(
            400, "bad-position", "This is no position", "Last-Event-ID: a whole number is expected"
        )
    return position
