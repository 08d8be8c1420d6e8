"""Scaling that meets the end of the system, or a directory that says nothing: it ends, too."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, GetTimeoutError

from runtime.cluster.directory import Directory
from runtime.cluster.sharding import Sharding
from runtime.errors import AskTimeout, HostUnavailable, StartFailed
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from store.shards import ShardTable
from tests.unit.test_moving_actors import SharingHandle, SharingWorld, connected
from tests.unit.test_sharding import LIMIT_S, SHORT_S, Method, Played, PlayedHost
from tests.virtual_time import now_s, virtual_time


class Dying(PlayedHost):
    """Does not answer until it is killed."""

    def __init__(self, system: Played, name: str) -> None:
        super().__init__(system, name)
        self.asked, self.killed = asyncio.Event(), asyncio.Event()

    async def _ready(self) -> str:
        await self._until_killed()
        return self._name

    async def _give_shards(self, shards: Iterable[int], to: str) -> ShardTable:
        await self._until_killed()
        return self._system.table

    async def _drain(self) -> int:
        await self._until_killed()
        return 0

    async def _until_killed(self) -> None:
        self.asked.set()
        await self.killed.wait()
        raise ActorDiedError


def _directory(sharding: Sharding) -> Directory:
    """As far as it ends what is under way."""
    directory = Directory.__new__(Directory)
    directory._reviving = directory._starting = directory._keeping = None

    async def cancel() -> None:
        return None

    nothing: Any = SimpleNamespace(cancel=cancel)
    directory._dedicated = directory._workers = directory._stopping = nothing
    directory._sharding = sharding
    return directory


def _add(played: Played, dying: Dying) -> Coroutine[Any, Any, Any]:
    played.next = dying
    return played.sharding.add_host("host-2", LIMIT_S)


def _move(played: Played, dying: Dying) -> Coroutine[Any, Any, Any]:
    played.hosts["host-0"] = dying
    return played.sharding.move_shards([0], "host-1", LIMIT_S)


def _remove(played: Played, dying: Dying) -> Coroutine[Any, Any, Any]:
    played.table = played.table.given(sorted(played.table.of("host-1")), "host-1", "host-0")
    played.hosts["host-1"] = dying
    return played.sharding.remove_host("host-1", LIMIT_S)


@pytest.mark.parametrize("step", [_add, _move, _remove])
async def test_a_drain_ends_what_would_start_ended_hosts_again(
    step: Callable[[Played, Dying], Coroutine[Any, Any, Any]],
) -> None:
    played = Played()
    dying = Dying(played, "of the step")
    scaling = asyncio.ensure_future(step(played, dying))
    await dying.asked.wait()
    played.next = None
    await _directory(played.sharding)._cancel_starts()
    for name in list(played.hosts):
        played.end(name)
    dying.killed.set()
    with pytest.raises(StartFailed, match="being stopped"):
        await scaling
    assert not played.hosts


async def test_a_host_that_is_kept_is_not_started_again_by_a_drain() -> None:
    played = Played()
    played.end("host-1")
    learning, go_on = asyncio.Event(), asyncio.Event()
    open_store = played.open_store

    async def slow(settings: Settings) -> Played:
        learning.set()
        await go_on.wait()
        return await open_store(settings)

    played.open_store = slow  # type: ignore[method-assign]
    keeping = asyncio.ensure_future(played.sharding.keep_host("host-1"))
    await learning.wait()
    await _directory(played.sharding)._cancel_starts()
    go_on.set()
    with pytest.raises(StartFailed, match="being stopped"):
        await keeping
    assert sorted(played.hosts) == ["host-0"]


class Unmoved(PlayedHost):
    """Its answer is there in the very moment in which nobody waits for it any more."""

    def __init__(self, system: Played, name: str, error: Exception | None) -> None:
        super().__init__(system, name)
        self.asked, self.error = asyncio.Event(), error
        self.done = False

    async def _ready(self) -> str:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            for _ in range(3):  # turns that this takes
                await asyncio.sleep(0)
            self.done = True
            if self.error is not None:
                raise self.error from None
        return self._name


@pytest.mark.parametrize("error", [None, ActorDiedError()], ids=["ready", "dead"])
async def test_what_goes_on_though_it_was_to_end_starts_nothing(error: Exception | None) -> None:
    played = Played()
    played.end("host-0")  # which is to give
    played.hosts["host-1"] = unmoved = Unmoved(played, "host-1", error)
    moving = asyncio.ensure_future(played.sharding.move_shards([0], "host-1", LIMIT_S))
    await unmoved.asked.wait()
    await _directory(played.sharding)._cancel_starts()
    assert unmoved.done
    with pytest.raises(StartFailed, match="being stopped"):
        await moving
    assert sorted(played.hosts) == ["host-1"]


async def test_what_is_asked_when_the_system_ends_is_refused_and_starts_nothing() -> None:
    played = Played()
    played.end("host-1")
    await _directory(played.sharding)._cancel_starts()
    for asked in (
        played.sharding.add_host("host-2", LIMIT_S),
        played.sharding.move_shards(range(4096), "host-0", LIMIT_S),
        played.sharding.remove_host("host-0", LIMIT_S),
        played.sharding.keep_host("host-1"),
    ):
        with pytest.raises(StartFailed, match="being stopped"):
            await asked
    assert sorted(played.hosts) == ["host-0"]


async def test_whoever_leaves_takes_along_what_he_had_asked_for() -> None:
    played = Played()
    dying = Dying(played, "host-2")
    adding = asyncio.ensure_future(_add(played, dying))
    await dying.asked.wait()
    adding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await adding
    assert not played.sharding._under_way


@virtual_time
async def test_the_end_of_a_host_waits_its_time_and_no_longer_for_a_move_before_it() -> None:
    played = Played()
    dying = Dying(played, "host-0")
    moving = asyncio.ensure_future(_move(played, dying))
    await dying.asked.wait()
    with pytest.raises(HostUnavailable, match=r"host-2 is not .*: it was not ended within"):
        await played.sharding.remove_host("host-2", SHORT_S)
    assert not moving.done()
    dying.killed.set()
    del played.hosts["host-0"]  # the next one gives
    await moving
    await played.sharding.remove_host("host-2", SHORT_S)  # the other one had not kept its turn


@virtual_time
async def test_a_host_without_shards_that_hangs_is_ended_with_its_time() -> None:
    played = Played()
    await _remove(played, Dying(played, "host-1"))
    assert sorted(played.hosts) == ["host-0"]
    assert now_s() == LIMIT_S


@virtual_time
async def test_whoever_ends_a_host_leaves_its_turn_to_others_whatever_comes_of_it() -> None:
    played = Played()
    with pytest.raises(HostUnavailable, match="it is to stay: it has 2,048 shards"):
        await played.sharding.remove_host("host-1", LIMIT_S)
    played.store_away = 2
    await played.sharding.remove_host("host-2", LIMIT_S)
    await played.sharding.move_shards(range(4096), "host-0", LIMIT_S)
    await played.sharding.remove_host("host-1", LIMIT_S)
    assert sorted(played.hosts) == ["host-0"]


class SilentWorld(SharingWorld):
    """Its directory says nothing to a scaling."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error

    async def handle(self, name: str) -> SharingHandle:
        handle = SharingHandle(self, name)
        handle.__dict__["sharing"] = Method(self._say)  # a method of the directory
        return handle

    async def _say(self, limit_s: float) -> None:
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()


@virtual_time
async def test_scaling_of_which_the_directory_says_nothing_ends_with_its_time() -> None:
    system = ActorSystem.__new__(ActorSystem)
    system.connection = connected(SilentWorld())
    async with asyncio.timeout(3_600):  # or it would have no end
        with pytest.raises(AskTimeout, match=r"scale, at sharing: no answer within 145 s"):
            await system.scale(2)
    assert now_s() == 145.0


async def test_scaling_while_ray_does_not_answer_names_the_directory() -> None:
    system = ActorSystem.__new__(ActorSystem)
    system.connection = connected(SilentWorld(GetTimeoutError()))
    with pytest.raises(HostUnavailable, match=r"directory is not .*: GetTimeoutError"):
        await system.scale(2)
