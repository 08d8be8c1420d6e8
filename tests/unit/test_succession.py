"""A directory that Ray has made a successor of ends nothing of what that one goes on with."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError

from runtime.cluster.directory import Directory
from runtime.errors import AnotherSystem
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import ProcessKind, processes_among
from runtime.topology.status import DrainReport
from tests.virtual_time import VirtualLoop, now_s, settled, virtual_time

SETTINGS = Settings.model_validate({"event_store": {"type": "memory"}})
OTHERS = {"writer", "bus", "host-0"}
Mark = Callable[[], Awaitable[bytes]]


class PlayedProcess:
    """One that has nothing to flush; a call of it takes a second."""

    def __init__(self) -> None:
        self.drain = self

    async def remote(self) -> int:
        """Flushed."""
        await asyncio.sleep(1)
        return 0


class PlayedDirectory:
    """Whom Ray leads to."""

    def __init__(self, mark: Mark) -> None:
        self.mark = self
        self._mark = mark

    def remote(self) -> Awaitable[bytes]:
        return self._mark()


class PlayedActors:
    """The processes of a system, and whoever has its directory's name."""

    def __init__(self) -> None:
        self.names = OTHERS | {"directory"}
        self.leads_to: Mark | None = None

    def find(self, name: str) -> PlayedProcess | PlayedDirectory:
        """Whom Ray leads to."""
        if name != "directory":
            return PlayedProcess()
        if self.leads_to is None:
            raise ValueError("no actor of that name")
        return PlayedDirectory(self.leads_to)

    def processes(self, placement: Mapping[str, str]) -> dict[str, ProcessKind]:
        """Those that there are now."""
        return processes_among(self.names, placement)

    def end(self, name: str) -> None:
        """For good."""
        self.names.discard(name)


class Namespace(World):
    """What a directory that is not in a Ray acts on."""

    def __init__(self) -> None:
        super().__init__("n")
        self.played = PlayedActors()
        self.actors: Any = self.played
        self.ended = 0  #: how often the directory has ended itself

    def restarted(self) -> bool:
        return False

    def system(self, settings: Settings) -> str | None:
        return None

    def end(self) -> None:
        self.ended += 1


async def successor() -> bytes:
    return b"successor"


async def ended_for_good() -> bytes:
    raise ActorDiedError


@pytest.fixture
def world() -> Namespace:
    return Namespace()


def directory_in(world: Namespace) -> Directory:
    """One that Ray leads to."""
    directory = Directory("directory", SETTINGS.model_dump_json(), None, world=world)
    world.played.leads_to = directory.mark
    return directory


@virtual_time
async def test_a_directory_that_ray_leads_to_ends_the_others_and_lives_on(
    world: Namespace,
) -> None:
    report = await directory_in(world).stop(5.0)
    assert (world.played.names, world.ended, report.problems) == ({"directory"}, 0, ())


@virtual_time
async def test_a_directory_that_is_not_the_one_that_is_meant_ends_nothing(
    world: Namespace,
) -> None:
    with pytest.raises(AnotherSystem):
        await directory_in(world).stop(5.0, "of the system before")
    assert (world.played.names, world.ended) == (OTHERS | {"directory"}, 0)


@pytest.mark.parametrize("leads_to", [successor, ended_for_good, None])
@virtual_time
async def test_one_that_is_replaced_while_it_drains_ends_itself_and_nothing_else(
    world: Namespace, leads_to: Mark | None
) -> None:
    draining = asyncio.ensure_future(directory_in(world).stop(5.0))
    await settled()
    world.played.leads_to = leads_to
    report: DrainReport = await draining
    assert (world.played.names, world.ended) == (OTHERS | {"directory"}, 1)
    assert "Ray has made another directory" in report.problems[0]


@virtual_time
async def test_one_whose_successor_is_still_to_come_waits_for_it(world: Namespace) -> None:
    async def away() -> bytes:
        if now_s() < 4:
            raise ActorUnavailableError("directory", None)
        return await successor()

    draining = asyncio.ensure_future(directory_in(world).stop(5.0))
    await settled()
    world.played.leads_to = away
    await draining
    assert (world.played.names, world.ended) == (OTHERS | {"directory"}, 1)
    assert now_s() == pytest.approx(4, abs=0.2)


@virtual_time
async def test_an_answer_that_is_old_when_it_comes_is_asked_for_again(world: Namespace) -> None:
    """Meanwhile Ray may have made a successor."""
    directory = directory_in(world)

    async def late() -> bytes:
        world.played.leads_to = successor
        await asyncio.sleep(1)
        return await directory.mark()

    world.played.leads_to = late
    await directory.stop(5.0)
    assert (world.played.names, world.ended) == (OTHERS | {"directory"}, 1)


@virtual_time
async def test_one_that_is_replaced_while_it_ends_the_others_leaves_the_rest(
    world: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, loop = directory_in(world), asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)

    def end_slowly(name: str) -> None:
        loop.jump(1.0)  # the call to Ray's head blocks
        world.played.names.discard(name)
        world.played.leads_to = successor

    monkeypatch.setattr(world.played, "end", end_slowly)
    await directory.stop(5.0)
    assert (world.played.names, world.ended) == ({"directory", "host-0", "writer"}, 1)


@virtual_time
async def test_one_that_could_not_be_reached_for_a_while_goes_on(world: Namespace) -> None:
    directory = directory_in(world)

    async def away() -> bytes:
        if now_s() < 4:
            raise ActorUnavailableError("directory", None)
        return await directory.mark()

    world.played.leads_to = away
    await directory.stop(5.0)
    assert (world.played.names, world.ended) == ({"directory"}, 0)
