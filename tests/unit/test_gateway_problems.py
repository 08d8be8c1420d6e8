"""What a client is told when something does not work; and that it is never a 500."""

import asyncio
from collections.abc import AsyncIterator

import pytest

import actors.errors
import runtime.errors
import store.errors
from actors.errors import Rejected, ThornbackError
from gateways.web.actors import ActorEndpoints
from gateways.web.problems import ASK_AGAIN, problem_of
from runtime.driver.hosts import Hosts
from runtime.errors import AskTimeout, HandlerBlocked, HandlerFailed, IndexBehind, MailboxFull
from tests.unit.http import Client, Said, serving

KITCHEN = "/v1/actors/boiler/kitchen"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving(gateway={"body_limit": 1000, "read_timeout_ms": 300}) as client:
        yield client


def told(said: Said) -> tuple[int, str]:
    assert said.headers["Content-Type"] == "application/problem+json"
    assert said.json["status"] == said.status
    assert said.json["title"]
    assert said.json["detail"]
    return said.status, said.json["type"].removeprefix("urn:thornback:problem:")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/actors/boiler/kitchen/heat", b"{", (400, "no-json")),
        ("/v1/actors/boiler/kitchen/heat", b"", (400, "no-json")),
        ("/v1/actors/boiler/kitchen/heat", b'{"celsius":NaN}', (400, "no-json")),
        ("/v1/actors/boiler/kitchen/heat", b"[" * 900, (400, "no-json")),
        ("/v1/actors/boiler/kitchen/heat", b'"\xff"', (400, "no-json")),
        ("/v1/actors/boiler/kitchen/heat", rb'"\ud800"', (400, "no-json")),
        ("/v1/actors/boiler/kitchen/heat", b"[1]", (422, "invalid-message")),
        ("/v1/actors/boiler/kitchen/heat", b"null", (422, "invalid-message")),
        ("/v1/actors/boiler/kitchen/heat", b'{"celsius":"warm"}', (422, "invalid-message")),
        ("/v1/actors/boiler/kitchen/heat", b'{"celsius":1,"x":1}', (422, "invalid-message")),
        ("/v1/actors/boiler/kitchen/heat", b'{"celsius":-1e999}', (422, "invalid-data")),
        ("/v1/actors/boiler/kitchen/heat", b'{"celsius":95}', (409, "rejected")),
        ("/v1/actors/boiler/kitchen/heat", b" " * 1001, (413, "too-large")),
        ("/v1/actors/boiler/kitchen/break", b"{}", (422, "handler-failed")),
        ("/v1/actors/boiler/kitchen/cool", b"{}", (404, "unknown-message")),
        ("/v1/actors/boiler/kitchen/$state", b"{}", (400, "invalid-name")),
        ("/v1/actors/boiler/kitchen/events", b"{}", (404, "unknown-message")),
        ("/v1/actors/boiler/kitchen", b"{}", (405, "other-method")),
        ("/v1/actors/teapot/kitchen/heat", b"{}", (404, "unknown-actor-type")),
        ("/v1/actors/Boiler/kitchen/heat", b"{}", (400, "invalid-name")),
        ("/v1/actors/boiler//heat", b"{}", (400, "invalid-name")),
        ("/v1/actors/boiler/%00/heat", b"{}", (400, "invalid-name")),
        ("/v1/actors/boiler/%ff/heat", b"{}", (400, "no-utf-8")),
        ("/v1/actors/boiler/" + "x" * 1100 + "/heat", b"{}", (400, "invalid-name")),
        ("/v1/actors/boiler/a/b/heat", b"{}", (404, "no-such-path")),
        ("/elsewhere", b"{}", (404, "no-such-path")),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_told_as_a_problem(
    client: Client, path: str, body: bytes, expected: tuple[int, str]
) -> None:
    assert told(await client.post(path, body)) == expected
    fine = await client.post(f"{KITCHEN}/heat", {"celsius": 5})
    assert fine.status == 200


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/actors/teapot/kitchen", (404, "unknown-actor-type")),
        ("/v1/actors/boiler/kitchen?x=1", (400, "bad-parameter")),
        ("/v1/actors/boiler/kitchen/events?after=-1", (400, "bad-parameter")),
        ("/v1/actors/boiler/kitchen/events?after=1&after=2", (400, "bad-parameter")),
        ("/v1/actors/boiler/kitchen/events?limit=1001", (400, "bad-parameter")),
        ("/v1/actors/boiler/kitchen/events?limit=%ff", (400, "bad-parameter")),
        ("/v1/actors/boiler/kitchen/heat", (405, "other-method")),
    ],
)
async def test_a_question_that_is_none_is_told_as_a_problem(
    client: Client, path: str, expected: tuple[int, str]
) -> None:
    assert told(await client.get(path)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Idempotency_Key": ""}, (400, "bad-key")),
        ({"Idempotency_Key": "x" * 257}, (400, "bad-key")),
        ({"Happened_At": "yesterday"}, (400, "no-moment")),
        ({"Happened_At": "2026-02-30T00:00:00Z"}, (400, "no-moment")),
        ({"Happened_At": "0001-01-01T00:00:00+23:59"}, (400, "no-moment")),
        ({"Content_Type": "text/plain"}, (415, "not-json")),
        ({"Content_Type": "application/x-www-form-urlencoded"}, (415, "not-json")),
        ({"Content_Encoding": "gzip"}, (415, "encoded")),
        ({"Origin": "https://elsewhere.example"}, (403, "other-origin")),
        ({"Host": "elsewhere.example:8080"}, (421, "other-host")),
    ],
)
async def test_a_head_that_is_wrong_is_told_as_a_problem(
    client: Client, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    assert told(await client.post(f"{KITCHEN}/heat", b'{"celsius":1}', **headers)) == expected


async def test_a_rejection_has_its_reason_its_class_and_its_facts(client: Client) -> None:
    said = await client.post(f"{KITCHEN}/heat", {"celsius": 95})
    assert said.json["detail"] == "95.0 is above 90.0"
    assert said.json["class"] == "tests.unit.web_devices.TooHot"
    assert said.json["facts"] == {"celsius": 95.0, "limit": 90.0}


async def test_what_a_handler_failed_with_is_not_told(client: Client) -> None:
    said = await client.post(f"{KITCHEN}/break", {"secret": "xyzzy"})
    assert b"xyzzy" not in said.body


def test_of_a_handler_that_blocks_it_is_told_so_and_not_where() -> None:
    error = HandlerBlocked("boiler/a", "heat", "it took longer than 4 s", "restart", ["a.py:3"])
    problem = problem_of(error)
    assert (problem.status, problem.name) == (422, "handler-blocked")
    assert problem.detail == (
        "boiler/a was ended at heat, and nothing was stored (restart): the log of its host says "
        "where. Under its Idempotency-Key it is not run again"
    )


async def test_a_body_that_does_not_come_is_not_waited_for(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.address[-5:].strip(":")))
    writer.write(b"POST " + KITCHEN.encode() + b"/heat HTTP/1.1\r\nHost: localhost\r\n")
    writer.write(b"Content-Length: 100\r\n\r\n{")
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"G E T\r\n\r\n"]
)
async def test_what_is_no_http_is_told_as_a_problem(client: Client, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.address[-5:].strip(":")))
    writer.write(sent)
    said = await reader.read()
    assert b" 400 " in said.partition(b"\r\n")[0]
    assert b"application/problem+json" in said
    writer.close()


@pytest.mark.parametrize(
    "error",
    [
        value(*["x"] * (value.__init__.__code__.co_argcount - 1))
        for module in (actors.errors, runtime.errors, store.errors)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, ThornbackError)
        and "__init__" in value.__dict__
        and value not in (AskTimeout, MailboxFull, HandlerFailed, IndexBehind)
    ]
    + [IndexBehind("boiler", 1, 2, 0.5)],
    ids=lambda error: type(error).__name__,
)
def test_no_error_is_told_as_another_5xx_than_503_and_504(error: Exception) -> None:
    problem = problem_of(error)
    assert problem.status < 500 or problem.status in (503, 504)
    assert (problem.retry_after_s is None) == (problem.status not in (429, 503))
    assert problem.text()


async def test_who_asks_and_hears_nothing_is_not_told_of_a_key_that_a_question_has_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        raise AskTimeout("boiler/kitchen", 5.0)

    monkeypatch.setattr(ActorEndpoints, "state", silent)
    monkeypatch.setattr(ActorEndpoints, "command", silent)
    asked, sent = await client.get(KITCHEN), await client.post(f"{KITCHEN}/heat", {"celsius": 5})
    assert told(asked) == told(sent) == (504, "no-answer")
    assert asked.json["detail"].endswith(f"within 5 s. {ASK_AGAIN}")
    assert "Idempotency-Key" in sent.json["detail"]
    assert ("outcome" in asked.json, sent.json["outcome"]) == (False, "open")


def test_a_rejection_that_holds_anything_is_told() -> None:
    error = Rejected("no\udcff")
    error.why = {1: object(), "x": float("inf"), "y": "\udcff"}  # type: ignore[attr-defined]
    assert problem_of(error).status == 409
    assert problem_of(error).text()


async def test_readiness_follows_the_hosts(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise runtime.errors.HostUnavailable("host-0", "away")

    there = Hosts.check_ready
    await _becomes(client, 200)
    monkeypatch.setattr(Hosts, "check_ready", away)
    await _becomes(client, 503)
    assert (await client.get("/livez")).status == 200
    monkeypatch.setattr(Hosts, "check_ready", there)
    await _becomes(client, 200)


async def _becomes(client: Client, status: int) -> None:
    async with asyncio.timeout(10):
        while (await client.get("/readyz")).status != status:
            pass
