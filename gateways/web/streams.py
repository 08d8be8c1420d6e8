"""Server-sent events: the log from a position on, then live, for thousands of clients.

The id of an event is its position, so a client that comes back says where it was by itself
(`Last-Event-ID`), and goes on without a gap. Where the system has several partitions it is the
client's position in each of them (docs/decisions/0104). A stream that has nothing to say gives a
sign of life, with the position that it has come to.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiohttp import web

from actors.errors import ThornbackError
from actors.patterns import as_kinds
from gateways.tokens import READ
from gateways.web.allowed import Allowed, allowed_of
from gateways.web.counting import Counting
from gateways.web.following import PAUSE_S, Following, Source
from gateways.web.live import Broadcast
from gateways.web.parts import Parts
from gateways.web.problems import refusal
from gateways.web.reading import Parameters, positions_expected, positions_of
from gateways.web.tenants import within
from runtime.driver.selecting import selection_of
from runtime.settings.sections import GatewaySettings
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

    def __init__(self, parts: Parts, settings: GatewaySettings, counting: Counting) -> None:
        self._parts = parts
        self._most = settings.max_streams
        self._beat_s = settings.heartbeat_ms / 1000
        self._send_s = settings.read_timeout_ms / 1000
        self._counting = counting
        self._json = JsonEvents()
        self._broadcasts: dict[tuple[int, Selection], Broadcast] = {}  #: by partition, too
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
        only = self._parts.of_all(selection.sources)
        logs = range(len(self._parts)) if only is None else [only]
        after = _positions(request, parameters, len(logs))
        if self.open >= self._most:
            raise refusal(
                429, "too-many-streams", "Too many streams",
                f"{self._most} are open (gateway.max_streams)", retry_after_s=5,
            )  # fmt: skip
        with self._listening(logs, selection) as following:
            response = web.StreamResponse(headers=_HEADERS)
            await following.begin(after)
            await response.prepare(request)
            try:
                begin = b"retry: %d\nid: %b\n\n" % (self.RETRY_MS, following.id)
                await self._write(response, begin)
                await self._stream(response, following, allowed)
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
        self, response: web.StreamResponse, following: Following, allowed: Allowed
    ) -> None:
        now_s = asyncio.get_running_loop().time
        told, beat_s = following.positions, now_s() + self._beat_s
        while not self._ending and allowed.stands:
            data = b""
            if allowed.fresh:
                data = following.taken()
            else:  # nobody vouches for this client now, and nobody says when that is over
                await asyncio.sleep(PAUSE_S)
            if data:
                await self._write(response, data)
            elif now_s() >= beat_s:
                # A position is an event without data, which moves Last-Event-ID alone.
                moved = following.positions != told
                await self._write(response, b"id: %b\n\n" % following.id if moved else b":\n\n")
            else:
                if allowed.fresh:
                    await following.news(beat_s - now_s())
                continue
            told, beat_s = following.positions, now_s() + self._beat_s

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
    def _listening(self, logs: Sequence[int], selection: Selection) -> Iterator[Following]:
        heard = {number: self._broadcast(number, selection) for number in logs}
        sources = [Source(self._parts[number].connection.log, heard[number]) for number in logs]
        following = Following(sources, selection, self._json)
        for broadcast in heard.values():
            broadcast.listeners += 1
        self.open += 1
        self._counting.streams(self.open)
        try:
            yield following
        finally:
            self.open -= 1
            self._counting.streams(self.open)
            following.close()
            for number, broadcast in heard.items():
                broadcast.listeners -= 1
                if not broadcast.listeners:
                    self._end(number, selection, broadcast)

    def _broadcast(self, number: int, selection: Selection) -> Broadcast:
        broadcast = self._broadcasts.get((number, selection))
        if broadcast is None or broadcast.error is not None:
            log = self._parts[number].connection.log
            broadcast = Broadcast(log, selection, self._json)
            self._broadcasts[number, selection] = broadcast
        return broadcast

    def _end(self, number: int, selection: Selection, broadcast: Broadcast) -> None:
        broadcast.close()
        if self._broadcasts.get((number, selection)) is broadcast:
            del self._broadcasts[number, selection]


def _positions(
    request: web.BaseRequest, parameters: Parameters, partitions: int
) -> list[int] | None:
    """After which positions a client wants to go on; None: from now on."""
    last = request.headers.get("Last-Event-ID", "").strip()
    if not last:
        return parameters.positions("after", partitions)
    found = positions_of(last, partitions)
    if found is None:
        raise refusal(
            400, "bad-position", "This is no position",
            f"Last-Event-ID: {positions_expected(partitions)}",
        )  # fmt: skip
    return found
