"""A driver's connection without Ray: over a world that a test plays, in the test's own loop
or in a courier's thread."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from itertools import count
from typing import Any, TypeVar

from runtime.driver.connection import Connection
from runtime.driver.courier import Loop
from runtime.driver.ref import ActorRef
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.status import Topology
from tests.unit.sending import PlayedHost

T = TypeVar("T")

HOST = "host-0"
NOW_US = 1_700_000_000_000_000


class OwnLoop:
    """The courier's work in the loop that the test runs in."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        self.closed = True


class _Method:
    """A method of a played Ray handle."""

    def __init__(self, played: Callable[..., Awaitable[Any]]) -> None:
        self.remote = played


class PlayedHandle:
    """The Ray handle of any process: registers classes and locates dedicated hosts."""

    def __init__(self, world: "PlayedWorld", name: str) -> None:
        self._world, self._name = world, name
        self.register = _Method(self._register)
        self.locate = _Method(self._locate)

    async def _register(self, pickled: bytes) -> None:
        self._world.registered.append((self._name, pickled))

    async def _locate(self, source: str, pickled: bytes | None) -> str:
        self._world.located.append((source, pickled))
        if self._world.locating is not None:
            await self._world.locating()
        return source


class PlayedWorld(World):
    """Every process is there at once; every host is played."""

    def __init__(self, make: Callable[[], PlayedHost] = PlayedHost) -> None:
        super().__init__("played")
        self._make = make
        self._random = count(1)
        self.hosts: dict[str, PlayedHost] = {}
        self.registered: list[tuple[str, bytes]] = []
        self.located: list[tuple[str, bytes | None]] = []
        self.locating: Callable[[], Awaitable[None]] | None = None

    async def handle(self, name: str) -> PlayedHandle:
        return PlayedHandle(self, name)

    async def caller(self, name: str) -> PlayedHost:
        return self.host(name)

    def host(self, name: str) -> PlayedHost:
        """The host of a name."""
        return self.hosts.setdefault(name, self._make())

    async def aside(self, work: Callable[[], T]) -> T:
        return work()  # no thread: tests in virtual time wait for none

    def now_us(self) -> int:
        return NOW_US

    def random(self, size: int) -> bytes:
        return next(self._random).to_bytes(size, "big")


def connection(
    world: World, courier: Loop | None = None, *, timeout_s: float = 20.0, **placement: str
) -> Connection:
    """A connection to a system of one pooled host. Without a courier it has a thread."""
    settings = Settings.model_validate(
        {"actor_system": {"actor_timeout_ms": int(timeout_s * 1000), "placement": placement}}
    )
    topology = Topology(settings_json=settings.model_dump_json(), hosts=(HOST,))
    return Connection(topology, world, courier)


def ref(to: Connection, source: str = "counter/a") -> ActorRef[Any]:
    """An actor by its source alone."""
    return ActorRef(to, None, source)
