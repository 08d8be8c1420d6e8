"""Erasing an actor over HTTP: its data goes for good, and the answer is the receipt."""

from typing import Any

from aiohttp import web
from pydantic_core import to_json

from actors.naming import checked_type_name, source_of
from gateways.web.allowed import allowed_of
from gateways.web.parts import Parts
from gateways.web.problems import refusal
from gateways.web.reading import Parameters
from runtime.driver.erasing import erase_actor
from runtime.driver.ref import ActorRef
from runtime.errors import NotPossible
from runtime.processing.erasing_everywhere import forgotten_everywhere


class ErasingEndpoint:
    """Answers who wants the data of one actor to go. Nothing brings it back, so it takes the scope
    `admin`, and is refused without a reason, which the log keeps."""

    #: How long host, bus or database may be away, for each step of it. Whoever asks again has done
    #: what is left to do.
    PATIENCE_S = 30.0

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def answer(
        self, actor_type: str, name: str, request: web.BaseRequest, query: str
    ) -> web.StreamResponse:
        """DELETE /v1/actors/{type}/{name}?reason=: the receipt (ActorSystem.erase)."""
        source = source_of(checked_type_name(actor_type), name)
        allowed_of(request).check_erase(source)
        reason = (Parameters(query, ("reason",)).text("reason") or "").strip()
        if not reason:
            raise refusal(
                400, "no-reason", "An erasure has a reason",
                "say ?reason=...: the log keeps it, and the actor's data goes for good",
            )  # fmt: skip
        ref: ActorRef[Any] = ActorRef(self._parts.of(source).connection, None, source)
        try:
            receipt = await erase_actor(ref, reason, (), self.PATIENCE_S)
            receipt = await forgotten_everywhere(
                receipt, [part.connection for part in self._parts], source, (), self.PATIENCE_S
            )
        except NotPossible as error:
            raise refusal(
                404, "nothing-to-erase", "There is nothing to erase", str(error)
            ) from error
        return web.Response(body=to_json(receipt.as_json()), content_type="application/json")
