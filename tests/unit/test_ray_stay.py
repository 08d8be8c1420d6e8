"""A program that has left its Ray: what it had of it is as what was drained."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError

from runtime.driver.rejoining import Rejoining
from runtime.errors import SystemNotFound
from runtime.process.ray_actors import RayActors
from runtime.process.world import World
from runtime.transport import ray_stay
from runtime.transport.ray_stay import RayStay, begin_stay


class Method:
    def remote(self, *arguments: Any) -> Any:
        async def answer() -> Any:
            return arguments

        return answer()


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
    assert await handle.join.remote(5.0) == (5.0,)
    stay.over = True
    with pytest.raises(ActorDiedError):
        handle.join.remote(5.0)

    begin_stay("another")  # the old one is of no use in it
    with pytest.raises(ActorDiedError):
        (await world.handle("directory")).join.remote(5.0)
    world.forget("directory")
    assert await (await world.handle("directory")).join.remote(6.0) == (6.0,)


def test_while_there_is_no_ray_there_is_no_process_and_it_is_said_why(stay: RayStay) -> None:
    world, adopted = World("mine"), list[Any]()
    rejoining = Rejoining(world, "mine", adopted.append)
    assert asyncio.run(rejoining.ask("join", 5.0)) == (5.0,)
    stay.over = True
    rejoining.ended("host-0")
    with pytest.raises(SystemNotFound, match=r"'mine' \(it has ended, and comes back\)$"):
        asyncio.run(rejoining.ensure())
    begin_stay("another")
    asyncio.run(rejoining.ensure())
    assert adopted == [(Rejoining.JOIN_S,)]


async def test_ray_itself_is_given_the_handle_that_it_gave(
    stay: RayStay, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[Any] = []
    monkeypatch.setattr(ray, "kill", lambda handle, no_restart: killed.append(handle))
    RayActors("mine").kill(await World("mine").handle("host-0"))
    assert killed == [ray.get_actor("host-0", namespace="mine")]
