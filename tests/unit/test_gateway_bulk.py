"""Many commands and CloudEvents over HTTP, on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime.driver.channel import Channel
from runtime.driver.outgoing import Outgoing
from tests.unit.http import Client, Said, serving

NDJSON = "application/x-ndjson"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving(gateway={"body_limit": 2000}) as client:
        yield client


def heat(celsius: object, name: str = "kitchen", **more: object) -> dict[str, object]:
    return {"source": f"boiler/{name}", "message": "heat", "data": {"celsius": celsius}, **more}


async def send(client: Client, lines: list[Any], **headers: str) -> list[Any]:
    body = b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )
    said = await client.post("/v1/commands", body, Content_Type=NDJSON, **headers)
    assert said.status == 200
    return told(said)


def told(said: Said) -> list[Any]:
    return [json.loads(line) for line in said.body.splitlines()]


async def test_each_line_is_answered_in_its_place(client: Client) -> None:
    answers = await send(
        client,
        [
            heat(1),
            heat(2, "cellar"),
            b"",
            b"{",
            heat(95),
            heat("warm"),
            {"source": "boiler/kitchen"},
            {**heat(3), "other": 1},
            b"x" * 2001,
            heat(4),
            {**heat(5), "source": "teapot/x"},
            {**heat(5), "message": "$state"},
        ],
    )
    assert [each["line"] for each in answers] == [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    said = [each.get("problem", {}).get("status", 200) for each in answers]
    assert said == [200, 200, 400, 409, 422, 400, 400, 413, 200, 404, 400]
    assert [each["version"] for each in answers[8]["events"]] == [2]
    assert answers[0]["source"] == "boiler/kitchen"


async def test_more_lines_than_may_wait_are_taken_in_their_order(client: Client) -> None:
    answers = await send(client, [heat(number % 90, str(number % 7)) for number in range(20_000)])
    assert [each["line"] for each in answers] == list(range(1, 20_001))
    versions: dict[str, int] = {}
    for each in answers:
        version = each["events"][0]["version"]
        assert version == versions.get(each["source"], 0) + 1
        versions[each["source"]] = version


async def test_a_whole_request_may_be_repeated_under_its_key(client: Client) -> None:
    lines = [heat(1), heat(2), heat(3, key="own")]
    first = await send(client, lines, Idempotency_Key="upload 1")
    again = await send(client, lines, Idempotency_Key="upload 1")
    assert [each["repeat"] for each in first + again] == [False] * 3 + [True] * 3
    assert [each["events"] for each in first] == [each["events"] for each in again]
    single = await client.post(
        "/v1/actors/boiler/kitchen/heat", {"celsius": 9}, Idempotency_Key="own"
    )
    assert single.json["repeat"] is True


async def test_a_fault_while_lines_are_sent_is_told_to_each_of_them(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(self: Channel, outgoing: Outgoing) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Channel, "submit", submit)
    async with asyncio.timeout(20):
        answers = await send(client, [heat(1), heat(2, "cellar")])
    assert [each["line"] for each in answers] == [1, 2]
    assert {each["problem"]["type"] for each in answers} == {"urn:thornback:problem:gateway-failed"}


async def test_who_wants_no_events_gets_none(client: Client) -> None:
    answers = await send(client, [heat(1), heat(95)], Prefer="return=minimal")
    assert answers[0] == {"line": 1, "repeat": False}
    assert answers[1]["problem"]["status"] == 409


async def test_a_line_is_answered_before_the_next_one_is_sent(client: Client) -> None:
    host, _, port = client.address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    async with asyncio.timeout(20):
        for number in range(1, 4):
            line = json.dumps(heat(number)).encode() + b"\n"
            writer.write(b"%x\r\n%b\r\n" % (len(line), line))
            while not (said := await reader.readline()).startswith(b"{"):
                pass
            assert json.loads(said)["events"][0]["version"] == number
    writer.close()


@pytest.mark.parametrize("busy", [False, True], ids=["silent", "busy"])
async def test_a_drain_takes_no_more_lines_and_answers_those_that_it_has(
    client: Client, busy: bool
) -> None:
    host, _, port = client.address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    line = json.dumps(heat(1)).encode() + b"\n"
    chunk = b"%x\r\n%b\r\n" % (len(line), line)

    async def answer() -> Any:
        while not (said := await reader.readline()).startswith(b"{"):
            assert said, "the gateway has left without a word"
        return json.loads(said)

    writer.write(
        b"POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(chunk)
    async with asyncio.timeout(60):
        answers = [await answer()]
        drained = client.system.drain(timeout_s=20.0)
        while "problem" not in answers[-1]:
            if busy:  # the next line follows on each answer
                writer.write(chunk)
            answers.append(await answer())
        assert not (await drained).problems
        writer.close()
    assert [each["line"] for each in answers] == list(range(1, len(answers) + 1))
    assert answers[-1]["problem"]["type"] == "urn:thornback:problem:draining"


async def test_an_outage_while_lines_come_is_told_line_by_line(client: Client) -> None:
    assert (await client.post("/v1/commands", b"", Content_Encoding="gzip")).status == 415
    assert (await client.post("/v1/commands", b"", Content_Type="text/html")).status == 415


EVENT = {"specversion": "1.0", "source": "dev-1", "id": "1", "type": "reading", "data": {"t": 1}}


async def test_a_cloud_event_in_structured_mode(client: Client) -> None:
    said = await client.post("/v1/events", EVENT, Content_Type="application/cloudevents+json")
    assert said.status == 200, said.body
    assert said.json["source"] == "device-twin/dev-1"
    assert said.json["events"][0]["data"]["properties"] == {"t": 1}
    again = await client.post("/v1/events", EVENT, Content_Type="application/cloudevents+json")
    assert again.json["repeat"] is True
    state = await client.get("/v1/actors/device-twin/dev-1")
    assert state.json["state"]["reports"] == 1


@pytest.mark.parametrize(
    ("body", "kind", "properties"),
    [
        (b'{"t":2}', "application/json", {"t": 2}),
        (b'"warm"', "application/vnd.x+json", {"value": "warm"}),
        (b"warm", "text/plain", {"value": "warm"}),
        (b"", "application/json", {}),
    ],
)
async def test_a_cloud_event_in_binary_mode(
    client: Client, body: bytes, kind: str, properties: object
) -> None:
    said = await client.post(
        "/v1/events", body, Content_Type=kind, Ce_Id="2", Ce_Source="dev%201", Ce_Type="reading",
        Ce_Specversion="1.0", Ce_Time="2026-01-01T00:00:00Z",
    )  # fmt: skip
    assert said.status == 200, said.body
    assert said.json["source"] == "device-twin/dev 1"
    assert said.json["events"][0]["data"]["properties"] == properties
    assert said.json["events"][0]["happened_at"] == "2026-01-01T00:00:00Z"


async def test_a_batch_of_cloud_events_is_answered_one_by_one(client: Client) -> None:
    batch = [EVENT, {**EVENT, "id": "2"}, {"id": "3"}, 4, {**EVENT, "id": "2"}]
    said = await client.post("/v1/events", batch, Content_Type="application/cloudevents-batch+json")
    assert said.status == 207
    assert [each.get("repeat") for each in said.json] == [False, False, None, None, True]
    fine = await client.post("/v1/events", [], Content_Type="application/cloudevents-batch+json")
    assert (fine.status, fine.json) == (200, [])


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", EVENT, 415),
        ("application/cloudevents+json", [], 400),
        ("application/cloudevents+json", {**EVENT, "data_base64": "eA=="}, 400),
        ("application/cloudevents-batch+json", {}, 400),
        ("application/cloudevents-batch+json", b"[", 400),
        ("application/cloudevents+json", b"x" * 2001, 413),
    ],
)
async def test_what_is_no_cloud_event_is_refused(
    client: Client, kind: str, body: Any, status: int
) -> None:
    assert (await client.post("/v1/events", body, Content_Type=kind)).status == status
