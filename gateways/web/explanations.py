"""Explanations over HTTP: what has caused an event, and what it has caused."""

import asyncio
from uuid import UUID

from aiohttp import web
from pydantic_core import to_json

from gateways.explanations import members_of_explanation
from gateways.tokens import READ
from gateways.web.allowed import allowed_of
from gateways.web.parts import Parts
from gateways.web.problems import refusal
from gateways.web.reading import Parameters
from runtime.driver.explaining import SeveralLogs
from store.causality import LARGEST_LIMIT, LIMIT, Explanation, explain
from store.errors import StoreUnavailable


class ExplanationEndpoint:
    """Answers what is asked about one event."""

    #: How long an explanation may take, of many queries.
    LIMIT_S = 20.0

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

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
        found = await self._explained(id, limit)
        body = to_json(members_of_explanation(found), inf_nan_mode="strings")
        return web.Response(body=body, content_type="application/json")

    async def _explained(self, id: UUID, limit: int) -> Explanation:
        if not self._parts.several:
            ask = self._parts.first.store.ask
            return await ask(lambda store: explain(store, id, limit), self.LIMIT_S)
        logs = SeveralLogs([part.connection for part in self._parts])
        try:
            async with asyncio.timeout(self.LIMIT_S):
                return await explain(logs, id, limit, logs.log_of)
        except TimeoutError as error:
            raise StoreUnavailable("the logs", f"no answer within {self.LIMIT_S:g} s") from error
