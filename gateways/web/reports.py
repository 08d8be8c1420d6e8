"""CloudEvents over HTTP: what devices report, in each of the three modes.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md:
structured (the event is the body), batched (many are), and binary (its attributes are headers, and
the body is its data). What becomes of them is what gateways/cloud_events.py says.
"""

from typing import Any
from urllib.parse import unquote

from aiohttp import web

from actors.devices import DeviceTwin, Report
from actors.moments import microseconds
from actors.naming import source_of
from gateways.cloud_events import BadEvent, CloudEvent, event_of
from gateways.tokens import PUBLISH
from gateways.web.actors import ActorEndpoints
from gateways.web.allowed import Allowed, allowed_of
from gateways.web.problems import Problem, problem_of, refusal
from gateways.web.reading import Parameters, body_of, json_of
from runtime.driver.plain import PlainCommand
from runtime.driver.reply import Reply
from runtime.process.world import World
from runtime.settings.sections import GatewaySettings
from runtime.wire.answers import AnsweredRows
from runtime.wire.values import members

STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"


class ReportEndpoint:
    """Answers POST /v1/events."""

    def __init__(self, actors: ActorEndpoints, world: World, settings: GatewaySettings) -> None:
        self._actors = actors
        self._world = world
        self._limit = settings.body_limit
        self._read_s = settings.read_timeout_ms / 1000

    async def answer(self, request: web.BaseRequest, query: str) -> web.StreamResponse:
        """The events that the device's twin makes of it, committed; of a batch each in its
        place. Raises RequestRefused and what a reply does."""
        Parameters(query, ())
        allowed = allowed_of(request)
        allowed.check_scope(PUBLISH)
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind == BATCHED:
            return await self._batch(json_of(await self._body(request)), allowed)
        if kind == STRUCTURED:
            event = _event(json_of(await self._body(request)))
        elif "ce-type" in request.headers or "ce-id" in request.headers:
            event = _event(_in_headers(request, kind, await self._body(request)))
        else:
            raise refusal(
                415, "no-cloud-event", "CloudEvents are expected",
                f"the Content-Type is {STRUCTURED} or {BATCHED}, or attributes are in ce- headers",
            )  # fmt: skip
        source, reply = self._sent(event, allowed)
        rows = await reply
        body = self._actors.answer(source, reply.repeated, rows)
        return web.Response(body=body, content_type="application/json")

    async def _body(self, request: web.BaseRequest) -> bytes:
        return await body_of(request, self._limit, self._read_s)

    async def _batch(self, found: Any, allowed: Allowed) -> web.StreamResponse:
        if not isinstance(found, list):
            raise refusal(400, "no-batch", "This is no batch", "a JSON array is expected")
        # All are under way before the first is waited for; those of a device keep their order.
        sent = [self._tried(each, allowed) for each in found]
        told = [await self._told(each) for each in sent]
        status = 207 if any(isinstance(each, Problem) for each in told) else 200
        texts = [
            b'{"problem":%b}' % each.text() if isinstance(each, Problem) else each for each in told
        ]
        return web.Response(
            status=status, body=b"[%b]" % b",".join(texts), content_type="application/json"
        )

    def _tried(self, found: Any, allowed: Allowed) -> "tuple[str, Reply[AnsweredRows]] | Problem":
        try:
            return self._sent(_event(found), allowed)
        except Exception as error:
            return problem_of(error)

    async def _told(self, sent: "tuple[str, Reply[AnsweredRows]] | Problem") -> bytes | Problem:
        if isinstance(sent, Problem):
            return sent
        source, reply = sent
        try:
            rows = await reply
            return self._actors.answer(source, reply.repeated, rows)
        except Exception as error:
            return problem_of(error)

    def _sent(self, event: CloudEvent, allowed: Allowed) -> tuple[str, Reply[AnsweredRows]]:
        source = source_of(DeviceTwin.actor_type, event.source)
        allowed.check_publish(source)
        at_us = self._world.now_us() if event.time is None else microseconds(event.time)
        data = members(event.report)
        command = PlainCommand(source, Report.message_type, data, event.command_id, at_us)
        return source, self._actors.send(command)


def _event(found: Any) -> CloudEvent:
    try:
        return event_of(found)
    except BadEvent as error:
        raise refusal(400, "no-cloud-event", "This is no CloudEvent", str(error)) from error


def _in_headers(request: web.BaseRequest, kind: str, body: bytes) -> dict[str, Any]:
    """The members of an event in binary mode."""
    found: dict[str, Any] = {}
    for name, value in request.headers.items():
        lowered = name.lower()
        if lowered.startswith("ce-"):
            try:
                found[lowered[3:]] = unquote(value, errors="strict")
            except UnicodeDecodeError as error:
                raise refusal(400, "no-utf-8", "This is no UTF-8", f"{name}: {error}") from error
    if body and (kind in ("", "application/json") or kind.endswith("+json")):
        found["data"] = json_of(body)
    elif body and kind.startswith("text/"):
        try:
            found["data"] = body.decode()
        except UnicodeDecodeError as error:
            raise refusal(400, "no-utf-8", "This is no UTF-8", f"the body: {error}") from error
    elif body:
        raise refusal(
            415, "not-json", "JSON is expected",
            f"data is JSON or text; {kind[:100]} has no properties to merge",
        )  # fmt: skip
    return found
