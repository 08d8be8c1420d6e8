"""Commands, states and histories over HTTP, on a real socket."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from actors.ids import event_id
from tests.unit.http import Client, serving
from tests.unit.web_devices import Boiler, Heat

KITCHEN = "/v1/actors/boiler/kitchen"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with serving() as client:
        yield client


async def test_a_command_is_answered_with_its_events_as_they_stand_in_the_log(
    client: Client,
) -> None:
    answer = await client.post(
        f"{KITCHEN}/heat", {"celsius": 60}, Happened_At="2026-07-01T12:00:00.5Z"
    )
    assert answer.status == 200, answer.body
    (event,) = answer.json["events"]
    assert answer.json["source"] == event["source"] == "boiler/kitchen"
    assert answer.json["repeat"] is False
    assert (event["version"], event["position"], event["kind"]) == (1, 1, "device")
    assert (event["event_type"], event["data"]) == ("heated", {"celsius": 60.0})
    assert event["happened_at"] == "2026-07-01T12:00:00.500000Z"
    command_id = UUID(answer.headers["Idempotency-Key"])
    assert event["event_id"] == str(UUID(bytes=event_id(command_id.bytes, 0)))
    (stored,) = (await client.get(f"{KITCHEN}/events")).json["events"]
    assert stored == event


async def test_a_driver_and_a_client_of_http_see_the_same_actor(client: Client) -> None:
    await client.system.actor(Boiler, "kitchen").ask(Heat(celsius=40))
    answer = await client.post(f"{KITCHEN}/heat", {"celsius": 50})
    assert answer.json["events"][0]["version"] == 2
    state = await client.get(KITCHEN)
    assert state.json == {
        "source": "boiler/kitchen", "version": 2, "state": {"celsius": 50.0, "services": 0}
    }  # fmt: skip
    assert (await client.system.actor(Boiler, "kitchen").state()).celsius == 50


async def test_values_of_python_have_their_forms_of_json(client: Client) -> None:
    by = str(uuid4())
    body = {"by": by, "on": "2026-01-02T03:04:05+01:00", "parts": ["ø", "☃"]}
    answer = await client.post(f"{KITCHEN}/service", body)
    assert answer.status == 200, answer.body
    data = answer.json["events"][0]["data"]
    assert data == {"by": by, "on": "2026-01-02T03:04:05+01:00", "parts": ["ø", "☃"]}


@pytest.mark.parametrize("key", [str(UUID(int=7)), '"quoted"', "order 17", "ø"])
async def test_a_key_takes_effect_once_and_the_answer_says_which(client: Client, key: str) -> None:
    first = await client.post(f"{KITCHEN}/heat", {"celsius": 60}, Idempotency_Key=key)
    again = await client.post(f"{KITCHEN}/heat", {"celsius": 70}, Idempotency_Key=key)
    assert (first.json["repeat"], again.json["repeat"]) == (False, True)
    assert first.json["events"] == again.json["events"]
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"]
    assert (await client.get(KITCHEN)).json["version"] == 1


async def test_a_text_is_a_key_of_one_actor_and_a_uuid_is_one_everywhere(client: Client) -> None:
    for name in ("kitchen", "cellar"):
        answer = await client.post(
            f"/v1/actors/boiler/{name}/heat", {"celsius": 1}, Idempotency_Key="1"
        )
        assert answer.json["repeat"] is False
    key = str(uuid4())
    answer = await client.post(f"{KITCHEN}/heat", {"celsius": 1}, Idempotency_Key=key)
    repeat = client.system.actor(Boiler, "kitchen").ask(Heat(celsius=1), id=UUID(key))
    assert str((await repeat)[0].id) == answer.json["events"][0]["event_id"]
    assert repeat.repeated
    elsewhere = await client.post(
        "/v1/actors/boiler/cellar/heat", {"celsius": 1}, Idempotency_Key=key
    )
    assert elsewhere.status == 422


async def test_a_state_that_a_client_has_is_not_sent_again(client: Client) -> None:
    first = await client.get(KITCHEN)
    assert first.json["version"] == 0, "an actor is as it begins until something has happened"
    tag = first.headers["ETag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        again = await client.get(KITCHEN, If_None_Match=known)
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    await client.post(f"{KITCHEN}/heat", {"celsius": 60})
    changed = await client.get(KITCHEN, If_None_Match=tag)
    assert (changed.status, changed.json["version"]) == (200, 1)


async def test_a_history_comes_in_pages(client: Client) -> None:
    for celsius in range(5):
        await client.post(f"{KITCHEN}/heat", {"celsius": celsius})
    page = (await client.get(f"{KITCHEN}/events?limit=2")).json
    assert [each["version"] for each in page["events"]] == [1, 2]
    assert page["next"] == 2
    rest = (await client.get(f"{KITCHEN}/events?after=2&limit=3")).json
    assert [each["data"]["celsius"] for each in rest["events"]] == [2, 3, 4]
    assert rest["next"] is None
    assert (await client.get("/v1/actors/nobody/x/events")).json["events"] == []


async def test_a_name_may_have_slashes_and_any_letters(client: Client) -> None:
    answer = await client.post("/v1/actors/boiler/a%2Fb%20%C3%B8/heat", {"celsius": 1})
    assert answer.json["source"] == "boiler/a/b ø"
    assert (await client.get("/v1/actors/boiler/a%2Fb%20%C3%B8")).json["version"] == 1


async def test_who_is_there_comes_in_pages(client: Client) -> None:
    for name in ("b", "a", "c%2Fd"):
        await client.post(f"/v1/actors/boiler/{name}/heat", {"celsius": 1})
    await client.post("/v1/actors/boiler/a/heat", {"celsius": 2})
    page = (await client.get("/v1/actors/boiler?limit=2")).json
    first, second = page["actors"]
    assert (first["name"], first["version"], first["event_type"]) == ("a", 2, "heated")
    assert (second["name"], second["version"]) == ("b", 1)
    assert page["next"] == "b"
    rest = (await client.get("/v1/actors/boiler?after=b")).json
    assert ([each["name"] for each in rest["actors"]], rest["next"]) == (["c/d"], None)
    assert (await client.get("/v1/actors/nobody")).json["actors"] == []
