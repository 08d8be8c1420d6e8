"""A PostgreSQL that other machines reach: `python -m tests.network.database FOLDER ADDRESS`.

The embedded one listens on loopback alone; this passes on what comes to port 5432. It prints the
connection string, and runs until it is ended.
"""

import asyncio
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from store.embedded.server import EmbeddedPostgres

PORT = 5432


async def serve(address: str, port: int, end: asyncio.Event) -> None:
    """Pass connections on to `port` of loopback, until the end."""

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copied(reader, back), _copied(there, writer))

    async with await asyncio.start_server(passed_on, address, PORT):
        await end.wait()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(1 << 16):
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        return  # one side has gone, and the other is told below
    finally:
        writer.close()


async def run(folder: Path, address: str) -> None:
    server = EmbeddedPostgres(folder)
    url = urlsplit(server.start())
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    assert url.port is not None
    shown = url._replace(netloc=f"{url.username}:{url.password}@{address}:{PORT}")
    print(shown.geturl(), flush=True)
    try:
        await serve(address, url.port, end)
    finally:
        server.destroy()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
