"""A program that has left its Ray: what it had of it is as what was drained."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError

from actors.actor import Command
from runtime.driver.rejoining import Rejoining
from runtime.errors import AskTimeout, SystemNotFound
from runtime.process.ray_actors import RayActors
from runtime.process.world import World
from runtime.topology.status import Topology
from runtime.transport import ray_stay
from runtime.transport.ray_stay import InNoRay, RayStay, begin_stay
from tests.unit.connecting import PlayedHandle, PlayedWorld, connection, ref


class Method:
    async def remote(self, timeout_s: float) -> Topology:
        """How a system looks, and for how long somebody was ready to wait for that."""
        return asked_for(timeout_s)


def asked_for(timeout_s: float) -> Topology:
    return Topology(settings_json="", hosts=(f"{timeout_s} s",))


@pytest.fixture
def stay(monkeypatch: pytest.MonkeyPatch) -> Iterator[RayStay]:
    """This program has joined a Ray in which every process has a method `join`."""
    monkeypatch.setattr(ray_stay._Now, "stay", None)
    handle = SimpleNamespace(join=Method())
    monkeypatch.setattr(ray, "get_actor", lambda name, namespace: handle)
    yield begin_stay("it has ended, and comes back")
    ray_stay._Now.stay = None


async def test_a_handle_of_the_ray_before_is_that_of_a_dead_process(stay: RayStay) -> None:
    world = World("mine")
    handle = await world.handle("directory")
    assert await handle.join.remote(5.0) == asked_for(5.0)
    stay.over = True
    with pytest.raises(ActorDiedError):
        handle.join.remote(5.0)

    begin_stay("another")  # the old one is of no use in it
    with pytest.raises(ActorDiedError):
        (await world.handle("directory")).join.remote(5.0)
    world.forget("directory")
    assert await (await world.handle("directory")).join.remote(6.0) == asked_for(6.0)


def test_while_there_is_no_ray_there_is_no_process_and_it_is_said_why(stay: RayStay) -> None:
    world, adopted = World("mine"), list[Any]()
    rejoining = Rejoining(world, "mine", adopted.append)
    assert asyncio.run(rejoining.ask("join", 5.0)) == asked_for(5.0)
    stay.over = True
    rejoining.ended("host-0")
    with pytest.raises(SystemNotFound, match=r"'mine' \(it has ended, and comes back\)$"):
        asyncio.run(rejoining.ensure())
    begin_stay("another")
    asyncio.run(rejoining.ensure())
    assert adopted == [asked_for(Rejoining.JOIN_S)]


async def test_ray_itself_is_given_the_handle_that_it_gave(
    stay: RayStay, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[Any] = []
    monkeypatch.setattr(ray, "kill", lambda handle, no_restart: killed.append(handle))
    RayActors("mine").kill(await World("mine").handle("host-0"))
    assert killed == [ray.get_actor("host-0", namespace="mine")]


class Anything(Command):
    """Anything at all."""


class OfNoRay(PlayedWorld):
    async def handle(self, name: str) -> PlayedHandle:
        raise InNoRay("the Ray has ended, and comes back")


def test_who_waits_in_vain_meanwhile_is_told_why() -> None:
    to = connection(OfNoRay())  # in a courier's thread
    replies = [ref(to).ask(Anything())]
    for reply in replies:
        said = ""
        while "not available" not in said:  # the courier may not have come to it yet
            with pytest.raises(AskTimeout) as told:
                reply.result(timeout_s=0.01)
            said = str(told.value)
        assert said.startswith("counter/a: no answer within 0.01 s: host-0 is not available: ")
        assert "the Ray has ended, and comes back" in said
        if len(replies) == 1:  # one that waits behind the first, and was never tried
            replies.append(ref(to).ask(Anything()))
    to.close()
