"""A channel without Ray: to a host that a test plays, over a loop in virtual time."""

import asyncio
from itertools import count
from typing import Any

from actors.actor import Actor
from runtime.clocks import DriverClock
from runtime.driver.channel import Channel
from runtime.driver.reply import Reply
from runtime.wire.commands import Answer, Request, pack_answer, unpack_request
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

    async def call(self, method: str, packed: bytes) -> bytes:
        """What a channel calls."""
        assert method == "deliver"
        request = unpack_request(packed)
        self.requests.append(request)
        await self.answering.wait()
        if self.losing:
            self.losing -= 1
            raise ConnectionResetError
        values = {index: pack_value(one[4]) for index, one in enumerate(request.commands)}
        return pack_answer(Answer({}, 0, set(), 0, 0, [], [], b"", {}, values, {}))

    def look_again(self) -> None:
        """It is where it was."""

    def close(self) -> None:
        """Nothing is open."""

    @property
    def batches(self) -> list[list[Any]]:
        """The data of the commands that came, batch by batch, without the hellos."""
        return [[one[4] for one in each.commands] for each in self.requests if each.commands]


class Sending:
    """One driver's channel at work."""

    def __init__(self) -> None:
        self.host = PlayedHost()
        self.unpicklable = False
        self.channel = Channel(
            HOST,
            b"driver",
            self._find,
            asyncio.get_running_loop(),
            DriverClock(),
            reach=lambda: self.host,
            pickled=self._pickled,
            timeout_s=TIMEOUT_S,
        )
        self._ids = count(1)

    def ask(self, data: str, actor: type[Actor[Any]] | None = None) -> Reply[str]:
        """A command, to be answered with its data."""
        fields = ("counter/a", "echo", next(self._ids).to_bytes(16, "big"), 0, data, None, None)
        outgoing, index = self.channel.add(fields, actor, want_events=True)
        return Reply(outgoing, index, lambda answer, place: unpack_value(answer.values[place]))

    def _pickled(self, actor: type[Actor[Any]]) -> bytes | None:
        if self.unpicklable:
            raise TypeError("cannot pickle '_thread.lock' object")
        return None

    async def _find(self) -> PlayedHost:
        return self.host
