"""The processes of a system, in the hands of its directory: started, asked how they are, and ended.

Which there are now, Ray alone knows; nothing of that is remembered here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from ray.exceptions import ActorUnavailableError, RayError

from runtime.cluster import embedded_database as embedded
from runtime.cluster.services import Service, services_of
from runtime.errors import LaunchFailed, StartFailed
from runtime.host.host import Host
from runtime.partition.bus import Bus
from runtime.partition.writer import WriterActor
from runtime.process.process import Process
from runtime.process.ray_actors import labels_of_machine
from runtime.process.world import World
from runtime.processing.deliverer import Deliverer
from runtime.processing.timekeeper import Timekeeper
from runtime.processing.worker import Worker
from runtime.settings.settings import Settings
from runtime.topology.machines import Machine
from runtime.topology.names import (
    BUS_ACTOR,
    DELIVERER_ACTOR,
    TIMEKEEPER_ACTOR,
    WRITER_ACTOR,
    ProcessKind,
    host_name,
    number_of_host,
    promoted_shard,
)
from runtime.topology.status import ProcessAway, Progress, Status
from runtime.transport.peers import awaited

#: Between two tries: Ray does not say when a process that restarts is back.
_PAUSE_S = 0.1


class Found(NamedTuple):
    """A process that is there."""

    kind: ProcessKind
    handle: Any


class SystemProcesses:
    """All but the directory, whose name is `directory`. `settings` tells them as they are now: an
    embedded database may move."""

    #: How long a process may take to say how it is.
    STATUS_S = 5.0

    def __init__(
        self,
        directory: str,
        settings: Callable[[], Settings],
        world: World,
        metrics_folder: str | None,
    ) -> None:
        self._directory, self._settings = directory, settings
        self._world, self._metrics_folder = world, metrics_folder
        self._hosts: tuple[str, ...] | None = None  # that have shards; None: nobody knows yet

    async def start(self, tell: Callable[[Progress], None], *, again: bool = False) -> None:
        """Start writer, bus and pooled hosts where they are not there, and wait until each is
        ready; `tell` hears how far that is. `again`: the system ran before this directory, which is
        not to wait for one that keeps ending, and rests: it could not stop it otherwise. Raises
        what keeps one from starting, and LaunchFailed where the settings ask for hosts on a machine
        from which none reaches the database."""
        await self._check_labels()
        kinds: dict[str, type[Process]] = {WRITER_ACTOR: WriterActor, BUS_ACTOR: Bus}
        kinds |= dict.fromkeys(self.sharded(), Host)
        prefers = await self._spread(self.sharded())
        actors = [
            self._spawn(kind, name, prefers=prefers.get(name, "")) for name, kind in kinds.items()
        ]
        progress = Progress(doing="starting processes", processes=len(actors))
        tell(progress)

        async def wait_ready(actor: Any) -> None:
            nonlocal progress
            await ready(actor, or_rests=again)
            progress = replace(progress, done=progress.done + 1)
            tell(progress)

        await asyncio.gather(*map(wait_ready, actors))

    def start_service(self, name: str, service: Service) -> Any:
        """The handle of what is a client of the rest, which is started if it is not there."""
        return self._spawn(service.kind, name, machine=service.machine)

    def services(self, machines: Iterable[Machine]) -> Mapping[str, Service]:
        """By name: those that there are to be on these machines."""
        only = self._only()
        return services_of(self._settings(), [each for each in machines if only in ("", each.id)])

    def start_dedicated(self, source: str, actor: bytes | None) -> Any:
        """The handle of an actor's own host, which is started if it is not there."""
        return self._spawn(Host, source, source, actor)

    def start_worker(self, name: str, code: bytes, index: int, workers: int, after: int) -> Any:
        """The handle of a worker of a stream program, which is started if it is not there."""
        return self._spawn(Worker, name, code, index, workers, after)

    def start_deliverer(self) -> Any:
        """The handle of what delivers messages between actors, which is started if it is not
        there."""
        return self._spawn(Deliverer, DELIVERER_ACTOR)

    def start_timekeeper(self) -> Any:
        """The handle of what fires timers, which is started if it is not there."""
        return self._spawn(Timekeeper, TIMEKEEPER_ACTOR)

    def sharded(self) -> list[str]:
        """The names of the hosts that there are to be, dedicated ones aside: those that have
        shards, and as long as none has, those of the settings."""
        if self._hosts is not None:
            return list(self._hosts)
        return [host_name(number) for number in range(self._settings().actor_system.hosts)]

    def have_shards(self, hosts: Iterable[str]) -> None:
        """These hosts have them now, and no others."""
        self._hosts = tuple(sorted(hosts, key=_order))

    async def start_host(self, name: str) -> Any:
        """The handle of a pooled or a promoted host, which is started if it is not there."""
        prefers = await self._spread([name])
        return self._spawn(Host, name, prefers=prefers.get(name, ""))

    def others(self) -> dict[str, ProcessKind]:
        """Those that there are now, beside the directory."""
        found = self._world.actors.processes(self._settings().actor_system.placement)
        return {name: kind for name, kind in found.items() if name != self._directory}

    def find(self, name: str) -> Any:
        """The handle of a process as it is now. Raises ValueError when there is none."""
        return self._world.actors.find(name)

    def drained(self, name: str) -> Awaitable[int]:
        """What the process of that name says when it is flushed. Raises ValueError when there is
        none."""
        flushed: Awaitable[int] = self.find(name).drain.remote()
        return flushed

    def end(self, name: str) -> None:
        """Kill a process for good; none of that name is fine."""
        self._world.actors.end(name)

    async def kill(self, handle: Any) -> None:
        """Kill the process of a handle for good, and no other one that has its name by now."""
        await self._world.aside(partial(self._world.actors.kill, handle))

    def labels(self, name: str) -> Mapping[str, str]:
        """Those that a machine must have for the process of that name, which no machine is named
        for."""
        return labels_of_machine(self._settings(), name)

    async def on_machine(self, machine: str, limit_s: float) -> dict[str, Found]:
        """By name: those of the others that run on that machine, and say so in time."""
        there = await self._world.aside(self._found)
        where = await asyncio.gather(*(_where(each.handle, limit_s) for each in there.values()))
        named = zip(there.items(), where, strict=True)
        return {name: found for (name, found), at in named if at == machine}

    def _found(self) -> dict[str, Found]:
        """The others, with their handles. Blocks while Ray's head is asked."""
        found = {}
        for name, kind in self.others().items():
            with suppress(ValueError):  # it has ended since
                found[name] = Found(kind, self.find(name))
        return found

    async def statuses(self) -> list[Status]:
        """The status of each of the others; one that does not answer says so."""
        return await asyncio.gather(*(self._status(*each) for each in self.others().items()))

    async def _status(self, name: str, kind: ProcessKind) -> Status:
        try:
            asked = self.find(name).status.remote()
            status: Status = await asyncio.wait_for(awaited(asked), self.STATUS_S)
        except (RayError, ValueError, TimeoutError) as error:
            return ProcessAway(name=name, kind=kind, reason=type(error).__name__)
        return status

    def _spawn(
        self,
        kind: type[Process],
        name: str,
        *more: object,
        machine: str = "",
        prefers: str = "",
    ) -> Any:
        spawn, folder = self._world.actors.spawn, self._metrics_folder
        where = machine or self._only()
        settings = self._settings()
        return spawn(kind, settings, name, folder, *more, machine=where, prefers=prefers)

    async def _spread(self, hosts: Iterable[str]) -> dict[str, str]:
        """By host: a machine for it, by its number or that of its shard, so that all that are for
        hosts have about as many. Ray itself may put all of them on one."""
        if self._only():
            return {}
        labels = self._settings().actor_system.host_labels
        machines = await self._world.machines()
        theirs = sorted(each.id for each in machines if not each.leaving and each.has(labels))
        if len(theirs) < 2:
            return {}
        return {name: theirs[_order(name)[1] % len(theirs)] for name in hosts}

    def _only(self) -> str:
        """The machine on which all have to run, that of the directory: an embedded PostgreSQL lets
        nobody else in. Empty where they may run elsewhere."""
        return self._world.machine() if embedded.has_own(self._settings()) else ""

    async def _check_labels(self) -> None:
        settings = self._settings().actor_system
        wanted = {"host_labels": settings.host_labels, "core_labels": settings.core_labels}
        if not (only := self._only()) or not any(wanted.values()):
            return
        here = [each for each in await self._world.machines() if each.id == only]
        for name, labels in wanted.items():
            if not all(each.has(labels) for each in here):
                raise LaunchFailed(
                    f"actor_system.{name} asks for another machine than that of the embedded "
                    "PostgreSQL, which lets no other one in: set DATABASE_URL to a PostgreSQL that "
                    "all machines reach"
                )


def _order(host: str) -> tuple[bool, int]:
    """Pooled hosts by their number, and then promoted ones by that of their shard."""
    number = number_of_host(host)
    return (False, number) if number is not None else (True, promoted_shard(host) or 0)


async def ready(actor: Any, *, or_rests: bool = False) -> None:
    """Wait until a process has started, also where Ray starts it anew meanwhile, as its machine may
    just have gone, and where it is to rest first; but not for its rest with `or_rests`. Raises what
    keeps it from starting; whoever waits has a limit."""
    while True:
        try:
            await _ready(actor, or_rests=or_rests)
            return
        except ActorUnavailableError:
            await asyncio.sleep(_PAUSE_S)


async def _ready(actor: Any, *, or_rests: bool) -> None:
    while True:
        try:
            await actor.ready.remote()
            return
        except StartFailed:
            if not await actor.rested.remote(not or_rests):
                raise
            if or_rests:
                return


async def _where(handle: Any, limit_s: float) -> str | None:
    try:
        asked: str = await asyncio.wait_for(awaited(handle.on_machine.remote()), limit_s)
    except (RayError, TimeoutError):
        return None  # it is away, or hangs
    return asked
