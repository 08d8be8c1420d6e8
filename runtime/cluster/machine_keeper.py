"""A system and its machines: each that is meant for a gateway has one; what is to go is left.

Machines come and go, and Ray tells nobody: its head is asked, every second. As far as Ray is
concerned, a machine that is being drained keeps what runs on it until it ends. So its processes are
flushed and end by themselves, and Ray starts them on other machines (docs/decisions/0059).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.cluster.draining import Drain
from runtime.cluster.services import Service
from runtime.cluster.spawning import reason_of
from runtime.cluster.system_processes import SystemProcesses
from runtime.process.world import World
from runtime.topology.machines import Machine
from runtime.topology.names import SERVICES, ProcessKind, drain_stages
from runtime.transport.peers import awaited

logger = logging.getLogger("thornback.directory")


class MachineKeeper:
    """The directory's. In its event loop, which it does not block while Ray's head is asked."""

    #: Between two looks at the machines.
    LOOK_S = 1.0
    #: How long each process may take to be flushed before it leaves its machine: with what Ray
    #: takes to start it elsewhere, less than the 20 s that machines are given (docs/deployment.md).
    FLUSH_S = 8.0

    def __init__(
        self,
        processes: SystemProcesses,
        world: World,
        *,
        has_system: Callable[[], Awaitable[bool]],
        bound: Callable[[], bool],
    ) -> None:
        """`has_system` says whether the system is this directory's, and no successor's; `bound`
        whether its log is on the machine where it is, and would not come along."""
        self._processes, self._world = processes, world  # immutable
        self._has_system, self._bound = has_system, bound  # immutable
        self._looked = False  #: for what an earlier incarnation of the directory has started
        self._there: set[str] = set()  #: services that may be there
        self._ready: set[str] = set()  #: those that have started once: Ray restarts them
        self._starting: dict[str, asyncio.Task[None]] = {}  #: services that have not
        self._said: dict[str, str] = {}  #: of each: why it does not start, as it was logged last
        self._stuck = ""  #: why machines cannot be looked at, as it was logged last

    async def start(self) -> None:
        """Start the services of a system that is being launched, and wait for them. Raises what
        keeps one from starting."""
        services = self._processes.services(await self._world.machines())
        started = (self._started(name, service) for name, service in services.items())
        await asyncio.gather(*started)

    async def keep(self) -> None:
        """Look at the machines, and do what that asks for, until this is cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(self.LOOK_S)
        finally:
            for task in self._starting.values():
                task.cancel()

    async def _look(self) -> None:
        try:
            if not self._looked:
                self._there |= await self._world.aside(self._found)
                self._looked = True
            machines = await self._world.machines()
            await self._keep_services(machines)
            await self._leave(machines)
            self._stuck = ""
        except Exception as error:  # Ray's failures have no common root, and the next look is near
            if str(error) != self._stuck:
                logger.exception("the machines of this Ray cannot be looked at")
            self._stuck = str(error)

    # Services ---------------------------------------------------------------------------

    async def _keep_services(self, machines: Sequence[Machine]) -> None:
        wanted = self._processes.services(machines)
        missing = wanted.keys() - self._ready - self._starting.keys()
        gone = self._there - wanted.keys() - self._leaving(machines)
        if not (missing or gone) or not await self._has_system():
            return
        for name in missing:
            self._there.add(name)
            self._starting[name] = asyncio.ensure_future(self._tried(name, wanted[name]))
        for name in gone:
            self._end(name)

    def _found(self) -> set[str]:
        """Services that are there now. Blocks while Ray's head is asked."""
        return {name for name, kind in self._processes.others().items() if kind in SERVICES}

    def _leaving(self, machines: Sequence[Machine]) -> set[str]:
        """Services of machines that are about to go: those are flushed before they end."""
        all_stay = [replace(each, leaving=False) for each in machines]
        return set(self._processes.services(all_stay))

    async def _tried(self, name: str, service: Service) -> None:
        try:
            await self._started(name, service)
            self._said.pop(name, None)
        except (RayError, ThornbackError) as error:
            if self._said.get(name) != (reason := reason_of(error)):
                logger.error("%s does not start: %s", name, reason)
            self._said[name] = reason
        finally:
            self._starting.pop(name, None)

    async def _started(self, name: str, service: Service) -> None:
        await awaited(self._processes.start_service(name, service).ready.remote())
        if name not in self._ready:
            logger.info("%s is there", name)
        self._there.add(name)
        self._ready.add(name)

    def _end(self, name: str) -> None:
        logger.info("%s ends: its machine has gone, or is none for it any more", name)
        self._there.discard(name)
        self._ready.discard(name)
        self._said.pop(name, None)
        if (starting := self._starting.pop(name, None)) is not None:
            starting.cancel()
        self._processes.end(name)

    # Machines that are about to go --------------------------------------------------------

    async def _leave(self, machines: Sequence[Machine]) -> None:
        leaving = {each.id for each in machines if each.leaving}
        if not leaving or len(leaving) == len(machines) or self._bound():
            return  # none is about to go, or there is nowhere to go to
        there = await self._processes.on_machines(leaving)
        if there and await self._has_system():
            await self._flush(there)
            await self._moved(there, self._processes.services(machines).keys())
        elif not there and self._world.machine() in leaving and await self._has_system():
            logger.warning("the directory leaves this machine, which is about to go")
            self._world.end()

    async def _flush(self, there: dict[str, ProcessKind]) -> None:
        logger.warning("processes leave a machine that is about to go: %s", ", ".join(there))
        for drained in await Drain(there, self._processes.find, self.FLUSH_S).run():
            if drained.problem is not None:
                logger.warning("%s: %s", drained.name, drained.problem)

    async def _moved(self, there: dict[str, ProcessKind], wanted: Collection[str]) -> None:
        done = {name for name, kind in there.items() if kind in SERVICES and name not in wanted}
        for name in done:
            self._end(name)
        for stage in drain_stages({name: there[name] for name in there if name not in done}):
            await asyncio.gather(*map(self._left, stage))

    async def _left(self, name: str) -> None:
        try:
            await awaited(self._processes.find(name).move_away.remote())
        except (RayError, ValueError):
            logger.info("%s has left", name)  # it ends, and so it does not answer
