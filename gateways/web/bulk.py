"""Many commands in one request, a line each, answered line by line as they commit.

The body is read only as fast as the commands are answered, and the answers are written only as
fast as the client reads them: so a client may send without end, and has to read meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from pydantic_core import to_json

from actors.naming import actor_type_of, checked_source, checked_type_name
from gateways.web.actors import ActorEndpoints
from gateways.web.allowed import Allowed, allowed_of
from gateways.web.parts import Parts
from gateways.web.problems import draining, problem_of, refusal
from gateways.web.reading import (
    Parameters,
    check_json,
    command_id_of,
    json_of,
    moment_of_text,
    too_large,
)
from runtime.driver.plain import PlainCommand
from runtime.driver.plain_bulk import PlainBulk
from runtime.driver.reply import Reply
from runtime.errors import UnknownActorType
from runtime.settings.sections import GatewaySettings
from runtime.wire.answers import AnsweredRows

_NDJSON = "application/x-ndjson"


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    """One line: a command."""

    source: str
    message: str
    data: Any = {}
    key: str | None = None
    happened_at: str | None = None


class _Waiting(NamedTuple):
    """A line that is not answered yet."""

    number: int
    command: PlainCommand | None
    outcome: "Reply[AnsweredRows | None] | Exception"

    @property
    def done(self) -> bool:
        return isinstance(self.outcome, Exception) or self.outcome.done()


class BulkEndpoint:
    """Answers POST /v1/commands."""

    #: Lines that are not answered yet: what one request may have under way.
    WINDOW = 8_000
    #: Bytes of lines that are not answered yet.
    WINDOW_BYTES = 16 * 1024 * 1024
    #: Hosts and database may be away so long, before what is open is answered as open.
    PATIENCE_S = 30.0
    #: A client that sends nothing for so long, and waits for nothing, is done.
    SILENCE_S = 60.0
    #: Answers are written when there are so many bytes of them, or no more for the moment.
    PIECE = 64 * 1024

    def __init__(self, parts: Parts, actors: ActorEndpoints, settings: GatewaySettings) -> None:
        # Immutable; its calls use them, too.
        self.parts = parts
        self.actors = actors
        self.limit = settings.body_limit  #: bytes of a line
        self.send_s = settings.read_timeout_ms / 1000  #: how long a client may not read
        self._decode = msgspec.json.Decoder(_Line).decode
        self._calls: set[_Call] = set()  # under way

    def end(self) -> None:
        """Take no more lines: those that were taken are answered, and then the requests end."""
        for call in self._calls:
            call.end()

    async def answer(self, request: web.BaseRequest, query: str) -> web.StreamResponse:
        """A line for each line, in their order. Raises RequestRefused."""
        Parameters(query, ())
        allowed_of(request).check_commands()
        check_json(request, _NDJSON, "application/jsonl")
        if "Content-Encoding" in request.headers:
            raise refusal(415, "encoded", "Send it as it is", "lines are taken without an encoding")
        key = request.headers.get("Idempotency-Key")
        if key is not None:
            command_id_of(key, "")  # is it one?
        minimal = "return=minimal" in request.headers.get("Prefer", "")
        call = _Call(self, request, key, want_events=not minimal)
        self._calls.add(call)
        try:
            return await self._answered(request, call)
        finally:
            self._calls.remove(call)

    async def _answered(self, request: web.BaseRequest, call: "_Call") -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": _NDJSON})
        await response.prepare(request)
        reading = asyncio.ensure_future(call.read())
        try:
            await call.write(response)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the client has left; what was taken takes effect
        finally:
            reading.cancel()
            await asyncio.wait((reading,))
        if not reading.cancelled():
            reading.result()  # what it raises is nobody else's to tell
        return response

    def command(self, text: bytes, number: int, key: str | None, allowed: Allowed) -> PlainCommand:
        """The command of a line. Raises RequestRefused, InvalidName and ValidationError."""
        allowed.check_stands()  # a request may last for days
        if len(text) > self.limit:
            raise too_large(self.limit)
        try:
            line = self._decode(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            line = _unusual(json_of(text), error)
        source = checked_source(line.source)
        checked_type_name(actor_type_of(source))
        allowed.check_command(source)
        if line.key is None and key is not None:
            line.key = f"{key}#{number}"
        connection = self.parts.first.connection
        now_us = connection.world.now_us()
        at = line.happened_at
        return PlainCommand(
            source,
            line.message,
            line.data,
            command_id_of(line.key, source) or connection.new_id(),
            now_us if at is None else moment_of_text(at, "happened_at"),
        )


class _Call:
    """One request under way: a task reads lines, another one writes answers."""

    def __init__(
        self,
        endpoint: BulkEndpoint,
        request: web.BaseRequest,
        key: str | None,
        *,
        want_events: bool,
    ) -> None:
        self._endpoint = endpoint
        self._content = request.content
        self._allowed = allowed_of(request)
        self._key = key
        self._want_events = want_events
        self._bulks = [  # of each partition; an actor is in one
            PlainBulk(part.connection, endpoint.PATIENCE_S, want_events=want_events)
            for part in endpoint.parts
        ]
        self._waiting: deque[_Waiting] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0  # of the lines that wait
        self._draining = False  # no more lines are taken
        self._silence: asyncio.Timeout | None = None  # runs while something may come
        self._ended = False  # nothing more will be read
        self._came = asyncio.Event()
        self._room = asyncio.Event()

    def end(self) -> None:
        """Take no more lines. The first of those is told so."""
        self._draining = True
        if self._silence is not None and not self._silence.expired():
            self._silence.reschedule(asyncio.get_running_loop().time())

    async def read(self) -> None:
        """Take lines while there is room, and send them."""
        number = 0
        try:
            async for lines in self._lines():
                for line in lines:
                    number += 1
                    if line and not line.isspace():
                        self._take(number, line)
                for bulk in self._bulks:
                    bulk.send_all()
                self._came.set()
                while (
                    len(self._waiting) >= self._endpoint.WINDOW
                    or self._bytes > self._endpoint.WINDOW_BYTES
                ):
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:
            self._waiting.append(_Waiting(number + 1, None, error))
            self._sizes.append(0)
        finally:
            self._ended = True
            self._came.set()

    async def write(self, response: web.StreamResponse) -> None:
        """Answer the lines in their order. Raises TimeoutError for a client that does not read,
        and ConnectionError for one that has left."""
        said: list[bytes] = []
        size = 0
        while self._waiting or not self._ended:
            if not self._waiting or not self._waiting[0].done:
                if said:
                    await self._write(response, b"".join(said))
                    said, size = [], 0
                    continue
                if not self._waiting:
                    self._came.clear()
                    if not self._ended:
                        await self._came.wait()
                    continue
            first = self._waiting.popleft()
            text = await self._answered(first)
            self._bytes -= self._sizes.popleft()
            self._room.set()
            said.append(text)
            size += len(text)
            if size > self._endpoint.PIECE:
                await self._write(response, b"".join(said))
                said, size = [], 0
        if said:
            await self._write(response, b"".join(said))

    def _take(self, number: int, line: bytes) -> None:
        command: PlainCommand | None = None
        outcome: Reply[AnsweredRows | None] | Exception
        try:
            command = self._endpoint.command(line, number, self._key, self._allowed)
            partition = self._endpoint.parts.number_of(command.source)
            outcome = self._bulks[partition].offer(command)
        except Exception as error:
            outcome = error
        self._waiting.append(_Waiting(number, command, outcome))
        self._sizes.append(len(line))
        self._bytes += len(line)

    async def _answered(self, line: _Waiting) -> bytes:
        actors = self._endpoint.actors
        try:
            if isinstance(line.outcome, Exception):
                raise line.outcome
            try:
                rows = await line.outcome
                repeated = line.outcome.repeated
            except UnknownActorType:
                assert line.command is not None
                repeated, rows = await actors.ask(line.command)
        except Exception as error:
            problem = to_json(problem_of(error).members(), inf_nan_mode="strings", fallback=repr)
            return b'{"line":%d,"problem":%b}\n' % (line.number, problem)
        if rows is None or not self._want_events:
            return b'{"line":%d,"repeat":%b}\n' % (line.number, b"true" if repeated else b"false")
        assert line.command is not None
        return b'{"line":%d,%b\n' % (
            line.number, actors.answer(line.command.source, repeated, rows)[1:]
        )  # fmt: skip

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        async with asyncio.timeout(self._endpoint.send_s):
            await response.write(data)

    async def _lines(self) -> AsyncIterator[list[bytes]]:
        """The lines of the body, in lists of what came at once. Raises RequestRefused for one
        that is too long, or that nobody ends."""
        rest = b""
        while part := await self._part():
            *lines, rest = (rest + part).split(b"\n")
            if lines:
                yield lines
            if len(rest) > self._endpoint.limit:
                raise too_large(self._endpoint.limit)
        if rest:
            yield [rest]

    async def _part(self) -> bytes:
        """What has come of the body, and nothing at its end. Raises RequestRefused."""
        if self._draining and not self._content.is_eof():  # what is all there is taken
            raise draining("lines")
        try:
            async with asyncio.timeout(self._endpoint.SILENCE_S) as self._silence:
                return await self._content.readany()
        except TimeoutError as error:
            if self._draining:
                raise draining("lines") from error
            raise refusal(
                408, "too-slow", "Nothing came", "a line may take a minute to come"
            ) from error
        finally:
            self._silence = None


def _unusual(value: Any, error: Exception) -> _Line:
    """The line of a value that was read in another way. Raises RequestRefused."""
    try:
        return msgspec.convert(value, _Line)
    except (msgspec.ValidationError, RecursionError) as mistaken:
        raise refusal(400, "no-command", "This line is no command", str(mistaken)) from error
