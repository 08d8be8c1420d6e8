"""Explanations over HTTP: what has caused an event, and what it has caused."""

from uuid import UUID

from aiohttp import web
from pydantic_core import to_json

from gateways.explanations import members_of_explanation
from gateways.tokens import READ
from gateways.web.allowed import allowed_of
from gateways.web.log_store import LogStore
from gateways.web.problems import refusal
from gateways.web.reading import Parameters
from store.causality import LARGEST_LIMIT, LIMIT, explain


class ExplanationEndpoint:
    """Answers what is asked about one event."""

    #: How long an explanation may take, of many queries.
    LIMIT_S = 20.0

    def __init__(self, store: LogStore) -> None:
        self._store = store

    async def answer(
        self, event_id: str, request: web.BaseRequest, query: str
    ) -> web.StreamResponse:
        """GET /v1/events/{id}/explanation. Causes know no bounds between sources, so a token for a
        part of them may not see one."""
        parameters = Parameters(query, ("limit",))
        limit = parameters.whole("limit", LIMIT, 1, LARGEST_LIMIT)
        allowed_of(request).check_whole(READ)
        try:
            id = UUID(event_id)
        except ValueError as error:
            raise refusal(
                400, "no-id", "This is no id", "an event, or a command, is named by a UUID"
            ) from error
        found = await self._store.ask(lambda store: explain(store, id, limit), self.LIMIT_S)
        body = to_json(members_of_explanation(found), inf_nan_mode="strings")
        return web.Response(body=body, content_type="application/json")
