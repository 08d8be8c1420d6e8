"""Processes that answer calls over real sockets, and who calls them: no Ray."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ray.exceptions import ActorUnavailableError

from runtime.transport.caller import Caller
from runtime.transport.loopback import Address, Server

Method = Callable[[bytes], Awaitable[bytes]]


class _Remote:
    """A method of a Ray actor's handle."""

    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self._method = method

    def remote(self, *arguments: Any) -> Awaitable[Any]:
        return self._method(*arguments)


class Process:
    """A process that answers calls, and the handle that Ray would give of it."""

    def __init__(self, **methods: Method) -> None:
        self.methods = methods
        self.server = Server(methods)
        self.looked_up = 0
        self.through_ray: list[bytes] = []
        self.away = False
        self.changed: dict[str, Any] = {}  #: what Ray tells wrongly of its address
        self.address = _Remote(self._address)
        for name in methods:
            setattr(self, name, _Remote(self._through_ray))

    async def _address(self) -> Address:
        self.looked_up += 1
        if self.away:
            raise ActorUnavailableError("it is away", None)
        return (await self.server.address())._replace(**self.changed)

    async def _through_ray(self, request: bytes) -> bytes:
        if self.away:
            raise ActorUnavailableError("it is away", None)
        self.through_ray.append(request)
        return b"through Ray: " + request

    def dies(self) -> None:
        """Its connections end; the next incarnation listens elsewhere."""
        self.server.close()
        self.server = Server(self.methods)


class Held:
    """A method whose answers are given by hand."""

    def __init__(self) -> None:
        self.called: dict[bytes, asyncio.Future[bytes]] = {}
        self.arrived = asyncio.Event()

    async def __call__(self, request: bytes) -> bytes:
        self.called[request] = asyncio.get_running_loop().create_future()
        self.arrived.set()
        return await self.called[request]

    async def has(self, *requests: bytes) -> None:
        """Wait until these have arrived."""
        while not self.called.keys() >= set(requests):
            self.arrived.clear()
            await self.arrived.wait()


class Machine:
    """What runs and calls here; all of it ends with the test."""

    def __init__(self) -> None:
        self._processes: list[Process] = []
        self._callers: list[Caller] = []

    def process(self, **methods: Method) -> Process:
        self._processes.append(Process(**methods))
        return self._processes[-1]

    def caller(self, process: Process) -> Caller:
        self._callers.append(Caller(process))
        return self._callers[-1]

    async def end(self) -> None:
        for one in self._callers:
            one.close()
        for process in self._processes:
            process.dies()
        for _ in range(3):
            await asyncio.sleep(0)  # closed sockets are let go one turn of the loop later
