"""A driver's way back to a system that was launched anew, and the drain of the one there is."""

import asyncio
from typing import Any, cast

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError

from runtime.driver.rejoining import Rejoining
from runtime.errors import (
    AnotherSystem,
    BusUnavailable,
    ConnectionClosed,
    HostUnavailable,
    SystemNotFound,
)
from runtime.partition.log_access import LogAccess
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.status import DrainReport, Topology
from runtime.wire.polls import Polled, pack_polled
from store.errors import SystemReplaced
from tests.virtual_time import now_s, settled, virtual_time

REPORT = DrainReport(processes=())


class PlayedDirectory:
    """One directory, and how it was ended."""

    def __init__(self, identity: str = "first") -> None:
        self.identity = identity
        self.stop = self
        self.stopped = 0
        self.answer: asyncio.Future[DrainReport] = asyncio.get_running_loop().create_future()
        self.killed = False

    async def remote(self, _timeout_s: float, meant: str = "") -> DrainReport:
        """Stop the system, if it is the one that is meant."""
        if meant not in ("", self.identity):
            refusal = AnotherSystem("n")
            raise RayTaskError("stop", "", refusal).as_instanceof_cause()
        self.stopped += 1
        return await self.answer


class PlayedWorld(World):
    """A namespace whose directory is whichever a test says."""

    def __init__(self) -> None:
        super().__init__("n")
        self.actors: Any = self
        self.directory: PlayedDirectory | None = PlayedDirectory()
        self._known: PlayedDirectory | None = None

    async def handle(self, name: str) -> PlayedDirectory:
        """Looked up once, as from Ray."""
        self._known = self._known or self.directory
        if self._known is None:
            raise ValueError("no actor of that name")
        return self._known

    def forget(self, name: str) -> None:
        self._known = None

    def kill(self, handle: PlayedDirectory) -> None:
        """For good."""
        handle.killed = True


def rejoining(world: World) -> Rejoining:
    """A connection's way back, whose topology nobody looks at."""
    return Rejoining(world, "n", lambda _: None, directory="first")


@virtual_time
async def test_a_drain_ends_the_directory_that_did_it_and_no_other() -> None:
    world = PlayedWorld()
    first, way = await world.handle("directory"), rejoining(world)
    draining = asyncio.ensure_future(way.drain(5.0))
    await settled()
    way.ended("host-0")  # a channel noticed; what is looked up from here on is the next system
    world.directory = PlayedDirectory()
    first.answer.set_result(REPORT)
    assert await draining == REPORT
    assert first.killed
    assert not world.directory.killed


@virtual_time
async def test_a_drain_whose_directory_is_ended_by_a_launch_does_not_drain_the_next_system() -> (
    None
):
    world = PlayedWorld()
    first = await world.handle("directory")
    draining = asyncio.ensure_future(rejoining(world).drain(5.0))
    await settled()
    world.directory = PlayedDirectory()
    first.answer.set_exception(ActorDiedError())
    with pytest.raises(ActorDiedError):
        await draining
    assert (first.stopped, world.directory.stopped) == (1, 0)


@virtual_time
async def test_where_there_is_no_directory_nothing_is_drained() -> None:
    world = PlayedWorld()
    world.directory = None
    with pytest.raises(SystemNotFound):
        await rejoining(world).drain(5.0)


@virtual_time
async def test_a_drain_that_finds_the_next_system_leaves_it_alone_unless_it_is_meant() -> None:
    world = PlayedWorld()
    way = rejoining(world)
    second = world.directory = PlayedDirectory("second")  # before Ray has found the first one
    with pytest.raises(RayTaskError) as refused:
        await way.drain(5.0)
    assert isinstance(refused.value.cause, AnotherSystem)
    assert (second.stopped, second.killed) == (0, False)

    second.answer.set_result(REPORT)
    assert await way.drain(5.0) == REPORT  # whoever says so again has heard of it
    assert (second.stopped, second.killed) == (1, True)


@virtual_time
async def test_a_drain_after_the_end_of_the_system_that_was_known_means_the_one_there_is() -> None:
    world = PlayedWorld()
    way = rejoining(world)
    second = world.directory = PlayedDirectory("second")
    way.ended("host-0")  # which says nothing of its system: a process may leave its machine
    with pytest.raises(RayTaskError):
        await way.drain(5.0)
    way.ended("directory")
    second.answer.set_result(REPORT)
    assert await way.drain(5.0) == REPORT
    assert second.killed


class Moving:
    """A directory that leaves its machine: Ray says of it that it has died, and has its name."""

    def __init__(self, error: type[RayError], there_again_s: float) -> None:
        self.statuses = self
        self._error, self._there_again_s = error, there_again_s

    async def remote(self) -> str:
        """How all are, once it is there again."""
        if now_s() < self._there_again_s:
            raise self._error if self._error is ActorDiedError else self._error("moving", None)
        return "all is well"


@pytest.mark.parametrize("error", [ActorDiedError, ActorUnavailableError])
@virtual_time
async def test_a_directory_that_moves_to_another_machine_is_waited_for(
    error: type[RayError],
) -> None:
    world = PlayedWorld()
    world.directory = cast(PlayedDirectory, Moving(error, there_again_s=3.0))
    assert await rejoining(world).ask("statuses", away_s=20.0) == "all is well"


@virtual_time
async def test_of_one_that_moves_and_does_not_come_it_is_not_said_that_there_is_no_system() -> None:
    world = PlayedWorld()
    world.directory = cast(PlayedDirectory, Moving(ActorDiedError, there_again_s=100.0))
    with pytest.raises(HostUnavailable, match="perhaps on another machine"):
        await rejoining(world).ask("statuses", away_s=20.0)
    assert now_s() == pytest.approx(20.0, abs=0.2)


@virtual_time
async def test_a_system_that_ends_while_its_directory_is_waited_for_is_not_found() -> None:
    world = PlayedWorld()
    world.directory = cast(PlayedDirectory, Moving(ActorDiedError, there_again_s=100.0))
    asked = asyncio.ensure_future(rejoining(world).ask("statuses", away_s=20.0))
    await asyncio.sleep(1)
    world.directory = None
    with pytest.raises(SystemNotFound):
        await asked


class PlayedBus:
    """A bus that answers as long as it has not ended."""

    def __init__(self, head: int) -> None:
        self.head = head
        self.ended = False

    async def call(self, method: str, request: bytes) -> bytes:
        """Where the log stands."""
        if self.ended:
            raise ActorDiedError
        return pack_polled(Polled(self.head, True, b""))

    def look_again(self) -> None:
        """It is where it was."""

    def close(self) -> None:
        """Nothing is open."""


class SlowBus(PlayedBus):
    """A bus that has ended, of which the first who asked hears nothing, and the others so."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked = self.closed = 0

    async def call(self, method: str, request: bytes) -> bytes:
        self.asked += 1
        if self.asked == 1:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.asked)
        raise ActorDiedError

    def close(self) -> None:
        self.closed += 1


class BusWorld(World):
    """A world with one bus."""

    def __init__(self) -> None:
        super().__init__("n")
        self.bus: PlayedBus | None = PlayedBus(1)

    async def caller(self, name: str) -> PlayedBus:
        if self.bus is None:
            raise ValueError("no actor of that name")
        return self.bus


async def test_the_bus_of_a_system_launched_anew_is_found_by_who_knew_the_one_before() -> None:
    world, rejoined = BusWorld(), 0

    async def rejoin() -> None:
        nonlocal rejoined
        rejoined += 1

    log = LogAccess(world, Settings(), rejoin=rejoin)
    assert await log.head() == 1
    assert world.bus is not None
    world.bus.ended = True
    world.bus = PlayedBus(7)
    assert await log.head() == 7
    assert rejoined == 3  # before each question that is put


async def test_where_there_is_no_system_any_more_the_log_says_so() -> None:
    world = BusWorld()

    async def rejoin() -> None:
        if world.bus is None:
            raise SystemNotFound("n")

    log = LogAccess(world, Settings(), rejoin=rejoin)
    assert await log.head() == 1
    world.bus = None
    with pytest.raises(SystemNotFound):
        await log.head()


async def test_whoever_asks_a_bus_that_has_ended_for_the_first_time_hears_why() -> None:
    world, replaced = BusWorld(), False
    world.bus = None

    async def rejoin() -> None:
        if replaced:
            raise SystemReplaced("n", "another system")

    def ended(name: str) -> None:
        nonlocal replaced
        replaced = name == "bus"

    log = LogAccess(world, Settings(), rejoin=rejoin, ended=ended)
    with pytest.raises(SystemReplaced):
        await log.head()


async def test_who_still_asks_when_the_log_is_closed_opens_nothing() -> None:
    world, found, looking = BusWorld(), asyncio.Event(), asyncio.Event()

    async def rejoin() -> None:
        looking.set()
        await found.wait()

    log = LogAccess(world, Settings(), rejoin=rejoin)
    asking = asyncio.ensure_future(log.head())
    await looking.wait()
    await log.close()
    found.set()
    with pytest.raises(ConnectionClosed):
        await asking
    with pytest.raises(ConnectionClosed):
        await log.committed_head()


@virtual_time
async def test_of_questions_at_a_bus_that_has_ended_each_has_an_answer_or_a_typed_error() -> None:
    world, slow = BusWorld(), SlowBus()
    world.bus = slow
    ended: list[str] = []

    async def rejoin() -> None:
        """There is always a system."""

    log = LogAccess(world, Settings(), rejoin=rejoin, ended=ended.append)
    asking = [asyncio.ensure_future(log.head()) for _ in range(3)]
    await settled()
    world.bus = bus = PlayedBus(7)
    unheard, *heard = await asyncio.gather(*asking, return_exceptions=True)
    assert heard == [7, 7]
    assert isinstance(unheard, BusUnavailable)
    assert (slow.closed, ended) == (1, ["bus"])
    assert await log.head() == bus.head


@virtual_time
async def test_who_hears_nothing_of_a_bus_that_was_drained_meanwhile_is_told_so() -> None:
    world, slow = BusWorld(), SlowBus()
    world.bus = slow
    log = LogAccess(world, Settings())
    asking = [asyncio.ensure_future(log.head()) for _ in range(2)]
    await settled()
    unheard, heard = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(unheard), type(heard)] == [BusUnavailable, SystemNotFound]


async def test_who_still_looks_for_the_bus_when_the_log_is_closed_calls_nobody() -> None:
    found, looking = asyncio.Event(), asyncio.Event()

    class SlowWorld(BusWorld):
        async def caller(self, name: str) -> PlayedBus:
            looking.set()
            await found.wait()
            return await super().caller(name)

    log = LogAccess(SlowWorld(), Settings())
    asking = asyncio.ensure_future(log.head())
    await looking.wait()
    await log.close()
    found.set()
    with pytest.raises(ConnectionClosed):
        await asking


async def test_who_finds_no_bus_where_another_question_had_found_one_asks_for_the_next_system() -> (
    None
):
    there, looking = asyncio.Event(), asyncio.Event()
    lookups = 0

    class OnceSlowWorld(BusWorld):
        async def caller(self, name: str) -> PlayedBus:
            nonlocal lookups
            lookups += 1
            if lookups == 1:
                looking.set()
                await there.wait()
            return await super().caller(name)

    world, next_bus = OnceSlowWorld(), PlayedBus(7)
    first, ended = world.bus, False

    async def rejoin() -> None:
        if ended:
            world.bus = next_bus

    def noticed(name: str) -> None:
        nonlocal ended
        ended = True

    log = LogAccess(world, Settings(), rejoin=rejoin, ended=noticed)
    slow = asyncio.ensure_future(log.head())
    await looking.wait()
    assert await log.head() == 1
    assert first is not None
    first.ended, world.bus = True, None  # drained, and launched anew
    there.set()
    assert await slow == 7


class Joining:
    """A directory that is asked how its system looks, and answers by hand."""

    def __init__(self) -> None:
        self.join = self
        self.answers: list[asyncio.Future[Topology]] = []

    def remote(self, _timeout_s: float, _release: str) -> "asyncio.Future[Topology]":
        """One more question."""
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


@virtual_time
async def test_a_system_that_ends_while_it_says_how_it_looks_is_not_taken_for_the_next_one() -> (
    None
):
    world, directory, adopted = PlayedWorld(), Joining(), list[Any]()
    world.directory = directory  # type: ignore[assignment]
    way = Rejoining(world, "n", adopted.append)
    way.ended("host-0")
    first = asyncio.ensure_future(way.ensure())
    await settled()
    way.ended("host-1")  # of the system that is about to answer: it is drained by now
    second, third = (
        Topology(settings_json="", hosts=(), directory=each) for each in ("second", "third")
    )
    directory.answers[0].set_result(second)
    await first
    again = asyncio.ensure_future(way.ensure())
    await settled()
    directory.answers[1].set_result(third)
    await again
    await way.ensure()
    assert adopted == [second, third]
