"""Requests in, answers out: what holds for all of them, whatever they ask.

Every request passes access.py, has its place in a bounded number of them, and ends with an answer,
be it a problem. Once the gateway is being drained it takes none any more, and finishes those that
it has.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateways.web.access import Access
from gateways.web.problems import Problem, problem_of, refusal
from runtime.settings.sections import GatewaySettings

logger = logging.getLogger("thornback.gateway")
access_logger = logging.getLogger("thornback.gateway.access")

Endpoint = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

#: Answers of more bytes than that may wait for their client.
_LARGE = 32 * 1024


class Serving:
    """Answers requests by `endpoint`. Lives in one event loop."""

    #: A connection without a request is closed after this long.
    IDLE_S = 75.0

    def __init__(
        self,
        settings: GatewaySettings,
        access: Access,
        endpoint: Endpoint,
        streams: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._access = access
        self._endpoint = endpoint
        self._streams = streams  # that are open: they have a limit of their own
        self._send_s = settings.read_timeout_ms / 1000
        self.answered = 0
        self.under_way = 0  #: requests that are not answered yet
        self.draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._server = _Server(
            self._handle,
            keepalive_timeout=self.IDLE_S,
            lingering_time=2.0,
            access_log=None,
            auto_decompress=False,  # bodies are bounded as they come
        )
        self._listening: asyncio.Server | None = None

    async def listen(self) -> str:
        """Begin to listen; where, as host and port. Raises OSError."""
        host, port = self._settings.host, self._settings.port
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._server, host, port, backlog=1024)
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
        began_s = time.perf_counter() if self._settings.access_log else 0.0
        self.under_way += 1
        self._idle.clear()
        try:
            response = await self._answered(request)
        finally:
            self.under_way -= 1
            self.answered += 1
            if not self.under_way:
                self._idle.set()
        if self._settings.access_log:
            path = request.raw_path.partition("?")[0]
            took_ms = (time.perf_counter() - began_s) * 1000
            access_logger.info("%s %s %d %.1f ms", request.method, path, response.status, took_ms)
        return response

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            self._access.admit(request)
            if self.draining:
                raise refusal(
                    503, "draining", "The system is being stopped",
                    "this gateway takes no requests any more", retry_after_s=10,
                )  # fmt: skip
            if self.under_way - self._streams() > self._settings.max_requests:
                raise refusal(
                    429, "too-many-requests", "Too many requests at once",
                    f"{self._settings.max_requests} are worked on (gateway.max_requests)",
                    retry_after_s=1,
                )  # fmt: skip
            response = await self._endpoint(request)
        except Exception as error:
            response = problem_of(error).response()
        if self.draining:
            response.force_close()
        if isinstance(response, web.Response) and (response.content_length or 0) > _LARGE:
            await self._sent(request, response)
        return response

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


class _Connection(RequestHandler):
    """A client's connection. What is no HTTP is answered like everything else."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status == 500:
            logger.error("a request failed by a fault of the gateway", exc_info=exc)
            status, message = 503, "the gateway failed at this request"
        problem = Problem(
            status=status, name="bad-request", title="This request cannot be read",
            detail=(message or "").strip().splitlines()[0] if message else "it is no HTTP/1.1",
        )  # fmt: skip
        response = problem.response()
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> Any:
        return _Connection(self, loop=self._loop, **self._kwargs)
