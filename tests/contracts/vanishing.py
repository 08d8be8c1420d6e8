"""A way to a database on which everything may be swallowed, and nothing is ever closed."""

import asyncio
from urllib.parse import urlsplit, urlunsplit


class VanishingWay:
    """A proxy before a server. Bytes go through it until it is told to swallow them."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.swallows_answers = False  #: nothing comes back from the server
        self.swallows_questions = False  #: nothing gets to it
        self.swallowed = asyncio.Event()  #: something was

    async def open(self) -> str:
        """The connection string of the database by this way."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = self._url.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
        return urlunsplit(self._url._replace(netloc=netloc))

    async def close(self) -> None:
        """End everything."""
        assert self._server is not None
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._url.hostname, self._url.port)
        self._writers += [writer, back]
        for source, sink, kind in ((reader, back, "questions"), (there, writer, "answers")):
            pump = asyncio.ensure_future(self._pump(source, sink, kind))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, kind: str
    ) -> None:
        try:
            while data := await source.read(65536):
                if getattr(self, f"swallows_{kind}"):
                    self.swallowed.set()
                else:
                    sink.write(data)
        except OSError:
            return  # one end was aborted: the other learns nothing of it
