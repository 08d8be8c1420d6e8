"""Which path asks for what."""

from aiohttp import web

from gateways.web.actors import ActorEndpoints
from gateways.web.problems import refusal
from gateways.web.readiness import Readiness
from gateways.web.reading import segments_of

_JSON = "application/json"


class Routes:
    """Finds the answer to a request by its path. Segments are decoded one by one, so that a name
    may have slashes, as %2F."""

    def __init__(self, actors: ActorEndpoints, readiness: Readiness) -> None:
        self._actors = actors
        self._readiness = readiness

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request. Raises RequestRefused (404, 405) and what the endpoints do."""
        path, _, query = request.raw_path.partition("?")
        if not path.startswith("/"):  # the whole URL, as for a proxy
            path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        match segments_of(path):
            case ["v1", "actors", actor_type, name, message_type] if request.method == "POST":
                return await self._actors.command(request, actor_type, name, message_type)
            case ["v1", "actors", actor_type, name]:
                _only(request, "GET")
                return await self._actors.state(request, query, actor_type, name)
            case ["v1", "actors", actor_type, name, "events"]:
                _only(request, "GET", "POST")
                return await self._actors.history(query, actor_type, name)
            case ["v1", "actors", _, _, _]:
                _only(request, "POST")
            case ["livez"]:
                _only(request, "GET")
                return web.Response(body=b'{"alive":true}', content_type=_JSON)
            case ["readyz"]:
                _only(request, "GET")
                return self._ready()
        raise refusal(
            404, "no-such-path", "There is nothing here",
            "see /docs for what there is; a slash in a name is written %2F",
        )  # fmt: skip

    def _ready(self) -> web.Response:
        problem = self._readiness.problem
        if problem is not None:
            raise refusal(503, "not-ready", "Not ready", problem, retry_after_s=1)
        return web.Response(body=b'{"ready":true}', content_type=_JSON)


def _only(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        raise refusal(
            405, "other-method", "Not this method",
            f"this path takes {' and '.join(methods)}", allow=list(methods),
        )  # fmt: skip
