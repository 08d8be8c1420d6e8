"""Erasing an actor over HTTP: who may, what goes, and what is told."""

from collections.abc import AsyncIterator

import pytest

from gateways.tokens import ADMIN, COMMAND, OBSERVE, PUBLISH, READ
from gateways.web import known_tokens
from runtime.errors import ActorErased
from store.erasures import ErasureReceipt
from tests.tokens_in_memory import MemoryTokens
from tests.unit.http import Client, serving
from tests.unit.web_devices import Boiler, Heat

KITCHEN = "/v1/actors/boiler/kitchen"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving() as client:
        yield client


async def test_its_data_is_gone_and_the_answer_is_the_receipt(client: Client) -> None:
    for celsius in (60, 70):
        await client.post(f"{KITCHEN}/heat", {"celsius": celsius})
    answer = await client.send("DELETE", f"{KITCHEN}?reason=it%20was%20sold", headers={})
    assert answer.status == 200, answer.body
    receipt = ErasureReceipt.from_json(answer.json)
    assert (receipt.source, receipt.reason) == ("boiler/kitchen", "it was sold")
    assert (receipt.events, receipt.version) == (2, 3)
    history = (await client.get(f"{KITCHEN}/events")).json["events"]
    assert [each["data"] for each in history[:2]] == [{"$erased": True}] * 2
    assert (await client.get(KITCHEN)).status == 410
    with pytest.raises(ActorErased):
        await client.system.actor(Boiler, "kitchen").ask(Heat(celsius=5))
    again = await client.send("DELETE", f"{KITCHEN}?reason=it%20was%20sold", headers={})
    assert again.json["digest"] == receipt.digest, "whoever has no answer asks again"


@pytest.mark.parametrize("query", ["", "?reason=", "?reason=%20"])
async def test_without_a_reason_nothing_is_done(client: Client, query: str) -> None:
    await client.post(f"{KITCHEN}/heat", {"celsius": 60})
    refused = await client.send("DELETE", f"{KITCHEN}{query}", headers={})
    assert (refused.status, refused.json["type"]) == (400, "urn:thornback:problem:no-reason")
    assert (await client.get(KITCHEN)).json["version"] == 1


async def test_it_takes_a_token_for_everything_and_for_that_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = MemoryTokens()
    monkeypatch.setattr(known_tokens, "table_of", lambda _: table)
    path = f"{KITCHEN}?reason=x"
    async with serving(gateway={"tokens_required": True}) as client:
        await client.system.actor(Boiler, "kitchen").ask(Heat(celsius=5))
        user = client.showing(table.make(READ, COMMAND, PUBLISH, OBSERVE))
        refused = await user.send("DELETE", path, headers={})
        assert (refused.status, refused.json["scope"]) == (403, ADMIN)
        elsewhere = client.showing(table.make(ADMIN, prefix="boiler/cellar-"))
        refused = await elsewhere.send("DELETE", path, headers={})
        assert (refused.status, refused.json["prefix"]) == (403, "boiler/cellar-")
        assert (await client.system.actor(Boiler, "kitchen").state()).celsius == 5
        done = await client.showing(table.make(ADMIN)).send("DELETE", path, headers={})
        assert done.status == 200


async def test_a_whole_type_is_not_erased(client: Client) -> None:
    refused = await client.send("DELETE", "/v1/actors/boiler?reason=x", headers={})
    assert (refused.status, refused.json["allow"]) == (405, ["GET"])
