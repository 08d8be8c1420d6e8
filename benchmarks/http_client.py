"""A client of HTTP that costs little itself: what is measured is the gateway."""

import asyncio
import statistics
import time
from array import array
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from benchmarks.sizes import require


class Latencies:
    """How long each request took until its answer was whole, in seconds."""

    def __init__(self) -> None:
        self._taken = array("f")  # of a million requests, four megabytes

    def __len__(self) -> int:
        return len(self._taken)

    def add(self, seconds: float) -> None:
        """One more was answered."""
        self._taken.append(seconds)

    def percentile(self, percent: int) -> float:
        """So many of a hundred took no longer."""
        return statistics.quantiles(self._taken, n=100, method="inclusive")[percent - 1]


class Posting(asyncio.Protocol):
    """One keep-alive connection, which sends a request as soon as the one before is answered."""

    def __init__(
        self, requests: Iterator[bytes], done: "asyncio.Future[None]", latencies: Latencies
    ) -> None:
        self._requests, self._done, self._latencies = requests, done, latencies
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """Look whether the answer is whole."""
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            if not head.startswith(b"HTTP/1.1 200"):
                self._done.set_exception(ValueError(self._got.decode()))
                return
            self._got = b""
            self._latencies.add(time.perf_counter() - self._sent_s)
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended too early, unless all was sent."""
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the gateway closed"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._sent_s = time.perf_counter()
        self._transport.write(request)


def request(path: str, body: bytes, *headers: str) -> bytes:
    """A POST of JSON."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def post_all(
    address: str,
    requests: Iterator[bytes],
    connections: int,
    latencies: Latencies | None = None,
) -> None:
    """Send all of them over so many connections."""
    loop, taken = asyncio.get_running_loop(), Latencies() if latencies is None else latencies
    host, port = _place(address)
    done = [loop.create_future() for _ in range(connections)]
    for each in done:
        await loop.create_connection(lambda each=each: Posting(requests, each, taken), host, port)  # type: ignore[misc]
    await asyncio.gather(*done)


async def post_lines(address: str, lines: list[bytes]) -> int:
    """Send lines to /v1/commands in one request; how many of its lines were answered well."""
    reader, writer = await asyncio.open_connection(*_place(address), limit=1 << 20)
    body = b"".join(lines)
    writer.write(request("/v1/commands", body, "Connection: close"))
    good = 0
    async for line in reader:
        good += line.startswith(b'{"line":') and b'"events"' in line
    writer.close()
    return good


class Listening:
    """Clients that listen to the same events."""

    def __init__(self, address: str, query: str) -> None:
        self._address, self._query = address, query
        self._open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def begin(self, clients: int) -> None:
        """So many streams, which have begun."""
        for _ in range(clients):
            reader, writer = await asyncio.open_connection(*_place(self._address), limit=1 << 20)
            writer.write(
                f"GET /v1/events{self._query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            )
            self._open.append((reader, writer))
        for reader, _ in self._open:
            head = await reader.readuntil(b"\r\n\r\n")
            require(b" 200 " in head, f"a stream was refused: {head.decode()}")
            await reader.readuntil(b"id: ")

    async def until(self, events: int) -> int:
        """How many events all have seen, when each has seen so many."""
        return sum(await asyncio.gather(*(_seen(reader, events) for reader, _ in self._open)))

    def end(self) -> None:
        """Leave."""
        for _, writer in self._open:
            writer.close()


async def _seen(reader: asyncio.StreamReader, events: int) -> int:
    seen, rest = 0, b""
    while seen < events:
        data = await reader.read(1 << 20)
        require(bool(data), "a stream has ended")
        seen += (rest + data).count(b"\ndata: ")
        rest = data[-6:]
    return seen


def _place(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def repeated(make: Callable[[int], bytes], count: int) -> Iterator[bytes]:
    """What is made of each number, shared by all who take from it."""
    return (make(number) for number in range(count))
