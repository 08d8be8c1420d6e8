"""Thousands listen to one gateway, and each hears what is committed."""

import asyncio
import json

import pytest

from gateways.web.open_files import OTHERS, connections_that_fit
from tests.unit.gateway_apart import apart

LISTENERS = 2_000
#: So many come at a time: a machine has only so much room for connections that are not accepted.
AT_ONCE = 100

STREAM = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = json.dumps({"celsius": 60.0}).encode()
COMMAND = (
    b"POST /v1/actors/boiler/kitchen/heat HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


async def test_thousands_listen_and_each_hears_of_a_commit() -> None:
    if connections_that_fit(LISTENERS) < LISTENERS:
        pytest.skip(f"this process may not have {LISTENERS + OTHERS} files")
    room = asyncio.Semaphore(AT_ONCE)
    writers: list[asyncio.StreamWriter] = []

    with apart() as address:

        async def opened(request: bytes) -> asyncio.StreamReader:
            async with room:
                reader, writer = await asyncio.open_connection(*address)
                writers.append(writer)
                writer.write(request)
                assert (await reader.readline()).split()[1] == b"200"
            return reader

        async def listening() -> asyncio.StreamReader:
            reader = await opened(STREAM)
            await reader.readuntil(b"retry: 2000\n")  # from here on it hears
            return reader

        async with asyncio.timeout(120):
            readers = await asyncio.gather(*(listening() for _ in range(LISTENERS)))
            await opened(COMMAND)
            heard = await asyncio.gather(*(each.readuntil(b"\ndata: ") for each in readers))
        assert len(heard) == LISTENERS
        for writer in writers:
            writer.close()
