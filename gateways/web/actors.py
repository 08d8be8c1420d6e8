"""Single actors over HTTP: a command, a state, a history."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import chain
from typing import TypeVar
from uuid import UUID

from aiohttp import web
from pydantic_core import to_json

from actors.moments import moment_of
from actors.naming import aggregate_key_of, checked_type_name, source_of
from gateways.tokens import READ
from gateways.web.allowed import allowed_of
from gateways.web.catalogue import Catalogue
from gateways.web.parts import Part, Parts
from gateways.web.problems import problem_of
from gateways.web.reading import (
    Parameters,
    body_of,
    check_json,
    command_id_of,
    json_of,
    moment_of_text,
)
from runtime.driver.plain import PlainCommand, PlainState, ask_plain, plain_state
from runtime.driver.reply import Reply
from runtime.errors import UnknownActorType
from runtime.processing.finding import FoundRows, find_rows
from runtime.settings.sections import GatewaySettings
from runtime.wire.answers import AnsweredRows
from store.rows.json_events import JsonEvents

#: Events that one page of a history has, unless a client says otherwise, and at most.
PAGE, LARGEST_PAGE = 100, 1_000

_JSON = "application/json"

T = TypeVar("T")


class ActorEndpoints:
    """Answers requests that are for one actor."""

    def __init__(self, parts: Parts, catalogue: Catalogue, settings: GatewaySettings) -> None:
        self._parts = parts
        self._catalogue = catalogue
        self._limit = settings.body_limit
        self._read_s = settings.read_timeout_ms / 1000
        self._json = JsonEvents()

    async def command(
        self, actor_type: str, name: str, message_type: str, request: web.BaseRequest, query: str
    ) -> web.StreamResponse:
        """POST /v1/actors/{type}/{name}/{message-type}: the events of a message, committed."""
        if query:
            Parameters(query, ())
        source = source_of(checked_type_name(actor_type), name)
        allowed_of(request).check_command(source)
        check_json(request)
        headers = request.headers
        connection = self._parts.of(source).connection
        now_us = connection.world.now_us()
        at = headers.get("Happened-At")
        at_us = now_us if at is None else moment_of_text(at, "Happened-At")
        command_id = command_id_of(headers.get("Idempotency-Key"), source)
        if command_id is None:
            command_id = connection.new_id()
        data = json_of(await body_of(request, self._limit, self._read_s))
        command = PlainCommand(source, message_type, data, command_id, at_us)
        key = str(UUID(bytes=command_id))
        try:
            repeated, rows = await self.ask(command)
        except Exception as error:
            response = problem_of(error).response()
        else:
            response = web.Response(body=self.answer(source, repeated, rows), content_type=_JSON)
        # Also where it was not given: whoever has no answer repeats under this one.
        response.headers["Idempotency-Key"] = key
        return response

    def send(self, command: PlainCommand) -> Reply[AnsweredRows]:
        """The reply to a command for actors whose class every host has."""
        return ask_plain(self._parts.of(command.source).connection, command)

    async def ask(self, command: PlainCommand) -> tuple[bool, AnsweredRows]:
        """Whether it is a repeat, and its events. Raises what a reply does. A host that has lost
        the class is brought it."""
        reply = self.send(command)
        try:
            rows = await reply
        except UnknownActorType:
            await self._catalogue.bring(command.source)
            reply = self.send(command)
            rows = await reply
        self._catalogue.met(command.source.partition("/")[0])
        return reply.repeated, rows

    def answer(self, source: str, repeated: bool, rows: AnsweredRows) -> bytes:
        """The answer to a command that was accepted, as JSON text."""
        found = self._json.texts(
            rows.data, first_position=rows.first_position, recorded_us=rows.recorded_us
        )
        if repeated:  # those of a first run come in any order
            found.sort(key=lambda event: event.version)
        events = b",".join([event.text for event in found])
        return b'{"source":%b,"repeat":%b,"events":[%b]}' % (
            to_json(source), b"true" if repeated else b"false", events
        )  # fmt: skip

    async def state(
        self, actor_type: str, name: str, request: web.BaseRequest, query: str
    ) -> web.StreamResponse:
        """GET /v1/actors/{type}/{name}: the state, after all that is committed."""
        Parameters(query, ())
        source = source_of(checked_type_name(actor_type), name)
        allowed_of(request).check_read(source)
        found = await self._state(source)
        # An infinity is legal in a state and not in JSON.
        body = to_json(
            {"source": source, "version": found.version, "state": found.state},
            inf_nan_mode="strings",
        )
        # Of the text, too: new code may show another state after the same event.
        tag = f'"{found.version}-{blake2b(body, digest_size=6).hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if _matches(request.headers.get("If-None-Match", ""), tag):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=_JSON, headers=headers)

    async def _state(self, source: str) -> PlainState:
        connection = self._parts.of(source).connection
        try:
            return await plain_state(connection, source)
        except UnknownActorType:
            await self._catalogue.bring(source)
            return await plain_state(connection, source)

    async def history(
        self, actor_type: str, name: str, request: web.BaseRequest, query: str
    ) -> web.StreamResponse:
        """GET /v1/actors/{type}/{name}/events: its events by version. A source has them whether
        or not anybody knows its type."""
        parameters = Parameters(query, ("after", "limit"))
        after = parameters.whole("after", 0, 0, 2**63 - 1)
        limit = parameters.whole("limit", PAGE, 1, LARGEST_PAGE)
        source = source_of(checked_type_name(actor_type), name)
        allowed_of(request).check_read(source)
        key = aggregate_key_of(source)
        store = self._parts.of(source).store
        rows = await store.ask(lambda store: store.history(key, after, limit + 1))
        found = self._json.texts(rows)
        page = found[:limit]
        more = page[-1].version if len(found) > limit else None
        body = b'{"source":%b,"events":[%b],"next":%b}' % (
            to_json(source), b",".join([event.text for event in page]), to_json(more)
        )  # fmt: skip
        return web.Response(body=body, content_type=_JSON)

    async def listing(
        self, actor_type: str, request: web.BaseRequest, query: str
    ) -> web.StreamResponse:
        """GET /v1/actors/{type}: the actors that have events, by name, with the last event of each;
        those of the token, and of them those whose names begin with `prefix`. With other
        parameters, those of whose states that is true."""
        known = ("after", "limit", "prefix", "at_least")
        parameters = Parameters(query, known, others=True)
        limit = parameters.whole("limit", PAGE, 1, LARGEST_PAGE)
        name = checked_type_name(actor_type)
        all_of_type = f"{name}/"
        allowed = allowed_of(request)
        allowed.check_scope(READ)
        prefix = allowed.grant.prefix or all_of_type
        if not prefix.startswith(all_of_type):
            raise allowed.outside(all_of_type)
        wanted = parameters.text("prefix")
        if wanted:  # narrowed to what the token is for: one of them begins with the other
            wanted = source_of(name, wanted)
            if not (wanted.startswith(prefix) or prefix.startswith(wanted)):
                raise allowed.outside(wanted)
            prefix = max(prefix, wanted, key=len)
        after = parameters.text("after")
        if where := parameters.others:
            return await self._found(name, where, prefix, after or "", limit, parameters)
        behind = source_of(name, after) if after else ""
        asked = await self._parts.ask(lambda store: store.sources(prefix, behind, limit + 1))
        found = merged(asked, lambda each: each.source)
        page = [
            {
                "name": each.source.partition("/")[2],
                "version": each.version,
                "event_type": each.event_type,
                "recorded_at": moment_of(each.recorded_us),
            }
            for each in found[:limit]
        ]
        more = page[-1]["name"] if len(found) > limit else None
        body = to_json({"type": name, "actors": page, "next": more})
        return web.Response(body=body, content_type=_JSON)

    async def _found(
        self,
        actor_type: str,
        where: dict[str, list[str]],
        prefix: str,
        after: str,
        limit: int,
        parameters: Parameters,
    ) -> web.StreamResponse:
        given = parameters.positions("at_least", len(self._parts))
        least: Sequence[int | None] = given or [None] * len(self._parts)

        def find(part: Part, at_least: int | None) -> Reply[FoundRows]:
            timeout_s = part.connection.settings.actor_system.actor_timeout_ms / 1000
            return find_rows(
                part.connection, actor_type, where, prefix=prefix, at_least=at_least, after=after,
                limit=limit, timeout_s=timeout_s,
            )  # fmt: skip

        found = await asyncio.gather(*map(find, self._parts, least))
        rows = merged([each.rows for each in found], lambda row: row[0])
        more = len(rows) > limit or any(each.next is not None for each in found)
        page = [{"name": name, "fields": fields} for name, fields in rows[:limit]]
        position = self._parts.position([each.position for each in found])
        body = to_json(
            {
                "type": actor_type,
                "actors": page,
                "position": position,
                "next": page[-1]["name"] if more and page else None,
            },
            inf_nan_mode="strings",
        )
        return web.Response(body=body, content_type=_JSON)


def merged(found: Sequence[Sequence[T]], name_of: Callable[[T], str]) -> list[T]:
    """What several logs have, in the order in which each of them says it."""
    if len(found) == 1:
        return list(found[0])
    return sorted(chain.from_iterable(found), key=lambda each: name_of(each).encode())


def _matches(given: str, tag: str) -> bool:
    """Does a client have this very version already?"""
    return given.strip() == "*" or tag in (
        each.strip().removeprefix("W/") for each in given.split(",")
    )
