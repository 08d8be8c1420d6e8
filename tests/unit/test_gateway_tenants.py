"""What a token with a prefix of sources may see, command and report: a tenant of the gateway."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateways.web import known_tokens
from gateways.web.known_tokens import KnownTokens
from tests.tokens_in_memory import MemoryTokens
from tests.unit.answering import listening, read, told
from tests.unit.http import Client, serving
from tests.unit.web_devices import Boiler, Heat

KITCHEN = "/v1/actors/boiler/kitchen"
EVENT = {"source": "site-7-meter", "id": "1", "type": "reading", "data": {"kwh": 1}}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> MemoryTokens:
    """The tokens of the gateways of this test, at which they look all the time."""
    made = MemoryTokens()
    monkeypatch.setattr(known_tokens, "table_of", lambda _: made)
    monkeypatch.setattr(KnownTokens, "LOOK_S", 0.02)
    return made


@pytest.fixture
async def client(table: MemoryTokens) -> AsyncIterator[Client]:
    """Of a gateway that asks for tokens."""
    async with serving(gateway={"tokens_required": True, "heartbeat_ms": 100}) as client:
        yield client


@pytest.fixture
async def tenant(client: Client, table: MemoryTokens) -> Client:
    """A client whose token is for a site's boilers; there are others."""
    for name in ("site-6-z", "site-7-a", "site-7-b", "site-70", "site-8-a"):
        await client.system.actor(Boiler, name).ask(Heat(celsius=5))
    return client.showing(table.make("read", "command", "publish", prefix="boiler/site-7-"))


@pytest.mark.parametrize("name", ["site-6-z", "site-70", "site-7", "kitchen"])
async def test_what_is_outside_of_the_sources_of_a_token_is_refused(
    tenant: Client, name: str
) -> None:
    path = f"/v1/actors/boiler/{name}"
    for said in (
        await tenant.get(path),
        await tenant.get(f"{path}/events"),
        await tenant.post(f"{path}/heat", {"celsius": 5}),
        await tenant.get("/v1/actors/oven"),
        await tenant.get("/v1/events?sources=boiler/site-8-*&sources=oven/*"),
    ):
        assert told(said) == (403, "other-sources")
        assert said.json["prefix"] == "boiler/site-7-"
    for said in (
        await tenant.get("/v1/actors/boiler/site-7-a"),
        await tenant.get("/v1/actors/boiler/site-7-a/events"),
        await tenant.post("/v1/actors/boiler/site-7-new/heat", {"celsius": 5}),
    ):
        assert said.status == 200


async def test_a_list_has_what_is_inside(tenant: Client) -> None:
    async def names(query: str) -> Any:
        said = (await tenant.get(f"/v1/actors/boiler{query}")).json
        return [each["name"] for each in said["actors"]], said["next"]

    assert await names("") == (["site-7-a", "site-7-b"], None)
    assert await names("?limit=1") == (["site-7-a"], "site-7-a")
    assert await names("?limit=1&after=site-7-a") == (["site-7-b"], None)
    assert await names("?after=site-8-a") == ([], None)
    assert await names("?after=site-6") == (["site-7-a", "site-7-b"], None)


async def test_a_search_has_what_is_inside(client: Client, tenant: Client) -> None:
    for name in ("site-7-a", "site-8-a"):
        await client.system.actor(Boiler, name).ask(Heat(celsius=80))
    await client.system.index(Boiler)

    async def names(query: str) -> Any:
        said = await tenant.get(f"/v1/actors/boiler?{query}")
        assert said.status == 200, said
        return [each["name"] for each in said.json["actors"]]

    assert await names("celsius__ge=5") == ["site-7-a", "site-7-b"]
    assert await names("celsius__gt=50") == ["site-7-a"]
    assert await names("celsius__ge=5&prefix=site-7-b") == ["site-7-b"]
    outside = await tenant.get("/v1/actors/boiler?celsius__gt=50&prefix=site-8-")
    assert told(outside) == (403, "other-sources")


async def test_what_is_reported_is_within_the_sources_of_the_token(
    client: Client, table: MemoryTokens
) -> None:
    showing = client.showing(table.make("publish", prefix="device-twin/site-7-"))
    batch = [EVENT, {**EVENT, "source": "site-8-meter"}]
    said = await showing.post(
        "/v1/events", batch, Content_Type="application/cloudevents-batch+json"
    )
    inside, outside = said.json
    assert (said.status, inside["source"]) == (207, "device-twin/site-7-meter")
    assert outside["problem"]["type"].endswith("other-sources")
    said = await showing.post("/v1/events", batch[1], Content_Type="application/cloudevents+json")
    assert told(said) == (403, "other-sources")


@pytest.mark.parametrize("query", ["?after=0", "?after=0&sources=*", "?after=0&sources=boiler/*"])
async def test_a_stream_has_what_is_inside(tenant: Client, query: str) -> None:
    async with listening(tenant, query) as content:
        assert await read(content, 2) == ["boiler/site-7-a", "boiler/site-7-b"]
        for name in ("site-8-a", "site-7-c"):
            await tenant.system.actor(Boiler, name).ask(Heat(celsius=5))
        assert await read(content, 1) == ["boiler/site-7-c"]
