"""Requests in, answers out: what holds for all of them, whatever they ask.

Every request passes access.py, has its place in a bounded number of them, and ends with an answer,
be it a problem. Once the gateway is being drained it takes none any more, and finishes those that
it has.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateways.web.access import Access
from gateways.web.connections import Connections
from gateways.web.counting import Counting
from gateways.web.open_files import connections_that_fit
from gateways.web.problems import draining, problem_of, refusal
from runtime.settings.sections import GatewaySettings

logger = logging.getLogger("thornback.gateway")

Endpoint = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

#: Answers of more bytes than that may wait for their client.
_LARGE = 32 * 1024


class Serving:
    """Answers requests by `endpoint`. Lives in one event loop."""

    #: A connection without a request is closed after this long.
    IDLE_S = 75.0
    #: What is left of a body when it was answered is read so long, so that the answer arrives.
    LINGER_S = 2.0

    def __init__(
        self,
        settings: GatewaySettings,
        access: Access,
        endpoint: Endpoint,
        streams: Callable[[], int],
        counting: Counting,
    ) -> None:
        self._settings = settings
        self._access = access
        self._endpoint = endpoint
        self._streams = streams  # that are open: they have a limit of their own
        self._counting = counting
        self._send_s = settings.read_timeout_ms / 1000
        self.answered = 0
        self.under_way = 0  #: requests that are not answered yet
        self.draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._server = Connections(
            self._handle,
            most=connections_that_fit(settings.max_connections),
            patience_s=self._send_s,
            unreadable=lambda request, response: counting.answered(request, response, 0.0),
            keepalive_timeout=self.IDLE_S,
            lingering_time=self.LINGER_S,
            access_log=None,
            auto_decompress=False,  # bodies are bounded as they come
        )
        self._listening: asyncio.Server | None = None

    async def listen(self, tls: ssl.SSLContext | None) -> str:
        """Begin to listen; where, as host and port. Raises OSError."""
        host, port = self._settings.host, self._settings.port
        loop = asyncio.get_running_loop()
        in_time = self._send_s if tls is not None else None
        self._listening = await loop.create_server(
            self._server, host, port, backlog=1024,
            ssl=tls, ssl_handshake_timeout=in_time, ssl_shutdown_timeout=in_time,
        )  # fmt: skip
        found = self._listening.sockets[0].getsockname()
        return f"[{found[0]}]:{found[1]}" if ":" in found[0] else f"{found[0]}:{found[1]}"

    async def drain(self) -> int:
        """Take no request any more and finish those that there are; how many were answered."""
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        await self._idle.wait()
        return self.answered

    def close(self) -> None:
        """Listen no more, and end all connections at once."""
        if self._listening is not None:
            self._listening.close()
        for connection in self._server.connections:
            connection.force_close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        began_s = time.perf_counter()
        self.under_way += 1
        self._idle.clear()
        try:
            response = await self._answered(request)
        finally:
            self.under_way -= 1
            self.answered += 1
            if not self.under_way:
                self._idle.set()
        self._counting.answered(request, response, time.perf_counter() - began_s)
        return response

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._admitted(request)
        except Exception as error:
            question = request.method in ("GET", "HEAD")
            response = problem_of(error, question=question).response()
        if self.draining:
            response.force_close()
        if isinstance(response, web.Response) and (response.content_length or 0) > _LARGE:
            await self._sent(request, response)
        return response

    async def _admitted(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.under_way - self._streams() > self._settings.max_requests:
            raise refusal(
                429, "too-many-requests", "Too many requests at once",
                f"{self._settings.max_requests} are worked on (gateway.max_requests)",
                retry_after_s=1,
            )  # fmt: skip
        known = await self._access.admit(request)
        if self.draining:
            raise draining("requests")
        known.held += 1
        try:
            return await self._endpoint(request)
        finally:
            known.held -= 1

    async def _sent(self, request: web.BaseRequest, response: web.Response) -> None:
        """Send a large answer, unless its client does not take it."""
        try:
            async with asyncio.timeout(self._send_s):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            logger.debug("a client has left before its answer")
