"""A program that has left its Ray: what it had of it is as what was drained."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from weakref import ref as weak

import pytest
import ray
from ray.exceptions import ActorDiedError

from actors.actor import Command
from runtime.cluster.launching import launch
from runtime.driver import directory_link
from runtime.driver.directory_link import join
from runtime.driver.rejoining import Rejoining
from runtime.errors import AskTimeout, LaunchFailed, SystemNotFound
from runtime.process.aside import Aside
from runtime.process.ray_actors import RayActors
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.status import Topology
from runtime.transport import ray_stay
from runtime.transport.ray_stay import InNoRay, RayStay, begin_stay
from tests.unit.connecting import PlayedHandle, PlayedWorld, connection, ref

LIMIT_S = 30.0


class Method:
    async def remote(self, timeout_s: float, _release: str = "") -> Topology:
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
    stay.end()
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
    stay.end()
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


class Slow:
    """A method whose answers never come."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def remote(self, *_: Any) -> Any:
        self.asked.set()
        return asyncio.get_running_loop().create_future()


async def test_who_waits_for_an_answer_of_the_ray_that_ends_waits_no_longer(
    stay: RayStay, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    monkeypatch.setattr(ray, "get_actor", lambda name, namespace: SimpleNamespace(stop=slow))
    draining = asyncio.ensure_future(Rejoining(World("mine"), "mine", lambda _: None).drain(5.0))
    assert await asyncio.to_thread(slow.asked.wait, LIMIT_S)
    threading.Thread(target=stay.end).start()
    with pytest.raises(ActorDiedError):
        await asyncio.wait_for(draining, LIMIT_S)


async def test_questions_to_a_head_that_has_ended_keep_no_others_from_the_next_one(
    stay: RayStay, monkeypatch: pytest.MonkeyPatch
) -> None:
    never, asked = threading.Event(), threading.Semaphore(0)

    def get_actor(name: str, namespace: str) -> Any:
        asked.release()
        never.wait()

    world, handle = World("mine"), ray.get_actor("any", namespace="mine")
    with monkeypatch.context() as ended:
        ended.setattr(ray, "get_actor", get_actor)
        looking = [asyncio.ensure_future(world.handle(f"host-{n}")) for n in range(9)]
        for _ in range(Aside.THREADS):
            assert await asyncio.to_thread(asked.acquire, timeout=LIMIT_S)
        stay.end()
        for each in looking:
            with pytest.raises(InNoRay):
                await asyncio.wait_for(each, LIMIT_S)
    begin_stay("another")
    found = await asyncio.wait_for(world.handle("host-0"), LIMIT_S)
    assert found.of_ray() is handle
    never.set()


@pytest.mark.parametrize("said", [SystemExit(0), RuntimeError("no core worker")])
def test_what_ray_says_when_it_was_left_meanwhile_is_that_there_is_none(
    said: BaseException, stay: RayStay, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_actor(name: str, namespace: str) -> Any:
        stay.end()
        raise said

    monkeypatch.setattr(ray, "get_actor", get_actor)
    with pytest.raises(SystemNotFound, match="it has ended, and comes back"):
        join("mine", LIMIT_S)
    with pytest.raises(LaunchFailed, match="it has ended, and comes back"):
        launch(Settings(), 1.0)


def test_who_connects_while_the_ray_ends_is_told_so_though_its_head_answers_nobody(
    stay: RayStay, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()

    def get_actor(name: str, namespace: str) -> Any:
        threading.Thread(target=stay.end).start()
        never.wait()

    monkeypatch.setattr(ray, "get_actor", get_actor)
    with pytest.raises(SystemNotFound, match="it has ended, and comes back"):
        join("mine", LIMIT_S)
    never.set()


@pytest.mark.usefixtures("stay")
def test_a_head_that_never_answers_costs_who_connects_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    never = threading.Event()
    monkeypatch.setattr(ray, "get_actor", lambda name, namespace: never.wait())
    monkeypatch.setattr(directory_link, "_GRACE_S", 0.0)
    monkeypatch.setattr(directory_link, "_HEAD_S", 0.01)
    with pytest.raises(SystemNotFound, match="head does not answer"):
        join("mine", 0.01)
    never.set()


def test_in_a_task_of_ray_s_own_its_thread_asks_which_has_ray_s_locks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_stay._Now, "stay", None)
    locked = threading.RLock()

    def get_actor(name: str, namespace: str) -> Any:
        assert locked.acquire(blocking=False), "in another thread"
        raise RuntimeError("asked")

    monkeypatch.setattr(ray, "get_actor", get_actor)
    with locked, pytest.raises(RuntimeError, match="asked"):
        join("mine", LIMIT_S)


class Given:
    """What Ray gives: it ends the program where it is given back while Ray is being left."""

    def __init__(self) -> None:
        self.stop = Slow()


async def test_what_ray_gave_is_kept_while_ray_is_left(stay: RayStay) -> None:
    given = Given()
    there, handle = weak(given), stay.handle(given)
    asking = asyncio.ensure_future(handle.stop.remote())
    assert await asyncio.to_thread(given.stop.asked.wait, LIMIT_S)
    stay.end()
    with pytest.raises(ActorDiedError):
        await asking
    del given, handle, asking
    gc.collect()
    assert there() is not None
