"""Which path asks for what."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web

from gateways.console.pages import PATHS, Console
from gateways.web.actors import ActorEndpoints
from gateways.web.allowed import sender_of
from gateways.web.bulk import BulkEndpoint
from gateways.web.counting import note_route
from gateways.web.descriptions import Descriptions
from gateways.web.erasing import ErasingEndpoint
from gateways.web.explanations import ExplanationEndpoint
from gateways.web.insight import Insight
from gateways.web.problems import refusal
from gateways.web.readiness import Readiness
from gateways.web.reading import segments_of
from gateways.web.reports import ReportEndpoint
from gateways.web.streams import Streams

#: Answers a request with its query.
Endpoint = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]
#: What a path takes, by method.
Methods = Mapping[str, Endpoint]

_JSON = "application/json"


class Routes:
    """Finds the answer to a request by its path. Segments are decoded one by one, so that a name
    may have slashes, as %2F."""

    def __init__(
        self,
        actors: ActorEndpoints,
        erasing: ErasingEndpoint,
        bulk: BulkEndpoint,
        reports: ReportEndpoint,
        streams: Streams,
        explanations: ExplanationEndpoint,
        descriptions: Descriptions,
        insight: Insight,
        console: Console,
        readiness: Readiness,
    ) -> None:
        self._actors = actors
        self._erasing = erasing
        self._explanations = explanations
        self._readiness = readiness
        #: The paths without names in them.
        self._plain: dict[str, Methods] = {
            "/v1/commands": {"POST": bulk.answer},
            "/v1/events": {"GET": streams.answer, "POST": reports.answer},
            "/v1/types": {"GET": insight.types},
            "/v1/system": {"GET": insight.system},
            "/v1/settings": {"GET": insight.settings},
            "/v1/failures": {"GET": insight.failures},
            **{path: {"GET": partial(console.asset, path)} for path in PATHS},
            "/openapi.json": {"GET": descriptions.openapi},
            "/docs": {"GET": partial(descriptions.page, "docs.html")},
            "/docs/docs.js": {"GET": partial(descriptions.page, "docs.js")},
            "/docs/docs.css": {"GET": partial(descriptions.page, "docs.css")},
            "/livez": {"GET": self._live},
            "/readyz": {"GET": self._ready},
        }

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request. Raises RequestRefused (404, 405) and what the endpoints do."""
        path, _, query = request.raw_path.partition("?")
        if not path.startswith("/"):  # the whole URL, as for a proxy
            path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        plain = self._plain.get(path)
        template, methods = (path, plain) if plain is not None else self._with_names(path)
        note_route(request, template)
        endpoint = methods.get(request.method)
        if endpoint is None:
            raise refusal(
                405, "other-method", "Not this method",
                f"this path takes {' and '.join(methods)}", allow=list(methods),
            )  # fmt: skip
        return await endpoint(request, query)

    def _with_names(self, path: str) -> tuple[str, Methods]:
        actors = self._actors
        match segments_of(path):
            case ["v1", "actors", actor_type, name, last]:
                command = partial(actors.command, actor_type, name, last)
                if last != "events":
                    return "/v1/actors/{type}/{name}/{message-type}", {"POST": command}
                history = partial(actors.history, actor_type, name)
                return "/v1/actors/{type}/{name}/events", {"GET": history, "POST": command}
            case ["v1", "actors", actor_type, name]:
                state = partial(actors.state, actor_type, name)
                erasure = partial(self._erasing.answer, actor_type, name)
                return "/v1/actors/{type}/{name}", {"GET": state, "DELETE": erasure}
            case ["v1", "events", event_id, "explanation"]:
                answer = partial(self._explanations.answer, event_id)
                return "/v1/events/{id}/explanation", {"GET": answer}
            case ["v1", "actors", actor_type]:
                return "/v1/actors/{type}", {"GET": partial(actors.listing, actor_type)}
        raise refusal(
            404, "no-such-path", "There is nothing here",
            "see /docs for what there is; a slash in a name is written %2F",
        )  # fmt: skip

    async def _live(self, *_: object) -> web.StreamResponse:
        return web.Response(body=b'{"alive":true}', content_type=_JSON)

    async def _ready(self, request: web.BaseRequest, _: str) -> web.StreamResponse:
        problem = self._readiness.problem
        if problem is not None:
            if sender_of(request) is None:  # whoever that is need not know who is away
                problem = "the log of the gateway says why"
            raise refusal(503, "not-ready", "Not ready", problem, retry_after_s=1)
        return web.Response(body=b'{"ready":true}', content_type=_JSON)
