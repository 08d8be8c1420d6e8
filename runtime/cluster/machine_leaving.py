"""A machine that is about to go, and what runs there of a system: flushed, then started elsewhere.

As far as Ray is concerned, a machine that is being drained keeps what runs on it until it ends. So
processes are told to end, and Ray starts them on other machines: at once where one with their
labels stays. What has nowhere to go serves on, and leaves in the last seconds that its machine has;
Ray then starts it as soon as there is a machine for it (docs/decisions/0060).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ray.exceptions import RayError

from runtime.cluster.draining import Drain
from runtime.cluster.system_processes import Found, SystemProcesses
from runtime.process.world import World
from runtime.topology.machines import Machine
from runtime.topology.names import DIRECTORY_ACTOR, ProcessKind, drain_stages, kind_of
from runtime.transport.peers import awaited

logger = logging.getLogger("thornback.directory")


class Leaving:
    """The directory's: one machine at a time is left with `leave`, or several side by side."""

    #: So many seconds before the end of its machine leaves what has nowhere to go.
    LAST_S = 10.0
    #: What is taken of a machine's time at the most, however much it has, and at the least, however
    #: little it seems to have: clocks of two machines may differ.
    LONGEST_S, LEAST_S = 60.0, 4.0
    #: How long a process may take to say where it is, of the time that its machine has.
    ASKED_S, ASKED = 5.0, 0.1
    #: The share of what is left then in which all of them are flushed, and of what is left after
    #: that, in which they end. The rest is for the directory, which goes last.
    FLUSHED, ENDED = 0.5, 0.5

    def __init__(
        self,
        processes: SystemProcesses,
        world: World,
        *,
        has_system: Callable[[], Awaitable[bool]],
        ended: Callable[[str], None],
    ) -> None:
        """`ended` hears of each service that has ended with its machine."""
        self._processes, self._world = processes, world  # immutable
        self._has_system, self._ended = has_system, ended  # immutable

    async def leave(self, machine: Machine, machines: Sequence[Machine]) -> None:
        """Have those processes leave a machine that can, or must, by now; the directory when no
        other one is to. Called again and again, as long as the machine is there."""
        now_s = asyncio.get_running_loop().time
        has_s = min(max(machine.goes_in_s, self.LEAST_S), self.LONGEST_S)
        until_s = now_s() + has_s
        found = await self._processes.on_machine(machine.id, min(self.ASKED_S, has_s * self.ASKED))
        due = _Due(self._processes, machine, machines, last=machine.goes_in_s <= self.LAST_S)
        leaving = due.among(found)
        if leaving and await self._has_system():
            await self._flush(leaving, machine, (until_s - now_s()) * self.FLUSHED)
            await self._end(leaving, machine, (until_s - now_s()) * self.ENDED)
        elif not leaving and machine.id == self._world.machine() and due.directory():
            await self._leave_myself()

    async def _flush(self, leaving: Mapping[str, Found], machine: Machine, limit_s: float) -> None:
        names = ", ".join(leaving)
        logger.warning("processes leave a machine that is about to go: %s", names)

        def drained(name: str) -> Awaitable[int]:
            flushed: Awaitable[int] = leaving[name].handle.drain_on.remote(machine.id)
            return flushed

        drain = Drain(_kinds(leaving), drained, limit_s, in_all=True)
        for each in await drain.run():
            if each.problem is not None:
                logger.warning("%s: %s", each.name, each.problem)

    async def _end(self, leaving: Mapping[str, Found], machine: Machine, limit_s: float) -> None:
        """Each where it was found, and no successor of it elsewhere. Flushing took its time, so it
        is asked again who has the system."""
        until_s = asyncio.get_running_loop().time() + limit_s
        for stage in drain_stages(_kinds(leaving)):
            if not await self._has_system():
                return
            ended = (self._ended_one(name, leaving[name], machine, until_s) for name in stage)
            await asyncio.gather(*ended)

    async def _ended_one(self, name: str, found: Found, machine: Machine, until_s: float) -> None:
        if name in _pinned(self._processes, machine):
            logger.info("%s ends: its machine is about to go", name)
            await self._processes.kill(found.handle)
            self._ended(name)
            return
        try:
            async with asyncio.timeout_at(until_s):
                await awaited(found.handle.move_away.remote(machine.id))
        except RayError:
            logger.info("%s has left", name)  # it ends, and so it does not answer
        except TimeoutError:
            logger.warning("%s does not leave its machine, and ends with it: it hangs", name)

    async def _leave_myself(self) -> None:
        if await self._has_system():
            logger.warning("the directory leaves this machine, which is about to go")
            self._world.end()


class _Due:
    """Which processes are to leave a machine: those that can, and all in its `last` seconds."""

    def __init__(
        self,
        processes: SystemProcesses,
        machine: Machine,
        machines: Iterable[Machine],
        *,
        last: bool,
    ) -> None:
        self._processes, self._last = processes, last
        self._stay = [each for each in machines if not each.leaving]
        self._pinned = _pinned(processes, machine)
        self._others = {kind_of(name, {}) for name in processes.services(self._stay)}

    def among(self, found: Mapping[str, Found]) -> dict[str, Found]:
        """Those of what was found on it; an exporter last, because it shows what the others of its
        machine count."""
        due = {name: each for name, each in found.items() if self._is(name, each.kind)}
        stay = {found[name].kind for name in found.keys() - due.keys()}
        if stay <= {ProcessKind.EXPORTER}:
            return due
        return {name: each for name, each in due.items() if each.kind is not ProcessKind.EXPORTER}

    def directory(self) -> bool:
        """Is the directory to leave?"""
        return self._is(DIRECTORY_ACTOR, ProcessKind.DIRECTORY)

    def _is(self, name: str, kind: ProcessKind) -> bool:
        if self._last:
            return True
        if name in self._pinned:  # it goes nowhere else: is there another one that stays?
            return kind in self._others
        return any(each.has(self._processes.labels(name)) for each in self._stay)


def _pinned(processes: SystemProcesses, machine: Machine) -> frozenset[str]:
    """The services that run on that machine or nowhere."""
    there = processes.services([replace(machine, leaving=False)])
    return frozenset(name for name, service in there.items() if service.machine)


def _kinds(found: Mapping[str, Found]) -> dict[str, ProcessKind]:
    return {name: each.kind for name, each in found.items()}
