"""Asking a fleet by its state over HTTP."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.answering import told
from tests.unit.http import Client, serving
from tests.unit.web_devices import Boiler, Heat


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Of a gateway."""
    async with serving() as client:
        yield client


async def heat(client: Client, **celsius: float) -> None:
    for name, degrees in celsius.items():
        await client.system.actor(Boiler, name).ask(Heat(celsius=degrees))


async def found(client: Client, query: str) -> Any:
    said = await client.get(f"/v1/actors/boiler?{query}")
    assert said.status == 200, said
    return said.json


def names(said: Any) -> str:
    return "".join(each["name"] for each in said["actors"])


async def test_devices_are_found_by_their_state_as_soon_as_it_is_acknowledged(
    client: Client,
) -> None:
    await heat(client, a=10, b=50, c=80)
    refused = await client.get("/v1/actors/boiler?celsius__gt=40")
    assert told(refused) == (400, "invalid-query")
    assert "system.index(Class)" in refused.json["detail"]
    await client.system.index(Boiler)
    said = await found(client, "celsius__gt=40")
    assert said["type"] == "boiler"
    assert said["actors"][0] == {"name": "b", "fields": {"celsius": 50.0, "services": 0}}
    assert (names(said), said["next"], said["position"]) == ("bc", None, 3)
    await heat(client, a=41)
    assert names(await found(client, "celsius__gt=40&services=0")) == "abc"
    assert names(await found(client, "celsius__in=41&celsius__in=80")) == "ac"
    assert names(await found(client, "celsius__isnull=false&limit=2")) == "ab"
    assert names(await found(client, "celsius__isnull=false&limit=2&after=b")) == "c"
    assert names(await found(client, "celsius__isnull=true")) == ""
    assert names(await found(client, "celsius__gt=0&prefix=b&at_least=0")) == "b"
    assert "version" in (await found(client, "prefix=b"))["actors"][0]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("celsius=warm", "celsius is a double precision, not 'warm'"),
        ("size=3", "'size' is no indexed field; indexed are celsius, services"),
        ("celsius__like=3", "may stand behind __ is"),
        ("services=1&services=2", "it is given twice"),
        ("services__isnull=1", "services is a boolean, not '1'"),
        ("services=99999999999999999999999", "services is a bigint"),
    ],
    ids=["number", "field", "operator", "twice", "isnull", "big"],
)
async def test_what_cannot_be_asked_is_said(client: Client, query: str, problem: str) -> None:
    await client.system.index(Boiler)
    await heat(client, a=10)
    said = await client.get(f"/v1/actors/boiler?{query}")
    assert told(said) == (400, "invalid-query")
    assert problem in said.json["detail"]
