"""Every request counted and, where that is wanted, logged: never with anything secret.

The labels are few, whatever clients send: the template of a path and not the path, known methods
alone. A line of the access log has the path without its query, and of a token its id.
"""

import logging

from aiohttp import web

from gateways.tokens import redacted
from gateways.web.allowed import sender_of
from gateways.web.incoming import NOWHERE, Incoming
from runtime.telemetry.metrics import HttpMetrics, Metrics

logger = logging.getLogger("thornback.gateway.access")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def note_route(request: web.BaseRequest, template: str) -> None:
    """This request is for a path of this form."""
    assert isinstance(request, Incoming)
    request.route = template


class Counting:
    """Counts what a gateway does. Lives in one event loop."""

    def __init__(self, metrics: Metrics, node: str, *, log: bool) -> None:
        self._metrics, self._node, self._log = HttpMetrics(metrics), node, log
        self._streams = self._metrics.streams.labels(node)
        self._streams.set(0)  # those of an earlier incarnation have ended with it
        # Finding an instrument by its labels takes longer than to count:
        self._counters: dict[tuple[str, str, int], object] = {}
        self._durations: dict[str, object] = {}

    def answered(
        self, request: web.BaseRequest, response: web.StreamResponse, took_s: float
    ) -> None:
        """A request has its answer, or the last of it."""
        route = request.route if isinstance(request, Incoming) else NOWHERE
        method = request.method if request.method in _METHODS else "other"
        key = (route, method, response.status // 100)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._metrics.requests.labels(
                self._node, route, method, f"{key[2]}xx"
            )
        counter.inc()  # type: ignore[attr-defined]
        if isinstance(response, web.Response):  # a stream lasts as long as its client likes
            duration = self._durations.get(route)
            if duration is None:
                duration = self._metrics.duration.labels(self._node, route)
                self._durations[route] = duration
            duration.observe(took_s)  # type: ignore[attr-defined]
        if self._log:
            logger.info(
                "%s %s %d %.1f ms from %s%s",
                request.method, _shown(request), response.status, took_s * 1000,
                request.remote or "-", _token(request),
            )  # fmt: skip

    def streams(self, count: int) -> None:
        """So many streams are open."""
        self._streams.set(count)


def _shown(request: web.BaseRequest) -> str:
    path = request.raw_path.partition("?")[0]
    return redacted(path).encode("ascii", "backslashreplace").decode()


def _token(request: web.BaseRequest) -> str:
    sender = sender_of(request)
    return f" token {sender.token_id}" if sender is not None and sender.token_id else ""
