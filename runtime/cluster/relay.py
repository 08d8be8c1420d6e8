"""The way to a database that listens on loopback, for nodes with a network of their own.

    python -m runtime.cluster.relay ADDRESS HOST PORT

It prints the port on which it listens at that address, and hands on what comes there. A program of
its own, because one that is busy would hold every answer up. It ends when nobody holds its input
any more: with who has started it.
"""

import asyncio
import subprocess
import sys
from contextlib import suppress
from urllib.parse import urlsplit

from runtime.errors import NotPossible

_PART_BYTES = 1 << 18


class NoRelay(NotPossible):
    """It has not come up."""


class Relay:
    """One of them, which runs until it is closed, or this process ends."""

    def __init__(self, address: str, url: str) -> None:
        """To the database of a connection string, for whoever reaches that address. Raises
        NoRelay."""
        there = urlsplit(url)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, address, str(there.hostname), str(there.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for who drains the system, by this way
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if not said:
            self.close()
            raise NoRelay(f"nothing hands on to the database at {address}")
        user = there.netloc.rpartition("@")[0]
        #: The connection string by this way.
        self.url = there._replace(netloc=f"{user}@{address}:{said}").geturl()

    def close(self) -> None:
        """Nobody comes through any more."""
        self._process.communicate()


async def _relay(address: str, host: str, port: int) -> None:
    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(host, port)
        except OSError:  # the database is away, which is what a client is to hear
            writer.transport.abort()
            return
        await asyncio.gather(_copied(reader, back), _copied(there, writer))

    server = await asyncio.start_server(hand_on, address, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    over = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(over), sys.stdin
    )
    await over.read()
    server.close()  # who is still connected is not waited for: it may be who has started this


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that comes, until one of the two ends has gone: the other one hears of it then."""
    with suppress(OSError):
        while part := await reader.read(_PART_BYTES):
            writer.write(part)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(_relay(sys.argv[1], sys.argv[2], int(sys.argv[3])))
