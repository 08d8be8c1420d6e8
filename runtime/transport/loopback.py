"""Calls between processes of one machine, past Ray.

A call through Ray wakes five threads on its way and takes about a millisecond there and
back; over a loopback connection it takes a tenth. So the calls that every command makes
go this way where caller and process share a machine. Ray starts, names, finds and
restarts the processes all the same, tells their addresses, and carries the same calls
between machines, unless these go over the machines' network (network.py).

On the wire: frames of a length and a number (each 32 bits, big-endian), a method's index
(8 bits) and a payload; an answer has the number of its call. A connection begins with a
token, which only Ray tells, and its proof, so that neither side talks to a stranger.
"""

import asyncio
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from struct import Struct
from typing import Any, NamedTuple

import ray

from runtime.transport.begun import begun
from runtime.transport.network import Listening, Network, NetworkAddress, digest
from store.own_sockets import descriptors_of, keep_from_children

logger = logging.getLogger("thornback.loopback")

LOOPBACK = "127.0.0.1"
HEADER = Struct(">IIB")
GREETING = 0  #: the number of the frames that carry token and proof
TOKEN_BYTES = 16
#: The largest payload that a frame can announce.
LARGEST = 2**32 - 1
#: How long who called may take to show the token: any program of the machine can call, and
#: each connection takes a file of this process.
STRANGE_S = 10.0


class Address(NamedTuple):
    """Where a process answers calls, and which."""

    machine: str  #: Ray's id of the node it runs on
    port: int  #: of loopback there
    token: bytes
    proof: bytes
    methods: tuple[str, ...]
    network: NetworkAddress | None = None  #: for other machines; None: they call through Ray


class Frames(asyncio.Protocol):
    """One end of a connection. It ends with a frame of a larger payload than is expected."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._buffer = bytearray()
        self.largest = largest
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        keep_from_children(self, lambda frames: descriptors_of(frames.transport))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start, stop = 0, len(buffer)
        while stop - start >= HEADER.size:
            size, number, method = HEADER.unpack_from(buffer, start)
            if size > self.largest:
                logger.warning("a frame of %d bytes is none: its connection ends", size)
                self.transport.abort()
                start = stop
                break
            end = start + HEADER.size + size
            if end > stop:
                break
            self.received(number, method, bytes(buffer[start + HEADER.size : end]))
            start = end
        del buffer[:start]

    def send(self, number: int, method: int, payload: bytes) -> None:
        self.transport.writelines((HEADER.pack(len(payload), number, method), payload))

    def received(self, number: int, method: int, payload: bytes) -> None:
        """One frame has come: each end says what it does with it."""
        raise NotImplementedError


class Server:
    """Answers calls of `methods`, by name. One that fails ends its caller's connection."""

    def __init__(
        self,
        methods: Mapping[str, Callable[[bytes], Awaitable[bytes]]],
        machine: Callable[[], str] | None = None,
        network: Network | None = None,
    ) -> None:
        self._methods = dict(methods)
        self._machine = machine  # what tells where this process runs; Ray does, unless given
        self._network = network  # where other machines call it, too
        self.token, self.proof = map(secrets.token_bytes, (TOKEN_BYTES, TOKEN_BYTES))
        self._opening = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._listening: Listening | None = None
        self._closed = False
        self._answering: set[asyncio.Future[None]] = set()
        self.connections: set[_Answering] = set()

    async def address(self) -> Address:
        """Where it listens; it begins to at the first question. Raises ConnectionError once it is
        closed: whoever began to listen then, nobody would end."""
        async with self._opening:
            if self._server is None and not self._closed:
                loop = asyncio.get_running_loop()
                self._server = await loop.create_server(
                    lambda: _Answering(self, self.token, self.proof), LOOPBACK, 0
                )
                keep_from_children(self._server, _listening)
            if self._listening is None and self._network is not None and not self._closed:
                self._listening = self._network.listen(self._far_end)
            if self._closed or self._server is None:
                self._listen_no_more()
                raise ConnectionError("this process answers no calls any more")
        port = self._server.sockets[0].getsockname()[1]
        machine = (self._machine or this_machine)()
        network = None if self._listening is None else self._listening.address
        return Address(machine, port, self.token, self.proof, tuple(self._methods), network)

    def close(self) -> None:
        """Listen no more, and end all connections."""
        self._closed = True
        self._listen_no_more()
        for connection in list(self.connections):
            connection.transport.abort()

    def refuse(self, connection: "_Answering") -> None:
        """A stranger called, who knows no token."""
        if self._network is not None and isinstance(connection, _FarAnswering):
            who = connection.transport.get_extra_info("peername")
            self._network.turn_away("no token", who)
        else:
            logger.warning("a stranger called: its connection ends")
        connection.transport.abort()

    def _far_end(self, shown: bytes) -> "_FarAnswering":
        return _FarAnswering(self, digest(self.token, shown), digest(self.proof, shown))

    def _listen_no_more(self) -> None:
        for each in (self._server, self._listening):
            if each is not None:
                each.close()

    async def wait_flushed(self) -> None:
        """Wait until every call that has arrived by now is answered; not for what comes
        meanwhile, which may never end."""
        if self._answering:
            await asyncio.wait(list(self._answering))

    def answer(self, connection: "_Answering", number: int, method: int, request: bytes) -> None:
        """Begin a call; it goes on in the background."""
        called = tuple(self._methods.values())[method]
        task = begun(self._answer(connection, number, called(request)))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(
        self, connection: "_Answering", number: int, called: Awaitable[bytes]
    ) -> None:
        try:
            answer = await called
            if not connection.transport.is_closing():
                connection.send(number, 0, answer)  # fails where no frame has room for it
        except Exception:
            logger.exception("a call failed: its connection ends")
            connection.transport.abort()


class _Answering(Frames):
    """The server's end."""

    def __init__(self, server: Server, token: bytes, proof: bytes) -> None:
        super().__init__(len(token))  # until we know whose it is
        self._server = server
        self._token, self._proof = token, proof
        self._trusted = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.connections.add(self)
        self._patience = asyncio.get_running_loop().call_later(STRANGE_S, self.transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.connections.discard(self)
        self._heard()

    def received(self, number: int, method: int, payload: bytes) -> None:
        if self._trusted:
            self._server.answer(self, number, method, payload)
        elif number == GREETING and hmac.compare_digest(payload, self._token):
            self._trusted, self.largest = True, LARGEST
            self._heard()
            self.send(GREETING, 0, self._proof)
        else:
            self._server.refuse(self)

    def _heard(self) -> None:
        if self._patience is not None:
            self._patience.cancel()


class Sealed(Frames):
    """One end of a connection between machines, in TLS."""

    def send(self, number: int, method: int, payload: bytes) -> None:
        # As one: each piece would be encrypted, and marked, by itself.
        self.transport.write(HEADER.pack(len(payload), number, method) + payload)


class _FarAnswering(Sealed, _Answering):
    """The server's end between machines."""


def _listening(server: asyncio.Server) -> list[int]:
    return [each.fileno() for each in server.sockets]


def this_machine() -> str:
    """Ray's id of the node that this process runs on."""
    machine: str = ray.get_runtime_context().get_node_id()
    return machine
