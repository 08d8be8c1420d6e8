"""Calls between processes of one machine, past Ray.

A call through Ray wakes five threads on its way and takes about a millisecond there and
back; over a loopback connection it takes a tenth. So the calls that every command makes
go this way where caller and process share a machine. Ray starts, names, finds and
restarts the processes all the same, tells their addresses, and carries the same calls
between machines.

On the wire: frames of a length and a number (each 32 bits, big-endian), a method's index
(8 bits) and a payload; an answer has the number of its call. A connection begins with a
token, which only Ray tells, and its proof, so that neither side talks to a stranger.
"""

import asyncio
import contextlib
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from struct import Struct
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError

logger = logging.getLogger("thornback.loopback")

LOOPBACK = "127.0.0.1"
_HEADER = Struct(">IIB")
_GREETING = 0  #: the number of the frames that carry token and proof


class Address(NamedTuple):
    """Where a process answers calls over loopback, and which."""

    machine: str  #: Ray's id of the node it runs on
    port: int
    token: bytes
    proof: bytes
    methods: tuple[str, ...]


class _Frames(asyncio.Protocol):
    """One end of a connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start, stop = 0, len(buffer)
        while stop - start >= _HEADER.size:
            size, number, method = _HEADER.unpack_from(buffer, start)
            end = start + _HEADER.size + size
            if end > stop:
                break
            self.received(number, method, bytes(buffer[start + _HEADER.size : end]))
            start = end
        del buffer[:start]

    def send(self, number: int, method: int, payload: bytes) -> None:
        self.transport.writelines((_HEADER.pack(len(payload), number, method), payload))

    def received(self, number: int, method: int, payload: bytes) -> None:
        raise NotImplementedError


class Server:
    """Answers calls of `methods`, by name. One that fails ends its caller's connection."""

    def __init__(self, methods: Mapping[str, Callable[[bytes], Awaitable[bytes]]]) -> None:
        self._methods = dict(methods)
        self.token, self.proof = secrets.token_bytes(16), secrets.token_bytes(16)
        self._opening = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self.connections: set[_Answering] = set()

    async def address(self) -> Address:
        """Where it listens; it begins to at the first question."""
        async with self._opening:
            if self._server is None:
                loop = asyncio.get_running_loop()
                self._server = await loop.create_server(lambda: _Answering(self), LOOPBACK, 0)
        port = self._server.sockets[0].getsockname()[1]
        return Address(_this_machine(), port, self.token, self.proof, tuple(self._methods))

    def close(self) -> None:
        """Listen no more, and end all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()

    async def flushed(self) -> None:
        """Wait until every call that arrived is answered."""
        while self._answering:
            await asyncio.wait(self._answering)

    def answer(self, connection: "_Answering", number: int, method: int, request: bytes) -> None:
        """Run a call in the background."""
        called = tuple(self._methods.values())[method]
        task = asyncio.ensure_future(self._answer(connection, number, called(request)))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(
        self, connection: "_Answering", number: int, called: Awaitable[bytes]
    ) -> None:
        try:
            answer = await called
        except Exception:
            logger.exception("a call failed: its connection ends")
            connection.transport.abort()
            return
        if not connection.transport.is_closing():
            connection.send(number, 0, answer)


class _Answering(_Frames):
    """The server's end."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self._trusted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)

    def received(self, number: int, method: int, payload: bytes) -> None:
        if self._trusted:
            self._server.answer(self, number, method, payload)
        elif number == _GREETING and hmac.compare_digest(payload, self._server.token):
            self._trusted = True
            self.send(_GREETING, 0, self._server.proof)
        else:
            logger.warning("a stranger called: its connection ends")
            self.transport.abort()


class _Calling(_Frames):
    """The caller's end."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = count(_GREETING)
        self.lost = False

    async def call(self, method: int, request: bytes) -> bytes:
        """The answer to a request. Raises ConnectionError when the connection ends."""
        if self.lost:
            raise ConnectionResetError("the connection has ended")
        number = next(self._numbers) & 0xFFFF_FFFF
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self.send(number, method, request)
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)

    def received(self, number: int, method: int, payload: bytes) -> None:
        answer = self._waiting.get(number)
        if answer is not None and not answer.done():
            answer.set_result(payload)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError(str(error or "the process has ended")))


class Caller:
    """Calls methods, of bytes to bytes, of a process: over loopback where the process
    runs on this machine, through Ray where not.

    A call raises RayError or ConnectionError when the process is away; whether it took
    effect is open then. The next call looks for the process anew, and after `look_again`
    too: a process that was replaced may live on beside its successor, and answer.
    """

    GREETING_S = 1.0

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._methods: dict[str, int] = {}
        self._address: Address | None = None
        self._near: _Calling | None = None
        self._far = False
        self._doubted = False
        self._looking = asyncio.Lock()

    async def call(self, method: str, request: bytes) -> bytes:
        """The answer of the process."""
        near = self._near
        if near is None or near.lost or self._doubted:
            near = None if self._far else await self._look()
        if near is not None:
            return await near.call(self._methods[method], request)
        try:
            answer: bytes = await getattr(self._handle, method).remote(request)
        except RayError:
            self._far = False  # it may come back elsewhere
            raise
        return answer

    def look_again(self) -> None:
        """Have the next call ask Ray where the process is now."""
        self._doubted, self._far = True, False

    def close(self) -> None:
        """End the connection; calls under way fail."""
        if self._near is not None:
            self._near.transport.abort()

    async def _look(self) -> _Calling | None:
        async with self._looking:
            standing = self._near is not None and not self._near.lost
            if standing and not self._doubted:
                return self._near  # somebody was quicker
            address: Address = await self._handle.address.remote()
            if not standing or address != self._address:
                self.close()
                self._address = address
                self._methods = {name: index for index, name in enumerate(address.methods)}
                here = address.machine == _this_machine()
                self._near = await self._reach(address) if here else None
                self._far = self._near is None
            self._doubted = False
        return self._near

    async def _reach(self, address: Address) -> _Calling | None:
        """A connection, or None if there is none to be had."""
        loop = asyncio.get_running_loop()
        near: _Calling | None = None
        with contextlib.suppress(OSError, TimeoutError):
            _, near = await loop.create_connection(_Calling, LOOPBACK, address.port)
            proof = await asyncio.wait_for(near.call(0, address.token), self.GREETING_S)
            if hmac.compare_digest(proof, address.proof):
                return near
        if near is not None:
            near.transport.abort()
        logger.warning("port %d does not answer: calls go through Ray", address.port)
        return None


def _this_machine() -> str:
    machine: str = ray.get_runtime_context().get_node_id()
    return machine
