"""Who may do what at the gateway: tokens, scopes, tenants, and what becomes of them meanwhile."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateways.tokens import new_token
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


async def eventually(holds: Callable[[], Any]) -> None:
    """Wait for what announces itself to nobody."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - nobody says so, and others have to go on
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Basic dXNlcjpwYXNz",
        f"Bearer {new_token(os.urandom)}",
        f"Bearer {new_token(os.urandom)}x",
        f"Basic {new_token(os.urandom)}",
    ],
    # Processes that run files side by side have to find the same tests: nothing random in names.
    ids=[
        "no header",
        "empty",
        "no token",
        "blank token",
        "no form of ours",
        "a password",
        "unknown",
        "too long",
        "another scheme",
    ],
)
async def test_who_shows_no_token_that_there_is_is_asked_for_one(
    client: Client, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    for method, path in (
        ("GET", KITCHEN), ("GET", f"{KITCHEN}/events"), ("POST", f"{KITCHEN}/heat"),
        ("GET", "/v1/events"), ("POST", "/v1/events"), ("POST", "/v1/commands"),
        ("GET", "/v1/actors/boiler"), ("GET", "/openapi.json"), ("GET", "/elsewhere"),
    ):  # fmt: skip
        said = await client.send(method, path, headers=headers)
        assert told(said) == (401, "no-valid-token")
        assert said.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_probes_and_the_page_ask_for_none(client: Client) -> None:
    for path in ("/livez", "/docs", "/docs/docs.js", "/docs/docs.css"):
        assert (await client.get(path)).status == 200

    async def ready() -> bool:
        return (await client.get("/readyz")).status == 200

    await eventually(ready)


async def test_a_token_with_the_right_letters_and_another_secret_is_none(
    client: Client, table: MemoryTokens
) -> None:
    text = table.make("admin")
    assert (await client.showing(text).get(KITCHEN)).status == 200
    last = "A" if text[-2] != "A" else "B"
    forged = text[:-2] + last + text[-1]
    assert told(await client.showing(forged).get(KITCHEN)) == (401, "no-valid-token")


@pytest.mark.parametrize(
    ("scope", "method", "path", "body", "missing"),
    [
        ("read", "GET", KITCHEN, None, None),
        ("read", "GET", f"{KITCHEN}/events", None, None),
        ("read", "GET", "/v1/actors/boiler", None, None),
        ("read", "POST", f"{KITCHEN}/heat", {"celsius": 1}, "command:boiler"),
        ("read", "POST", "/v1/commands", {"source": "boiler/a", "message": "heat"}, "command"),
        ("read", "POST", "/v1/events", EVENT, "publish"),
        ("command", "POST", f"{KITCHEN}/heat", {"celsius": 1}, None),
        ("command", "GET", KITCHEN, None, "read"),
        ("command", "GET", f"{KITCHEN}/events", None, "read"),
        ("command", "GET", "/v1/actors/boiler", None, "read"),
        ("command", "GET", "/v1/events", None, "read"),
        ("command:boiler", "POST", f"{KITCHEN}/heat", {"celsius": 1}, None),
        ("command:oven", "POST", f"{KITCHEN}/heat", {"celsius": 1}, "command:boiler"),
        ("publish", "POST", "/v1/events", EVENT, None),
        ("publish", "POST", f"{KITCHEN}/heat", {"celsius": 1}, "command:boiler"),
        ("admin", "POST", f"{KITCHEN}/heat", {"celsius": 1}, None),
        ("admin", "POST", "/v1/events", EVENT, None),
        ("admin", "GET", KITCHEN, None, None),
    ],
)
async def test_a_token_allows_what_its_scope_says_and_is_told_what_is_missing(
    client: Client,
    table: MemoryTokens,
    scope: str,
    method: str,
    path: str,
    body: Any,
    missing: str | None,
) -> None:
    kind = "application/json"
    if path.startswith("/v1/commands"):
        kind = "application/x-ndjson"
    elif path == "/v1/events":
        kind = "application/cloudevents+json"
    showing = client.showing(table.make(scope))
    more = {} if body is None else {"data": json.dumps(body).encode()}
    said = await showing.send(method, path, headers={"Content_Type": kind}, **more)
    if missing is None:
        assert said.status == 200, said.body
    else:
        assert told(said) == (403, "missing-scope")
        assert said.json["scope"] == missing
        assert f'scope="{missing}"' in said.headers["WWW-Authenticate"]


async def test_each_line_of_many_is_asked_for_its_scope_and_its_source(
    client: Client, table: MemoryTokens
) -> None:
    showing = client.showing(table.make("command:boiler", prefix="boiler/site-7-"))
    lines = [
        {"source": source, "message": "heat", "data": {"celsius": 1}}
        for source in ("boiler/site-7-a", "boiler/site-8-a", "oven/a", "boiler/site-7-b")
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    said = await showing.post("/v1/commands", body, Content_Type="application/x-ndjson")
    answers = [json.loads(line) for line in said.body.splitlines()]
    problems = [each.get("problem", {}).get("type", "").rpartition(":")[2] for each in answers]
    assert problems == ["", "other-sources", "missing-scope", ""]


async def test_a_token_that_is_revoked_is_refused_and_its_stream_ends(
    client: Client, table: MemoryTokens
) -> None:
    text, other = table.make("read"), table.make("read")
    showing = client.showing(text)
    async with listening(showing, "") as content, listening(client.showing(other), "") as lives:
        table.revoke_now(text)

        async def refused() -> bool:
            return (await showing.get(KITCHEN)).status == 401

        await eventually(refused)
        async with asyncio.timeout(20):
            while await content.readline():
                pass
        assert (await client.showing(other).get(KITCHEN)).status == 200
        async with asyncio.timeout(20):
            assert await lives.readline()


async def test_lines_that_come_after_a_revocation_are_refused(
    client: Client, table: MemoryTokens
) -> None:
    text = table.make("command")
    line = json.dumps({"source": "boiler/a", "message": "heat", "data": {"celsius": 5}}).encode()
    came, revoked = asyncio.Event(), asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        yield line + b"\n"
        await came.wait()
        table.revoke_now(text)
        await revoked.wait()
        yield line + b"\n"

    headers = {**client.showing(text).headers, "Content-Type": "application/x-ndjson"}
    async with client.session.post(
        f"{client.address}/v1/commands", data=lines(), headers=headers
    ) as answer:
        assert "events" in json.loads(await answer.content.readline())
        came.set()

        async def refused() -> bool:
            return (await client.showing(text).get("/openapi.json")).status == 401

        await eventually(refused)
        revoked.set()
        second = json.loads(await answer.content.readline())
        assert second["problem"]["status"] == 401


async def test_a_token_that_has_expired_is_refused(client: Client, table: MemoryTokens) -> None:
    showing = client.showing(table.make("admin", expired=True))
    assert told(await showing.get(KITCHEN)) == (401, "no-valid-token")


async def test_while_the_database_is_away_a_token_counts_for_a_while_and_then_nobody_is_let_in(
    client: Client, table: MemoryTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    showing = client.showing(table.make("read"))
    async with listening(showing, "") as content:
        assert (await showing.get(KITCHEN)).status == 200
        table.away = True
        assert (await showing.get(KITCHEN)).status == 200
        new = client.showing(table.make("read"))
        assert told(await new.get(KITCHEN)) == (503, "tokens-unavailable")
        monkeypatch.setattr(KnownTokens, "MAX_AGE_S", -1.0)
        said = await showing.get(KITCHEN)
        assert told(said) == (503, "tokens-unavailable")
        assert said.headers["Retry-After"] == "2"
        assert (await client.get("/livez")).status == 200
        async with asyncio.timeout(20):  # the stream gives signs of life, and nothing else
            while await content.readline() != b":\n":
                pass
        await client.system.actor(Boiler, "kitchen").ask(Heat(celsius=5))
        async with asyncio.timeout(20):
            while not (line := await content.readline()).startswith(b":"):
                assert not line.startswith(b"data")
        monkeypatch.undo()
        monkeypatch.setattr(known_tokens, "table_of", lambda _: table)
        table.away = False
        assert await read(content, 1) == ["boiler/kitchen"]
    assert (await showing.get(KITCHEN)).status == 200


async def test_tokens_that_nobody_knows_share_their_questions(
    client: Client, table: MemoryTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, held, release = MemoryTokens.live, asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def slow(self: MemoryTokens, ids: Any) -> Any:
        loop.call_soon_threadsafe(held.set)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(release.wait(), loop))
        return await live(self, ids)

    monkeypatch.setattr(MemoryTokens, "live", slow)
    made_up = [client.showing(new_token(os.urandom)).get(KITCHEN) for _ in range(50)]
    asking = [asyncio.ensure_future(each) for each in made_up]
    await held.wait()
    release.set()
    assert {(await each).status for each in asking} == {401}
    assert table.asked < 25


async def test_that_a_token_is_in_use_is_noted_once(client: Client, table: MemoryTokens) -> None:
    text = table.make("read")
    assert table.used(text) is None
    for _ in range(3):
        await client.showing(text).get(KITCHEN)

    async def noted() -> bool:
        return table.used(text) is not None

    await eventually(noted)
    first = table.used(text)
    asked = table.asked
    await client.showing(text).get(KITCHEN)

    async def looked() -> bool:
        return table.asked > asked + 2

    await eventually(looked)
    assert table.used(text) == first


async def test_a_token_that_is_used_by_a_stream_alone_is_not_forgotten(
    client: Client, table: MemoryTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnownTokens, "FORGET_S", -1.0)
    text = table.make("read")
    async with listening(client.showing(text), "") as content:
        asked = table.asked

        async def looked() -> bool:
            return table.asked > asked + 3

        await eventually(looked)
        await client.system.actor(Boiler, "kitchen").ask(Heat(celsius=5))
        assert await read(content, 1) == ["boiler/kitchen"]


async def test_a_rate_holds_for_each_token(table: MemoryTokens) -> None:
    async with serving(gateway={"tokens_required": True, "token_rate": 2}) as client:
        one, two = client.showing(table.make("read")), client.showing(table.make("read"))
        answers = [await one.get(KITCHEN) for _ in range(20)]
        refused = [said for said in answers if said.status == 429]
        assert told(refused[0]) == (429, "token-rate")
        assert refused[0].headers["Retry-After"] == "1"
        assert (await two.get(KITCHEN)).status == 200


async def test_on_loopback_nobody_is_asked_until_there_is_a_token(
    table: MemoryTokens,
) -> None:
    async with serving() as client:
        assert (await client.get(KITCHEN)).status == 200
        async with listening(client, "") as content:
            text = table.make("read")

            async def asked() -> bool:
                return (await client.get(KITCHEN)).status == 401

            await eventually(asked)
            async with asyncio.timeout(20):  # what was begun without one ends
                while await content.readline():
                    pass
        table.revoke_now(text)  # and that there was one stays so
        assert (await client.get(KITCHEN)).status == 401
        assert (await client.showing(table.make("read")).get(KITCHEN)).status == 200


async def test_where_nobody_can_tell_whether_there_are_tokens_nobody_is_let_in(
    table: MemoryTokens,
) -> None:
    table.away = True
    async with serving() as client:
        assert told(await client.get(KITCHEN)) == (503, "tokens-unavailable")
        assert (await client.get("/livez")).status == 200
        table.away = False

        async def open_again() -> bool:
            return (await client.get(KITCHEN)).status == 200

        await eventually(open_again)
        table.away = True  # nobody makes a token meanwhile
        assert (await client.get(KITCHEN)).status == 200


async def test_with_a_token_neither_host_nor_origin_matter(
    client: Client, table: MemoryTokens
) -> None:
    showing = client.showing(table.make("command"))
    headers = {"Host": "fleet.example.com", "Origin": "https://fleet.example.com"}
    said = await showing.post(f"{KITCHEN}/heat", {"celsius": 5}, **headers)
    assert said.status == 200


async def test_no_token_is_logged_told_or_counted(
    table: MemoryTokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(gateway={"tokens_required": True, "access_log": True}) as client:
        good, bad = table.make("read"), new_token(os.urandom)
        showing = client.showing(good)
        said = [
            await showing.get(KITCHEN),
            await showing.post(f"{KITCHEN}/heat", {"celsius": 1}),
            await showing.get(f"/v1/actors/boiler/{good}"),
            await showing.get(f"/v1/{good}?token={good}"),
            await showing.get(f"{KITCHEN}?token={good}"),
            await client.showing(bad).get(KITCHEN),
            await client.get(f"/{bad}"),
        ]
        status = repr(await client.system.status())
    # A secret may have an underscore, too.
    secrets = [token.split("_", 2)[2] for token in (good, bad)]
    lines = [record.getMessage() for record in caplog.records]
    access = [r.getMessage() for r in caplog.records if r.name == "thornback.gateway.access"]
    assert len(access) == len(said)
    assert f"token {good[4:12]}" in access[0]
    assert "GET /v1/actors/boiler/kitchen 200" in access[0]
    for secret in secrets:
        assert not any(secret in line for line in lines)
        assert secret not in status
    assert secrets[1] not in said[5].body.decode()
