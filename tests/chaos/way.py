"""The way from a system to PostgreSQL, on which connections can be cut, delayed and stalled."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_LIMIT_S = 10.0
#: What has the kernel close a socket by a reset: linger, for no time.
_RESET = struct.pack("ii", 1, 0)


class Way:
    """A proxy, on loopback or where nodes reach this program, in a thread of its own. Its methods
    are for one other thread."""

    def __init__(self, url: str, address: str = "127.0.0.1") -> None:
        self._there, self._address = urlsplit(url), address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        # In the loop only:
        self._server: asyncio.Server | None = None
        self._delay_s = 0.0
        self._passable = asyncio.Event()
        self._pumps: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.WriteTransport] = set()

    def open(self) -> str:
        """The connection string of the same database by this way."""
        self._thread.start()
        port = self._run(self._listen())
        user = self._there.netloc.rpartition("@")[0]
        return urlunsplit(self._there._replace(netloc=f"{user}@{self._address}:{port}"))

    def cut(self) -> None:
        """Every connection ends now, as by a reset."""
        self._loop.call_soon_threadsafe(self._abort)

    def delay(self, each_s: float) -> None:
        """Whatever is read from now on is handed on so much later; 0: at once."""
        self._loop.call_soon_threadsafe(setattr, self, "_delay_s", each_s)

    def stall(self) -> None:
        """Nothing is handed on any more, and nobody is told; new connections hear nothing."""
        self._loop.call_soon_threadsafe(self._passable.clear)

    def resume(self) -> None:
        """What was held up comes now, as what TCP has sent again."""
        self._loop.call_soon_threadsafe(self._passable.set)

    def close(self) -> None:
        """End everything."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LIMIT_S)
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_LIMIT_S)

    async def _listen(self) -> int:
        self._passable.set()
        self._server = await asyncio.start_server(self._accept, self._address, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        self._abort()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def _abort(self) -> None:
        for transport in self._transports:
            end: socket.socket = transport.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
        self._transports.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(self._there.hostname, self._there.port)
        except OSError:  # the server is away, which is what a client is to hear
            writer.transport.abort()
            return
        ends = {writer.transport, back.transport}
        self._transports |= ends
        for source, sink in ((reader, back), (there, writer)):
            pump = asyncio.ensure_future(self._pump(source, sink, ends))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        ends: set[asyncio.WriteTransport],
    ) -> None:
        try:
            while data := await source.read(65536):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._passable.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # one end is gone: the other one hears of it now
        finally:
            for transport in ends:
                transport.close()
            self._transports -= ends
