"""A channel without Ray: to a host that a test plays, over a loop in virtual time."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import count
from types import SimpleNamespace
from typing import Any

from actors.actor import Actor
from actors.errors import InvalidActor
from runtime.clocks import DriverClock
from runtime.driver.channel import Channel
from runtime.driver.host_link import HostLink
from runtime.driver.reply import Reply
from runtime.errors import UnknownActorType
from runtime.wire.answers import raise_error
from runtime.wire.commands import (
    DATA,
    Answer,
    Request,
    introduced,
    pack_answer,
    turned_away,
)
from runtime.wire.error_codec import encode_error
from runtime.wire.reading import unpack_request
from runtime.wire.values import pack_value, unpack_value

HOST = "host"
TIMEOUT_S = 20.0


class PlayedHost:
    """The host's end, in the place of the caller: answers each command with its own data,
    unless it is to hang."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.losing = 0  #: so many of the next answers are lost on their way
        self.garbling = 0  #: so many of the next answers arrive as something else
        self.breaking: object = object()  #: the connection breaks over a batch with this data
        self.refusing: list[Exception] = []  #: what the next batches are refused with
        self.refusing_hellos: Exception | None = None  #: what every hello is refused with
        self.swallowing: list[object] = []  #: data of commands whose batches it never answers
        self.unknown: list[object] = []  #: data of commands whose actor type it does not know
        self.incarnation = 1
        self.when_looked_for: Callable[[], None] = lambda: None

    async def call(self, method: str, packed: bytes) -> bytes:
        """What a channel calls."""
        assert method == "deliver"
        request = unpack_request(packed)
        self.requests.append(request)
        await self.answering.wait()
        if self.losing:
            self.losing -= 1
            raise ConnectionResetError
        if self.garbling:
            self.garbling -= 1
            return b"not an answer"
        if any(one[DATA] == self.breaking for one in request.commands):
            raise ConnectionResetError
        if any(one[DATA] in self.swallowing for one in request.commands):
            await asyncio.Event().wait()
        if not request.commands and self.refusing_hellos is not None:
            return turned_away(encode_error(self.refusing_hellos))
        if request.commands and self.refusing:
            return turned_away(encode_error(self.refusing.pop(0)))
        return self.answer(request)

    def answer(self, request: Request) -> bytes:
        """What becomes of a batch."""
        errors = {
            index: encode_error(UnknownActorType("device-twin"))
            for index, one in enumerate(request.commands)
            if one[DATA] in self.unknown
        }
        values = {index: pack_value(one[DATA]) for index, one in enumerate(request.commands)}
        nothing = [0] * (len(request.commands) + 1)
        answer = pack_answer(Answer({}, 0, set(), 0, 0, nothing, nothing, b"", {}, values, errors))
        return answer if request.commands else introduced(answer, self.incarnation)

    def look_again(self) -> None:
        """It is where it was, unless a test has it otherwise."""
        self.when_looked_for()

    def close(self) -> None:
        """Nothing is open."""

    @property
    def batches(self) -> list[list[Any]]:
        """The data of the commands that came, batch by batch, without the hellos."""
        return [[one[DATA] for one in each.commands] for each in self.requests if each.commands]


class Sending:
    """One driver's channel at work."""

    def __init__(self) -> None:
        self.host = PlayedHost()
        self.found = asyncio.Event()
        self.found.set()
        self.lost_questions = 0  #: so many of the next ones where the host is have no answer
        self.failing: Exception | None = None  #: what finding the host raises once
        self.registered: list[bytes] = []
        self.unloadable: list[str] = []  #: classes that the host refuses
        self.channel = Channel(
            HostLink(HOST, self._find, self._reach, self._shipped),
            b"driver",
            asyncio.get_running_loop(),
            DriverClock(),
            timeout_s=TIMEOUT_S,
        )
        self._ids = count(1)

    def ask(self, data: str, actor: type[Actor[Any]] | None = None) -> Reply[str]:
        """A command, to be answered with its data."""
        source = f"{actor.actor_type if actor else 'counter'}/a"
        fields = (source, "echo", next(self._ids).to_bytes(16, "big"), 0, data, None, None)
        outgoing, index = self.channel.add(
            fields, actor, want_events=True, routed=self.channel.routed
        )
        return Reply(outgoing, index, _read)

    async def _find(self, actors: Iterable[type[Actor[Any]]]) -> Any:
        if self.lost_questions:
            self.lost_questions -= 1
            await asyncio.Event().wait()
        await self.found.wait()
        failing, self.failing = self.failing, None
        if failing is not None:
            raise failing
        return SimpleNamespace(register=SimpleNamespace(remote=self._register))

    async def _reach(self) -> PlayedHost:
        return self.host

    async def _shipped(self, actor: type[Actor[Any]]) -> bytes:
        return actor.__name__.encode()

    async def _register(self, shipped: bytes) -> None:
        if (name := shipped.decode()) in self.unloadable:
            raise InvalidActor("an actor class", f"it lacks a module of {name}")
        self.registered.append(shipped)


def _read(answer: Answer, index: int) -> Any:
    raise_error(answer, index)
    return unpack_value(answer.values[index])
