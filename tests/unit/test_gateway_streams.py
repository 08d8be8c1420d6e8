"""Server-sent events over HTTP, on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from gateways.web import following
from gateways.web.live import Broadcast
from tests.unit.http import Client, serving
from tests.unit.web_devices import Boiler, Heat, Service


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving(gateway={"heartbeat_ms": 200, "max_streams": 3}) as client:
        yield client


class Listener:
    """Reads a stream as a browser does: its last id, and its events."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last_id = ""
        self.beats = 0
        self.events: list[dict[str, Any]] = []

    async def read(self, count: int) -> list[dict[str, Any]]:
        """Wait until there were so many events."""
        async with asyncio.timeout(20):
            while len(self.events) < count:
                await self.step()
        return self.events

    async def step(self) -> None:
        """Read one event, or a sign of life."""
        data = ""
        while line := (await self.answer.content.readuntil(b"\n")).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "data":
                data = value
        if data:
            self.events.append(json.loads(data))
        else:
            self.beats += 1


@asynccontextmanager
async def listening(client: Client, query: str = "", **headers: str) -> AsyncIterator[Listener]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.session.get(f"{client.address}/v1/events{query}", headers=named) as answer:
        assert answer.status == 200, await answer.read()
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield Listener(answer)


async def heat(client: Client, *celsius: float, name: str = "kitchen") -> None:
    for each in celsius:
        await client.system.actor(Boiler, name).ask(Heat(celsius=each))


async def test_events_come_live_and_equal_those_of_the_history(client: Client) -> None:
    async with listening(client) as listener:
        await listener.step()
        await heat(client, 1, 2, 3)
        events = await listener.read(3)
        assert [each["position"] for each in events] == [1, 2, 3]
        assert listener.last_id == "3"
        assert (await client.get("/v1/actors/boiler/kitchen/events")).json["events"] == events


async def test_a_stream_begins_after_the_position_that_it_is_told(client: Client) -> None:
    await heat(client, 1, 2, 3)
    async with listening(client, "?after=1") as listener:
        assert [each["position"] for each in await listener.read(2)] == [2, 3]
    async with listening(client, "?after=0") as listener:
        await listener.read(3)
        await heat(client, 4)
        assert [each["position"] for each in await listener.read(4)] == [1, 2, 3, 4]


async def test_a_client_that_comes_back_goes_on_without_a_gap(client: Client) -> None:
    async with listening(client) as listener:
        await listener.step()
        await heat(client, 1, 2)
        await listener.read(1)
        last = listener.last_id
    await heat(client, 3)
    async with listening(client, "?after=0", Last_Event_ID=last) as listener:
        assert [each["position"] for each in await listener.read(2)] == [2, 3]


async def test_a_stream_has_what_is_selected_and_its_position_moves_on(client: Client) -> None:
    await heat(client, 1, name="cellar")
    query = "?after=0&sources=boiler/kitchen&sources=boiler/attic&types=heated&types=other-*"
    async with listening(client, query) as listener:
        await heat(client, 2, name="kitchen")
        await heat(client, 3, name="cellar")
        await heat(client, 4, name="attic")
        assert [each["position"] for each in await listener.read(2)] == [2, 4]
        await heat(client, 5, name="cellar")
        async with asyncio.timeout(20):
            while listener.last_id != "5":
                await listener.step()
        assert len(listener.events) == 2


async def test_a_stream_may_want_some_kinds_alone(client: Client) -> None:
    await heat(client, 1)
    async with listening(client, "?after=0&kinds=business&kinds=system") as listener:
        async with asyncio.timeout(20):
            while listener.last_id != "1":
                await listener.step()
        assert listener.events == []
    async with listening(client, "?after=0&kinds=device") as listener:
        assert len(await listener.read(1)) == 1
    refused = await client.get("/v1/events?kinds=alarm")
    assert (refused.status, refused.json["detail"]) == (
        400, "a kind of event is one of 'device', 'system', 'business', not ['alarm']",
    )  # fmt: skip


async def test_a_stream_that_has_nothing_to_say_says_so(client: Client) -> None:
    async with listening(client) as listener:
        async with asyncio.timeout(20):
            while listener.beats < 3:
                await listener.step()


async def test_who_is_behind_what_is_kept_reads_the_log(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broadcast, "KEPT_BYTES", 1_000)
    monkeypatch.setattr(following, "FIRST_PAGE", 3)
    async with listening(client) as first:
        await heat(client, *range(20))
        assert [each["version"] for each in await first.read(20)] == list(range(1, 21))
        async with listening(client, "?after=0") as second:
            assert [each["version"] for each in await second.read(20)] == list(range(1, 21))


async def test_streams_are_bounded(client: Client) -> None:
    async with listening(client), listening(client), listening(client):
        said = await client.get("/v1/events")
        assert (said.status, said.headers["Retry-After"]) == (429, "5")
        assert (await client.get("/livez")).status == 200


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?after=x", {}),
        ("?after=9223372036854775808", {}),
        ("", {"Last_Event_ID": "x"}),
        ("?types=", {}),
        ("?other=1", {}),
        ("?" + "&".join(["types=a"] * 1_001), {}),
    ],
)
async def test_a_stream_that_is_none_is_refused(
    client: Client, query: str, headers: dict[str, str]
) -> None:
    said = await client.get(f"/v1/events{query}", **headers)
    assert said.status == 400, said


async def test_a_client_that_does_not_read_is_cut_and_hurts_nobody() -> None:
    async with serving(gateway={"read_timeout_ms": 300}) as client:
        host, _, port = client.address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(b"GET /v1/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        boiler = client.system.actor(Boiler, "kitchen")
        large = Service(by=uuid4(), on=datetime.now(UTC), parts=("x" * 200_000,))
        async with listening(client, "?after=0") as listener:
            reading = asyncio.ensure_future(listener.read(100))
            for _ in range(100):  # more than two sockets hold
                await boiler.ask(large)
            assert len(await reading) == 100
        got = 0
        with suppress(ConnectionError):
            async with asyncio.timeout(20):
                while part := await reader.read(1 << 20):
                    got += len(part)
        assert got < 100 * 200_000, "it was not cut"
        writer.close()


async def test_a_drain_ends_streams(client: Client) -> None:
    async with listening(client) as listener:
        await client.system.drain(timeout_s=10.0)
        async with asyncio.timeout(10):
            while not listener.answer.content.at_eof():
                await listener.answer.content.readany()
