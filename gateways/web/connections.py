"""Connections of clients, bounded in number and in what each may keep waiting.

aiohttp reads and writes them. What it leaves open is closed here: the head of a request has to come
in time, what is sent has to be taken in time, a connection that is ended does not wait for
its client, and there are not more than so many.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateways.web.incoming import Incoming
from gateways.web.problems import Problem

logger = logging.getLogger("thornback.gateway")

#: Whoever writes himself notices first that nobody reads, and says so.
_LATER_S = 0.5


class Connections(web.Server):
    """The connections of one gateway."""

    def __init__(
        self,
        handler: Any,
        *,
        most: int,
        patience_s: float,
        unreadable: Callable[[web.BaseRequest, web.StreamResponse], None],
        **options: Any,
    ) -> None:
        super().__init__(handler, request_factory=_incoming, **options)
        self.most = most  #: that may be open
        self.open = 0
        self.patience_s = patience_s  #: for a head to come, and for what is sent to be taken
        self.unreadable = unreadable  #: is told of requests that are none, with their answers
        self.turned_away = 0  #: because there were too many

    def __call__(self) -> Any:
        return _Connection(self, loop=self._loop, **self._kwargs)


def _incoming(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> Incoming:
    return Incoming(message, payload, protocol, writer, task, asyncio.get_running_loop())


class _Connection(RequestHandler):
    """A client's connection. What is no HTTP is answered like everything else."""

    __slots__ = ("_answered", "_head", "_server", "_stalled")

    def __init__(self, server: Connections, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._answered = 0  # of the requests whose heads have come
        self._head: asyncio.TimerHandle | None = None  # runs while a head is due
        self._stalled: asyncio.TimerHandle | None = None  # runs while nothing is taken

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        work = self._task_handler
        if work is not None:
            work.add_done_callback(lambda _: self._end_soon(transport))
        self._server.open += 1
        if self._server.open > self._server.most:
            self._turn_away()
        else:
            self._head = self._cut_after(self._server.patience_s)

    def data_received(self, data: bytes) -> None:
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:
            self._no_head_due()
        elif self._head is None and data and heads == self._answered:
            self._head = self._cut_after(self._server.patience_s)

    async def finish_response(self, *arguments: Any) -> tuple[web.StreamResponse, bool]:
        try:
            return await super().finish_response(*arguments)
        finally:
            self._answered += 1

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self._cut_after(self._server.patience_s + _LATER_S)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.open -= 1
        self._no_head_due()
        if self._stalled is not None:
            self._stalled.cancel()
        super().connection_lost(exc)

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
        self._server.unreadable(request, response)
        return response

    def _turn_away(self) -> None:
        self._server.turned_away += 1
        if self._server.turned_away == 1:
            logger.warning("more than %d connections: others are turned away", self._server.most)
        if self.transport is not None:
            self.transport.write(_TOO_MANY)
        self.force_close()

    def _no_head_due(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _cut_after(self, patience_s: float) -> asyncio.TimerHandle:
        return self._loop.call_later(patience_s, self._cut)

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _end_soon(self, transport: Any) -> None:
        """Nothing more is done on it: what was sent may still be taken, for a while."""
        if not transport.is_closing() or transport.get_write_buffer_size():
            self._loop.call_later(self._server.patience_s, transport.abort)


def _raw(problem: Problem) -> bytes:
    body = problem.text()
    return (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        b"Retry-After: %d\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
        % (problem.retry_after_s or 0, len(body), body)
    )


_TOO_MANY = _raw(
    Problem(
        status=503, name="too-many-connections", title="Too many connections", retry_after_s=5,
        detail="as many are open as there may be (gateway.max_connections)",
    )
)  # fmt: skip
