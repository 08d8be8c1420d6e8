"""Loopback connections in virtual time: bytes in order, in pieces, until a connection ends.

runtime/transport/loopback.py and caller.py run over them as they are. What is sent arrives
in its order, cut into other pieces than it was sent in. A connection that breaks tells both
ends, each in its time, and what was on its way is lost.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from thornback.simulation.draws import latency_s, stream
from thornback.simulation.scheduler import Owner, SimulatedLoop, owner


class Transport:
    """One end of a connection, as asyncio's protocols see it."""

    def __init__(self, holder: Owner, protocol: Any, draw: Random) -> None:
        self.holder = holder
        self.protocol = protocol
        self.peer: Transport
        self._draw = draw
        self._arrives_s = 0.0
        self._closing = False
        self._told = False
        self._broken = False
        self.silent_until_s = 0.0  #: nothing arrives before: the network has a hiccup

    def is_closing(self) -> bool:
        """Has it ended, as far as this end knows?"""
        return self._closing

    def write(self, data: bytes) -> None:
        """Send; lost where the connection has ended."""
        if self._closing or self._broken or self.holder.dead:
            return
        loop = self.holder.loop
        now = loop.time()
        self._arrives_s = max(self._arrives_s, now + latency_s(self._draw), self.silent_until_s)
        if len(data) > 16 and self._draw.random() < 0.1:
            cut = self._draw.randrange(1, len(data))
            self._send(data[:cut])
            self._arrives_s += 0.0001
            data = data[cut:]
        self._send(data)

    def writelines(self, pieces: Any) -> None:
        """Send several pieces as one."""
        self.write(b"".join(pieces))

    def abort(self) -> None:
        """End it at once, at both ends."""
        if not self._closing:
            self._end(None)
            self.peer.lose(ConnectionResetError("reset by peer"), latency_s(self._draw))

    close = abort

    def lose(self, error: Exception | None, after_s: float) -> None:
        """The connection is gone; this end learns of it after a while."""
        self._broken = True
        self.holder.later(after_s, self._end, error)

    def _send(self, data: bytes) -> None:
        self.holder.loop.call_at(
            self._arrives_s, self.peer._arrived, data, context=self.peer.holder.context
        )

    def _arrived(self, data: bytes) -> None:
        if not self._closing and not self._broken:
            self.protocol.data_received(data)

    def _end(self, error: Exception | None) -> None:
        self._closing = True
        if not self._told:
            self._told = True
            self.holder.loop.call_soon(
                self.protocol.connection_lost, error, context=self.holder.context.copy()
            )


class _Listening:
    """What create_server returns, as far as the runtime looks at it."""

    def __init__(self, network: "Network", holder: Owner, factory: Callable[[], Any]) -> None:
        self.holder = holder
        self.factory = factory
        self.port = next(network.ports)
        self._network = network
        self.sockets = [self]
        network.listening[self.port] = self

    def getsockname(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def close(self) -> None:
        """Listen no more."""
        self._network.listening.pop(self.port, None)


class Network:
    """All connections of a simulation."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop = loop
        self.ports = count(20_000)
        self.listening: dict[int, _Listening] = {}
        self.connections: list[tuple[Transport, Transport]] = []  #: (caller's end, server's)
        self._numbers = count()
        loop.create_server = self._create_server  # type: ignore[method-assign,assignment]
        loop.create_connection = self._create_connection  # type: ignore[method-assign,assignment]

    def between(self, caller: str, server: str) -> list[tuple[Transport, Transport]]:
        """The standing connections from one process to another, by their plain names."""
        return [
            pair
            for pair in self.connections
            if _plain(pair[0].holder) == caller and _plain(pair[1].holder) == server
        ]

    def break_connections(self, caller: str, server: str, draw: Random) -> None:
        """Reset them; each end learns of it in its own time."""
        for near, far in self.between(caller, server):
            error = ConnectionResetError("broken")
            near.lose(error, latency_s(draw))
            far.lose(error, latency_s(draw))
        self._forget_ended()

    def silence(self, caller: str, server: str, seconds: float) -> None:
        """Nothing arrives for a while, in either direction."""
        until = self.loop.time() + seconds
        for near, far in self.between(caller, server):
            near.silent_until_s = far.silent_until_s = until

    def died(self, holder: Owner, draw: Random) -> None:
        """A process has ended: its peers see their connections reset, and it listens no more."""
        for port, listening in list(self.listening.items()):
            if listening.holder is holder:
                del self.listening[port]
        for near, far in self.connections:
            for end, peer in ((near, far), (far, near)):
                if end.holder is holder:
                    peer.lose(ConnectionResetError("the process has ended"), latency_s(draw))
        self._forget_ended()

    def _forget_ended(self) -> None:
        self.connections = [
            pair for pair in self.connections if not (pair[0]._broken or pair[1]._broken)
        ]

    async def _create_server(self, factory: Callable[[], Any], host: str, port: int) -> _Listening:
        return _Listening(self, owner(), factory)

    async def _create_connection(
        self, factory: Callable[[], Any], host: str, port: int
    ) -> tuple[Transport, Any]:
        caller = owner()
        self.loop.news()
        listening = self.listening.get(port)
        server = listening.holder.name if listening else "nobody"
        draw = stream(self.loop.seed, "connection", caller, server, next(self._numbers))
        await asyncio.sleep(latency_s(draw))
        listening = self.listening.get(port)
        if listening is None or listening.holder.dead:
            raise ConnectionRefusedError(f"nobody listens on {port}")
        near = Transport(caller, factory(), draw)
        far = Transport(listening.holder, listening.factory(), draw)
        near.peer, far.peer = far, near
        self.connections.append((near, far))
        far.holder.later(0.0, far.protocol.connection_made, far)
        near.protocol.connection_made(near)
        return near, near.protocol


def _plain(holder: Owner) -> str:
    """A process's name without the number of its incarnation."""
    return holder.name.partition("#")[0]
