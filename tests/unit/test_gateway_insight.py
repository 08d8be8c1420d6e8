"""What the gateway tells of the system: types, processes, settings and failures."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateways.web import known_tokens
from gateways.web.census import Census
from gateways.web.insight import Insight, merged
from runtime.driver.hosts import Hosts
from runtime.host.host import Host
from runtime.topology.status import FailureRecord, HostFacts
from tests.tokens_in_memory import MemoryTokens
from tests.unit.http import Client, serving

HEAT, BREAK = "/v1/actors/boiler/{}/heat", "/v1/actors/boiler/{}/break"
SECRET = "of-nobody-else"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving() as client:
        yield client


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> MemoryTokens:
    """The tokens of the gateways of this test."""
    made = MemoryTokens()
    monkeypatch.setattr(known_tokens, "table_of", lambda _: made)
    return made


def shown(table: MemoryTokens, client: Client, *scopes: str, prefix: str = "") -> Client:
    """The client with a token."""
    return client.showing(table.make(*scopes, prefix=prefix))


def of_type(said: Any, name: str) -> Any:
    (found,) = [each for each in said["types"] if each["type"] == name]
    return found


async def test_types_have_their_actors_and_events_counted(client: Client) -> None:
    for name in ("a", "b", "a"):
        await client.post(HEAT.format(name), {"celsius": 30})
    said = (await client.get("/v1/types")).json
    assert (said["through"], said["complete"]) == (3, True)
    boiler = of_type(said, "boiler")
    assert (boiler["known"], boiler["actors"], boiler["events"]) == (True, 2, 3)
    (kind,) = boiler["event_types"]
    assert (kind["event_type"], kind["events"], kind["last_position"]) == ("heated", 3, 3)
    assert kind["last_recorded_at"].endswith("Z")
    assert of_type(said, "weather-station")["actors"] == 0


async def test_what_comes_later_is_counted_on_top(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Census, "STRETCH", 2)
    for number in range(5):
        await client.post(HEAT.format(number % 3), {"celsius": number})
    assert of_type((await client.get("/v1/types")).json, "boiler")["events"] == 5
    for number in range(5):
        await client.post(HEAT.format(number), {"celsius": number})
    said = (await client.get("/v1/types")).json
    boiler = of_type(said, "boiler")
    assert (said["through"], boiler["actors"], boiler["events"]) == (10, 5, 10)


async def test_every_process_says_how_it_is(client: Client) -> None:
    await client.post(HEAT.format("a"), {"celsius": 30})
    said = (await client.get("/v1/system")).json
    by_name = {each["name"]: each for each in said["processes"]}
    assert set(by_name) == {"writer", "bus", "host-0", "gateway-0"}
    host = by_name["host-0"]
    assert (host["facts"]["commands"], host["facts"]["residents"]) == (1, 1)
    assert (host["restarted"], host["trouble"], host["private_bytes"] > 0) == (False, None, True)
    assert by_name["writer"]["facts"]["position"] == 1


async def test_settings_have_their_origin_and_no_password() -> None:
    url = f"postgresql://somebody:{SECRET}@nowhere/log?password={SECRET}"
    async with serving(metrics={"port": 0}, event_store={"connection_string": url}) as client:
        said = await client.get("/v1/settings")
    by_key = {each["key"]: (each["value"], each["from"]) for each in said.json["settings"]}
    assert by_key["metrics.port"] == (0, "argument")
    assert by_key["event_store.connection_string"][0].startswith("postgresql://somebody:***@")
    assert SECRET.encode() not in said.body


async def test_failures_have_the_line_of_their_users_code_and_are_counted(client: Client) -> None:
    for celsius in (95, 96):
        await client.post(HEAT.format("a"), {"celsius": celsius})
    await client.post(BREAK.format("b"), {"secret": "thb_looks-like-a-token"})
    await client.post(HEAT.format("c"), {"celsius": "warm"})
    await client.post(HEAT.format("c"), {"celsius": 50})
    found = (await client.get("/v1/failures")).json["failures"]
    misfit, broken, rejected = found  # the latest first
    assert (rejected["type"], rejected["message"], rejected["count"]) == ("boiler", "heat", 2)
    assert (rejected["outcome"], rejected["text"]) == ("rejected", "96.0 is above 90.0")
    assert rejected["name"] == "tests.unit.web_devices.TooHot"
    assert rejected["frames"][-1].endswith(", in heat")
    assert "web_devices.py:" in rejected["frames"][-1]
    assert (broken["outcome"], broken["name"], broken["source"]) == (
        "failed",
        "RuntimeError",
        "boiler/b",
    )
    assert broken["text"] == "RuntimeError: thb_***"
    assert broken["frames"][-1].endswith(", in fail")
    assert (misfit["outcome"], misfit["name"], misfit["frames"]) == (
        "not run",
        "InvalidMessage",
        [],
    )


async def test_a_host_that_hangs_is_named_and_what_the_others_tell_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs(self: Host) -> list[FailureRecord]:
        if self.name in ("host-1", "boiler/hung"):
            await asyncio.Event().wait()
        return await there(self)

    async def hangs_too(self: Host) -> HostFacts | None:
        await hangs(self)
        return await there_too(self)

    there, there_too = Host.failures, Host.facts
    monkeypatch.setattr(Hosts, "LIMIT_S", 0.5)
    monkeypatch.setattr(Insight, "LIMIT_S", 3.0)
    sections = {"hosts": 2, "placement": {"boiler": "dedicated"}}
    async with serving(actor_system=sections) as client:
        for name in ("well", "hung"):
            await client.post(HEAT.format(name), {"celsius": 95})
        monkeypatch.setattr(Host, "failures", hangs)
        monkeypatch.setattr(Host, "facts", hangs_too)
        said = (await client.get("/v1/failures")).json
    assert [each["source"] for each in said["failures"]] == ["boiler/well"]
    silent = {each["name"]: each["reason"] for each in said["silent"]}
    assert silent.keys() == {"host-1", "boiler/hung"}
    assert silent["host-1"].startswith("no answer within")


def record(count: int, first_us: int, last_us: int, text: str) -> FailureRecord:
    return FailureRecord(
        actor_type="boiler",
        message_type="heat",
        name="TooHot",
        outcome="rejected",
        count=count,
        first_us=first_us,
        last_us=last_us,
        source="boiler/a",
        text=text,
        frames=(),
    )


def test_what_several_hosts_tell_of_one_type_is_one_record() -> None:
    early, late = record(3, 10, 20, "early"), record(4, 15, 30, "late")
    assert merged([early, late]) == merged([late, early]) == [record(7, 10, 30, "late")]


@pytest.mark.parametrize("path", ["/v1/system", "/v1/settings", "/v1/failures"])
async def test_how_the_system_is_takes_a_scope_of_its_own_and_all_sources(
    table: MemoryTokens, path: str
) -> None:
    async with serving(gateway={"tokens_required": True}) as client:
        assert (await client.get(path)).status == 401
        reader = shown(table, client, "read", "command", "publish")
        refused = await reader.get(path)
        assert (refused.status, refused.json["scope"]) == (403, "observe")
        tenant = shown(table, client, "observe", prefix="boiler/x")
        assert (await tenant.get(path)).status == 403
        observer = shown(table, client, "observe")
        assert (await observer.get(path)).status == 200
        assert (await observer.get("/v1/types")).status == 403


async def test_a_tenant_sees_the_types_of_his_own_sources(table: MemoryTokens) -> None:
    async with serving(gateway={"tokens_required": True}) as client:
        admin = shown(table, client, "admin")
        for name in ("x-1", "x-2", "y-1"):
            await admin.post(HEAT.format(name), {"celsius": 1})
        tenant = shown(table, client, "read", prefix="boiler/x-")
        (boiler,) = (await tenant.get("/v1/types")).json["types"]
        assert (boiler["actors"], boiler["events"]) == (2, 2)


async def test_a_list_has_the_names_that_begin_with_a_text(table: MemoryTokens) -> None:
    async with serving(gateway={"tokens_required": True}) as client:
        admin = shown(table, client, "admin")
        for name in ("x-1", "x-2", "xy", "y-1"):
            await admin.post(HEAT.format(name), {"celsius": 1})

        async def names(client: Client, prefix: str) -> list[str]:
            said = await client.get(f"/v1/actors/boiler?prefix={prefix}")
            return [each["name"] for each in said.json["actors"]]

        assert await names(admin, "x") == ["x-1", "x-2", "xy"]
        assert await names(admin, "") == ["x-1", "x-2", "xy", "y-1"]
        tenant = shown(table, client, "read", prefix="boiler/x-")
        assert await names(tenant, "x") == ["x-1", "x-2"]
        assert await names(tenant, "x-2") == ["x-2"]
        assert (await tenant.get("/v1/actors/boiler?prefix=y")).status == 403
