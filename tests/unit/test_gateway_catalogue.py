"""Classes that drivers send, and that hosts lose: the gateway brings them back, or says so."""

import pytest

from runtime.host.host import Host
from tests.elevator import Elevator, Lift
from tests.unit.http import Client, serving
from thornback.testing.in_process import InProcessSystem

NORTH = "/v1/actors/elevator/north"


def host_of(client: Client) -> Host:
    """The one host, as it is."""
    assert isinstance(client.system, InProcessSystem)
    host = client.system._processes._named["host-0"]
    assert isinstance(host, Host)
    return host


def forget(client: Client) -> bytes:
    """Have the host know nothing of the class any more, as after a restart; its bytes."""
    types = host_of(client)._classes.types
    types._known.pop("elevator").handlers.clear()
    host_of(client)._classes._fingerprints.pop("elevator")
    return types.sent.pop("elevator")


async def test_a_host_that_has_lost_a_class_is_brought_it() -> None:
    async with serving() as client:
        await client.system.actor(Elevator, "north").ask(Lift(floors=1))
        assert (await client.post(f"{NORTH}/lift", {"floors": 2})).status == 200
        assert "/v1/actors/elevator/{name}/lift" in (await _openapi(client))
        forget(client)
        answer = await client.post("/v1/actors/elevator/south/lift", {"floors": 3})
        assert (answer.status, answer.json["events"][0]["version"]) == (200, 1)
        assert (await client.get("/v1/actors/elevator/west")).status == 200


async def test_lines_for_a_class_that_was_lost_are_run_when_it_is_brought() -> None:
    async with serving() as client:
        await client.system.actor(Elevator, "north").ask(Lift(floors=1))
        await client.post(f"{NORTH}/lift", {"floors": 2})
        await _openapi(client)
        forget(client)
        line = b'{"source":"elevator/south","message":"lift","data":{"floors":1}}\n'
        said = await client.post("/v1/commands", line * 3, Content_Type="application/x-ndjson")
        assert said.body.count(b'"repeat":false') == 3


async def test_a_class_that_nobody_has_is_away_and_not_unknown() -> None:
    async with serving() as client:
        await client.system.actor(Elevator, "north").ask(Lift(floors=1))
        forget(client)
        answer = await client.post("/v1/actors/elevator/south/lift", {"floors": 3})
        assert (answer.status, answer.json["type"]) == (503, "urn:thornback:problem:code-away")
        assert (await client.post("/v1/actors/teapot/x/lift", {})).status == 404


async def test_an_offer_replaces_no_class_that_a_host_knows() -> None:
    async with serving() as client:
        await client.system.actor(Elevator, "north").ask(Lift(floors=1))
        host = host_of(client)
        known = host._classes.types.get("elevator")
        handle = await client.system.connection.world.handle("host-0")
        await handle.offer.remote("elevator", b"not even a class")
        assert host._classes.types.get("elevator") is known


@pytest.mark.parametrize("code", [b"", b"\x80\x04nonsense"])
async def test_what_is_offered_and_is_no_class_is_refused(code: bytes) -> None:
    async with serving() as client:
        handle = await client.system.connection.world.handle("host-0")
        with pytest.raises(Exception, match="its hosts cannot load it"):
            await handle.offer.remote("elevator", code)


async def _openapi(client: Client) -> str:
    """The document, when the elevator is in it."""
    while "elevator" not in (said := (await client.get("/openapi.json")).body.decode()):
        pass
    return said
