"""Clients that are slow, many, or silent: each is cut, and nobody else notices."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import generate_latest

from gateways.web.gateway import Gateway
from tests.unit.http import Client, serving
from thornback.testing.in_process import InProcessSystem

KITCHEN = "/v1/actors/boiler/kitchen"
ASK = f"GET {KITCHEN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving(gateway={"read_timeout_ms": 300, "max_connections": 3}) as client:
        yield client


async def connected(client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = client.address.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port), limit=1024)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends."""
    found = b""
    async with asyncio.timeout(20):
        with suppress(ConnectionError):
            while part := await reader.read(1 << 16):
                found += part
    return found


async def answered(reader: asyncio.StreamReader) -> bytes:
    """One answer with its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


@pytest.mark.parametrize("sent", [b"", b"GET", ASK[:-2], ASK[:-2] + b"X-Long: aaaa"])
async def test_a_head_that_does_not_come_is_not_waited_for(client: Client, sent: bytes) -> None:
    reader, writer = await connected(client)
    writer.write(sent)
    assert await rest_of(reader) == b""
    writer.close()


async def test_a_head_that_comes_letter_by_letter_is_cut(client: Client) -> None:
    reader, writer = await connected(client)

    async def drip() -> None:
        with suppress(ConnectionError):
            for letter in ASK[:-2] + b"X-Long: " + b"a" * 10_000:
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(0.005)

    dripping = asyncio.ensure_future(drip())
    assert await rest_of(reader) == b""
    assert not dripping.done()
    dripping.cancel()
    writer.close()


async def test_a_second_head_has_to_come_in_time_and_the_pause_before_it_may_last(
    client: Client,
) -> None:
    reader, writer = await connected(client)
    writer.write(ASK)
    assert b" 200 " in await answered(reader)
    other_reader, other_writer = await connected(client)
    assert await rest_of(other_reader) == b""  # whose first head was due; longer than 300 ms
    other_writer.close()
    writer.write(ASK)
    assert b" 200 " in await answered(reader)
    writer.write(ASK[:10])
    assert await rest_of(reader) == b""
    writer.close()


async def test_more_connections_than_there_may_be_are_turned_away(client: Client) -> None:
    held = [await connected(client) for _ in range(3)]
    for reader, writer in held:
        writer.write(ASK)
        assert b" 200 " in await answered(reader)
    reader, writer = await connected(client)
    said = await rest_of(reader)
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"too-many-connections" in said
    assert b"Retry-After: 5" in said
    writer.close()
    held[0][1].close()
    async with asyncio.timeout(20):
        while True:  # until the gateway has seen that one has left
            reader, writer = await connected(client)
            writer.write(ASK)
            first = await reader.read(15)
            writer.close()
            if first.startswith(b"HTTP/1.1 200"):
                break
    for _, writer in held[1:]:
        writer.close()


async def test_a_client_that_asks_and_asks_and_reads_nothing_is_cut(client: Client) -> None:
    host, _, port = client.address.removeprefix("http://").partition(":")
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect((host, int(port)))
        page = b"GET /docs/docs.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        silent.setblocking(False)
        async with asyncio.timeout(20):
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(silent, page)
            assert await loop.sock_recv(silent, 12) == b"HTTP/1.1 200"  # it is an open one
            with suppress(ConnectionError):
                await loop.sock_sendall(silent, page * 5_000)
            while gateway_of(client)._serving._server.open:
                await client.get(KITCHEN, Connection="close")


def gateway_of(client: Client) -> Any:
    """The gateway itself, with what is within."""
    assert isinstance(client.system, InProcessSystem)
    gateway = client.system._processes._named["gateway-0"]
    assert isinstance(gateway, Gateway)
    return gateway


def metrics_of(client: Client) -> str:
    """What the gateway has counted."""
    return generate_latest(gateway_of(client).metrics._registry).decode()


async def test_requests_are_counted_by_route_method_and_status(client: Client) -> None:
    for path in (KITCHEN, "/v1/actors/boiler/cellar", "/v1/actors/teapot/x", "/elsewhere", "/no"):
        await client.get(path)
    await client.post(f"{KITCHEN}/heat", {"celsius": 5})
    await client.post(f"{KITCHEN}/heat", {"celsius": 95})
    await client.send("PROPFIND", KITCHEN, headers={})
    said = metrics_of(client)
    node = 'node="node-001.gateway-0"'
    one, many = "/v1/actors/{type}/{name}", "/v1/actors/{type}/{name}/{message-type}"
    for labels, count in (
        (f'method="GET",{node},route="{one}",status="2xx"', 2),
        (f'method="GET",{node},route="{one}",status="4xx"', 1),
        (f'method="GET",{node},route="elsewhere",status="4xx"', 2),
        (f'method="POST",{node},route="{many}",status="2xx"', 1),
        (f'method="POST",{node},route="{many}",status="4xx"', 1),
        (f'method="other",{node},route="{one}",status="4xx"', 1),
    ):
        assert f"http_requests_total{{{labels}}} {count}.0" in said, said
    assert f'http_request_duration_seconds_count{{{node},route="{many}"}} 2.0' in said
    assert "kitchen" not in said
    async with client.session.get(f"{client.address}/v1/events") as stream:
        await stream.content.readline()
        assert f"http_streams{{{node}}} 1.0" in metrics_of(client)
