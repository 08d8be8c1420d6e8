"""A system and its machines: each that is meant for a service has one; what is to go is left.

Machines come and go, and Ray tells nobody: its head is asked, every second. How one is left that is
about to go, stands in machine_leaving.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.cluster.machine_leaving import Leaving
from runtime.cluster.services import Service
from runtime.cluster.spawning import reason_of
from runtime.cluster.system_processes import SystemProcesses, ready
from runtime.process.world import World
from runtime.topology.machines import Machine
from runtime.topology.names import SERVICES

logger = logging.getLogger("thornback.directory")


class MachineKeeper:
    """The directory's. In its event loop: looks at the machines and at what is there are done
    aside, and what takes long goes on between two looks. Who has the system, and the start of a
    service, are asked of Ray's head in the loop itself: less than a millisecond each where that
    answers, and nothing else could be done for the system where it does not."""

    #: Between two looks at the machines.
    LOOK_S = 1.0

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
        self._leaving = Leaving(processes, world, has_system=has_system, ended=self._forget)
        self._looked = False  #: for what an earlier incarnation of the directory has started
        self._there: set[str] = set()  #: services that may be there
        self._ready: set[str] = set()  #: those that have started once: Ray restarts them
        self._starting: dict[str, asyncio.Task[None]] = {}  #: services that have not
        self._left: dict[str, asyncio.Task[None]] = {}  #: by machine: what leaves it just now
        self._said: dict[str, str] = {}  #: of each: what is wrong with it, as it was logged last

    async def start(self) -> None:
        """Start the services of a system that is being launched, and wait for them. Raises what
        keeps one from starting. One whose machine goes meanwhile is not waited for."""
        wanted = self._processes.services(await self._world.machines())
        starting = {
            name: asyncio.ensure_future(self._started(name, service))
            for name, service in wanted.items()
        }
        try:
            while starting:
                await asyncio.wait(
                    starting.values(), timeout=self.LOOK_S, return_when=asyncio.FIRST_COMPLETED
                )
                wanted = self._processes.services(await self._world.machines())
                for name in starting.keys() - wanted.keys():
                    await _ended([starting.pop(name)])
                    await self._end(name)
                for name in [name for name, each in starting.items() if each.done()]:
                    starting.pop(name).result()
        except (Exception, asyncio.CancelledError):
            await _ended(starting.values())
            raise

    async def keep(self) -> None:
        """Look at the machines, and do what that asks for, until this is cancelled."""
        try:
            while True:
                await self._tried("the machines of this Ray", self._look())
                await asyncio.sleep(self.LOOK_S)
        except asyncio.CancelledError:
            await _ended((*self._starting.values(), *self._left.values()))
            raise

    async def _look(self) -> None:
        if not self._looked:
            self._there |= await self._world.aside(self._found)
            self._looked = True
        machines = await self._world.machines()
        await self._keep_services(machines)
        for machine in () if self._bound() else machines:
            if machine.leaving and machine.id not in self._left:
                self._leave(machine, machines)

    def _leave(self, machine: Machine, machines: Sequence[Machine]) -> None:
        """Machines may be about to go side by side, each in its own time."""
        what = f"the end of machine {machine.id}"
        leaving = asyncio.ensure_future(self._tried(what, self._leaving.leave(machine, machines)))
        self._left[machine.id] = leaving
        leaving.add_done_callback(lambda _: self._left.pop(machine.id, None))

    async def _tried(self, what: str, work: Awaitable[None]) -> None:
        """What fails is logged once, and tried again at the next look."""
        try:
            await work
            self._said.pop(what, None)
        except Exception as error:  # Ray's failures have no common root
            if self._said.get(what) != (reason := reason_of(error)):
                logger.exception("%s: this look has failed", what)
            self._said[what] = reason

    # Services ---------------------------------------------------------------------------

    async def _keep_services(self, machines: Sequence[Machine]) -> None:
        wanted = self._processes.services(machines)
        missing = wanted.keys() - self._ready - self._starting.keys()
        gone = self._there - wanted.keys() - self._on(machines)
        if not (missing or gone) or not await self._has_system():
            return
        for name in missing:
            self._there.add(name)
            self._starting[name] = asyncio.ensure_future(self._begun(name, wanted[name]))
        for name in gone:
            await self._end(name)

    def _found(self) -> set[str]:
        """Services that are there now. Blocks while Ray's head is asked."""
        return {name for name, kind in self._processes.others().items() if kind in SERVICES}

    def _on(self, machines: Sequence[Machine]) -> set[str]:
        """Services of machines that are there: what is on those that are about to go is flushed
        before it ends."""
        all_stay = [replace(each, leaving=False) for each in machines]
        return set(self._processes.services(all_stay))

    async def _begun(self, name: str, service: Service) -> None:
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
        await ready(self._processes.start_service(name, service))
        if name not in self._ready:
            logger.info("%s is there", name)
        self._there.add(name)
        self._ready.add(name)

    async def _end(self, name: str) -> None:
        logger.info("%s ends: its machine has gone, or is none for it any more", name)
        self._forget(name)
        await self._world.aside(partial(self._processes.end, name))

    def _forget(self, name: str) -> None:
        self._there.discard(name)
        self._ready.discard(name)
        self._said.pop(name, None)
        if (starting := self._starting.pop(name, None)) is not None:
            starting.cancel()


async def _ended(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel what is not done, and wait for its end."""
    there = list(tasks)
    for each in there:
        each.cancel()
    await asyncio.gather(*there, return_exceptions=True)
