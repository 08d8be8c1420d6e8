"""What a gateway says to raw bytes, read as far as it goes."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """One answer; `whole` where its connection did not end before it did."""

    status: int
    kind: str
    body: bytes
    whole: bool


async def exchange(port: int, sent: bytes, limit_s: float) -> bytes:
    """Send bytes and read until the gateway ends the connection, or a stream begins. Raises
    TimeoutError where it does neither."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    found = bytearray()
    try:
        async with asyncio.timeout(limit_s):
            with suppress(ConnectionError):
                writer.write(sent)
                while part := await reader.read(1 << 16):
                    found += part
                    if b"text/event-stream" in found and b"retry:" in found:
                        break
    finally:
        writer.transport.abort()
    return bytes(found)


def answers_of(data: bytes) -> Iterator[Answer]:
    """The answers in what came. Raises ValueError for what is no HTTP."""
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        if not end:
            raise ValueError(f"half a head: {data[:200]!r}")
        version, status, *_ = first.split(b" ", 2)
        if not version.startswith(b"HTTP/"):  # its number is that of the request
            raise ValueError(f"no HTTP: {first[:200]!r}")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in lines)
        }
        kind = headers.get(b"content-type", b"").partition(b";")[0].decode()
        body, whole, data = _body(int(status), headers, rest)
        if int(status) != 100:
            yield Answer(int(status), kind, body, whole)


def _body(status: int, headers: dict[bytes, bytes], rest: bytes) -> tuple[bytes, bool, bytes]:
    if status in (100, 204, 304):
        return b"", True, rest
    if headers.get(b"transfer-encoding") == b"chunked":
        return _chunks(rest)
    length = headers.get(b"content-length")
    if length is None:
        return rest, False, b""
    size = int(length)
    if rest[:5] == b"HTTP/" or not rest:  # of a HEAD, which has none
        return b"", size == 0, rest
    return rest[:size], len(rest) >= size, rest[size:]


def _chunks(rest: bytes) -> tuple[bytes, bool, bytes]:
    found: list[bytes] = []
    while True:
        size, end, rest = rest.partition(b"\r\n")
        if not end:
            return b"".join(found), False, b""
        count = int(size, 16)
        if count == 0:
            return b"".join(found), True, rest[2:]
        found.append(rest[:count])
        rest = rest[count + 2 :]


def told(answer: Answer) -> Iterator[tuple[int, Any]]:
    """What it says of each thing that was asked for: a status, and what stands beside it."""
    if answer.kind == "application/x-ndjson":
        for line in answer.body.splitlines():
            with suppress(ValueError):  # the last one may be cut
                yield _one(json.loads(line), answer.status)
    elif answer.kind.endswith("json") and answer.body:
        with suppress(ValueError):
            found = json.loads(answer.body)
            for each in found if isinstance(found, list) else [found]:
                yield _one(each, answer.status)
    else:
        yield answer.status, None


def _one(found: Any, status: int) -> tuple[int, Any]:
    problem = found.get("problem") if isinstance(found, dict) else None
    return (problem["status"], problem) if problem else (status, found)
