"""A whole system inside one Python process, for tests: no Ray, no start to wait for.

Writer, bus and hosts are the very classes that run as Ray actors elsewhere. Here they live in
one thread of this process, find one another in a dictionary, and speak over the same loopback
connections in the same formats; a driver in the test's own threads speaks to them as ever. What
is left out is what Ray adds: processes that can be killed and come back, and other machines.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any

from ray.exceptions import ActorDiedError, RayTaskError

from runtime.cluster.draining import Drain
from runtime.cluster.services import services_of
from runtime.cluster.sharding import Sharding
from runtime.cluster.workers import Workers
from runtime.driver.courier import Courier
from runtime.host.host import Host
from runtime.partition.bus import Bus
from runtime.partition.writer import WriterActor
from runtime.process.partitioning import check_one_partition
from runtime.process.process import Process
from runtime.process.store_access import migrate_store
from runtime.process.world import Calls, World
from runtime.processing.dead_letters import Replayed
from runtime.processing.deliverer import Deliverer
from runtime.processing.timekeeper import Timekeeper
from runtime.processing.worker import Worker
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from runtime.topology.names import (
    BUS_ACTOR,
    DELIVERER_ACTOR,
    DIRECTORY_ACTOR,
    TIMEKEEPER_ACTOR,
    WRITER_ACTOR,
    ProcessKind,
    host_name,
    kind_of,
)
from runtime.topology.release import RELEASE
from runtime.topology.status import DrainReport, Progress, Status, Topology
from store.dead_letters import Parked
from store.event_store import EventStore
from store.shards import ShardTable


class InProcessSystem(ActorSystem):
    """An ActorSystem whose processes live in a thread of this one. Closing it ends them; what is
    in a database stays there, and what is in memory is gone.

    Raises StoreUnavailable or SchemaMismatch where the database is not to be had, and NotPossible
    for several partitions. Not promised: anything about processes that are killed, since there are
    none.
    """

    def __init__(self, settings: Settings) -> None:
        check_one_partition(settings, "a system in this process has one partition")
        self._thresholds = gc.get_threshold()  # processes raise them, for all of Python
        self._processes = Processes(settings)
        try:
            topology = self._processes.start()
        except BaseException:
            self._end()
            raise
        world = InProcessWorld(self._processes.handle)
        super().__init__(topology, world)

    def close(self) -> None:
        """End the connection, and the system."""
        super().close()
        self._end()

    async def _drain(self, timeout_s: float) -> DrainReport:
        directory = await self.connection.world.handle(DIRECTORY_ACTOR)
        drained: DrainReport = await directory.stop.remote(timeout_s)
        return drained

    def _end(self) -> None:
        self._processes.close()
        gc.set_threshold(*self._thresholds)


class InProcessWorld(World):
    """What a driver touches outside itself: handles come from this process, not from Ray."""

    def __init__(self, find: Callable[[str], Any]) -> None:
        super().__init__("in this process")
        self._find = find

    async def handle(self, name: str) -> Any:
        return self._find(name)

    def machine(self) -> str:
        return "this process"

    def notes(self) -> None:
        """There is one incarnation of each process."""


class _ProcessWorld(InProcessWorld):
    """What a process touches. Ray ends a process with all that it had opened; here, what was
    opened is remembered, to be closed with the system."""

    def __init__(self, find: Callable[[str], Any]) -> None:
        super().__init__(find)
        self._callers: list[Calls] = []
        self._stores: list[EventStore] = []

    async def caller(self, name: str) -> Calls:
        caller = await super().caller(name)
        self._callers.append(caller)
        return caller

    async def open_store(self, settings: Settings) -> EventStore:
        store = await super().open_store(settings)
        self._stores.append(store)
        return store

    def end(self) -> None:
        """A process cannot go on; its log says why. Whoever calls it hears what it last said."""

    async def close(self) -> None:
        """Close all that was opened."""
        for caller in self._callers:
            caller.close()
        for store in self._stores:
            await store.close()


class _Method:
    """A method of a process, called as Ray's methods are."""

    def __init__(
        self, courier: Courier, method: Callable[..., Any], ended: Callable[[], bool]
    ) -> None:
        self._courier, self._method, self._ended = courier, method, ended

    def remote(self, *arguments: Any, **named: Any) -> "asyncio.Future[Any]":
        """Run it in the processes' thread; whoever stops waiting for it does not stop it."""
        done: Future[Any] = Future()
        done.set_running_or_notify_cancel()
        if self._ended():  # whoever has its name by now is another process
            done.set_exception(ActorDiedError())
            return asyncio.wrap_future(done)
        running = self._courier.run(self._run(done, arguments, named))
        running.add_done_callback(lambda _: _answer_nobody(done))
        return asyncio.wrap_future(done)

    async def _run(self, done: "Future[Any]", arguments: Any, named: Any) -> None:
        try:
            done.set_result(await self._method(*arguments, **named))
        except Exception as error:
            name = self._method.__name__
            done.set_exception(RayTaskError(name, repr(error), error).as_instanceof_cause())


def _answer_nobody(done: "Future[Any]") -> None:
    """A call that was cancelled with the system, perhaps before it had begun, has no answer."""
    if not done.done():
        done.set_exception(ConnectionError("the system was closed"))


class _Handle:
    """A process, as a Ray handle of it looks."""

    def __init__(
        self, courier: Courier, process: object, ended: Callable[[], bool] = lambda: False
    ) -> None:
        self._courier, self._process, self._ended = courier, process, ended

    def __getattr__(self, name: str) -> _Method:
        return _Method(self._courier, getattr(self._process, name), self._ended)


class Processes:
    """The processes of one system, by name, in one thread. What a directory does elsewhere, and
    what drivers ask of it, is done here."""

    #: How long a process may take to come to life.
    START_S = 30.0
    #: How long what is cancelled may take, until it is cancelled once more.
    AGAIN_S = 0.5

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._json = settings.model_dump_json()
        self._courier = Courier()
        self._world = _ProcessWorld(self.handle)
        self._named: dict[str, Process] = {}
        self._pooled = [host_name(number) for number in range(settings.actor_system.hosts)]
        self._workers = Workers(self, self._world)
        self._sharding = Sharding(self, lambda: self._settings, self._world)
        self._closed = False

    def start(self) -> Topology:
        """Start writer, bus and pooled hosts; what a driver has to know."""
        return self._courier.run(self._start()).result(self.START_S)

    def handle(self, name: str) -> _Handle:
        """Raises ValueError when there is no process of that name."""
        if name == DIRECTORY_ACTOR:
            return _Handle(self._courier, self)
        if (process := self._named.get(name)) is None:
            raise ValueError(f"no process is named {name!r}")
        return _Handle(self._courier, process, lambda: self._named.get(name) is not process)

    def close(self) -> None:
        """End all of them. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._courier.run(self._close()).result()
            self._courier.close()

    # What drivers ask of the directory ------------------------------------------------------

    async def locate(self, source: str, actor: bytes | None) -> str:
        """The dedicated host of an actor, made if it is not there; its name."""
        if source not in self._named:
            self._named[source] = Host(source, self._json, None, source, actor, world=self._world)
        await self._named[source].ready()
        return source

    async def dedicated_hosts(self) -> list[str]:
        """The names of those that there are."""
        kinds = self.others().items()
        return [name for name, kind in kinds if kind is ProcessKind.DEDICATED_HOST]

    async def run_program(
        self,
        program: str,
        code: bytes,
        workers: int,
        after: int,
        handlers: tuple[str, ...] = (),
        keep: bool = False,
    ) -> None:
        """Have a stream program run in so many workers (Workers.ensure_running)."""
        await self._workers.ensure_running(program, code, workers, after, handlers, keep=keep)

    async def stop_program(self, program: str, *, dropped: bool = False) -> None:
        """End its workers (Workers.stop). Raises UnknownProgram."""
        await self._workers.stop(program, dropped=dropped)

    async def resume_program(self, program: str, skip: bool) -> int:
        """Have it go on where it fails. Raises UnknownProgram."""
        return await self._workers.resume(program, skip=skip)

    async def deliver_messages(self) -> None:
        """Have what delivers messages between actors, made if it is not there."""
        if DELIVERER_ACTOR not in self._named:
            made = Deliverer(DELIVERER_ACTOR, self._json, None, world=self._world)
            self._named[DELIVERER_ACTOR] = made

    async def keep_timers(self) -> None:
        """Have what fires timers, made if it is not there."""
        if TIMEKEEPER_ACTOR not in self._named:
            made = Timekeeper(TIMEKEEPER_ACTOR, self._json, None, world=self._world)
            self._named[TIMEKEEPER_ACTOR] = made

    async def replay_program(self, program: str, parked: Parked | None) -> Replayed:
        """Replay its dead letters. Raises UnknownProgram and NotPossible."""
        return await self._workers.replay(program, parked)

    async def move_shards(self, shards: list[int], to: str, timeout_s: float) -> ShardTable:
        """Have a pooled host have these shards (Sharding.move). Raises HostUnavailable."""
        return await self._sharding.move_shards(shards, to, timeout_s)

    async def add_host(self, name: str, timeout_s: float) -> None:
        """Have a pooled host of this name (Sharding.add_host). Raises HostUnavailable."""
        await self._sharding.add_host(name, timeout_s)

    async def remove_host(self, name: str, timeout_s: float) -> None:
        """End a pooled host that has no shards (Sharding.remove_host). Raises HostUnavailable."""
        await self._sharding.remove_host(name, timeout_s)

    async def keep_host(self, name: str) -> None:
        """Have a pooled host be there that has shards (Sharding.keep_host)."""
        await self._sharding.keep_host(name)

    async def sharing(self, timeout_s: float) -> tuple[ShardTable, dict[int, float], list[str]]:
        """Which host has which shard, and what each is sent (Sharding.sharing)."""
        return await self._sharding.sharing(timeout_s)

    async def join(self, timeout_s: float, _: str = RELEASE) -> Topology:
        """What a driver has to know, who asks again when a host has ended. It is of this release:
        both are in one process."""
        table = await self._sharding.known_within(timeout_s)
        return self._topology(table)

    async def statuses(self) -> tuple[Status, ...]:
        """What every process says of itself."""
        return tuple([await process.status() for process in self._named.values()])

    async def progress(self) -> Progress:
        """It has been launched."""
        return Progress(doing="running", done=len(self._named), processes=len(self._named))

    async def stop(self, timeout_s: float) -> DrainReport:
        """Flush hosts and writer."""
        drain = Drain(self.others(), self.drained, timeout_s)
        return DrainReport(processes=await drain.run())

    # What its workers are started and ended by (WorkerProcesses) -----------------------------

    def others(self) -> dict[str, ProcessKind]:
        """Those that there are."""
        kinds = {name: kind_of(name, self._placement) for name in list(self._named)}
        return {name: kind for name, kind in kinds.items() if kind is not None}

    def sharded(self) -> list[str]:
        """The names of the pooled hosts that have shards."""
        return self._pooled

    def have_shards(self, hosts: Iterable[str]) -> None:
        """These hosts have them now, and no others."""
        self._pooled = sorted(hosts)

    async def start_host(self, name: str) -> _Handle:
        """A pooled host, made if it is not there."""
        if name not in self._named:
            self._named[name] = Host(name, self._json, None, world=self._world)
        return self.handle(name)

    def find(self, name: str) -> _Handle:
        """Raises ValueError when there is no process of that name."""
        return self.handle(name)

    def drained(self, name: str) -> Awaitable[int]:
        """What it says when it is flushed."""
        flushed: Awaitable[int] = self.handle(name).drain.remote()
        return flushed

    def start_worker(self, name: str, code: bytes, index: int, workers: int, after: int) -> _Handle:
        """A worker of a stream program, made if it is not there."""
        if name not in self._named:
            self._named[name] = Worker(
                name, self._json, None, code, index, workers, after, world=self._world
            )
        return self.handle(name)

    def end(self, name: str) -> None:
        """What it has begun is given up, as where a process is killed."""
        if (ended := self._named.pop(name, None)) is not None:
            self._courier.loop.call_soon_threadsafe(ended.close)

    async def database_url(self) -> str:
        """Where the log is."""
        return self._settings.event_store.connection_string.get_secret_value()

    @property
    def _placement(self) -> Any:
        return self._settings.actor_system.placement

    async def _start(self) -> Topology:
        await migrate_store(self._settings)
        hosts = tuple(self.sharded())
        shards = await self._dealt(hosts)
        kinds: dict[str, type[Process]] = {WRITER_ACTOR: WriterActor, BUS_ACTOR: Bus}
        for name, kind in (kinds | dict.fromkeys(hosts, Host)).items():
            self._named[name] = kind(name, self._json, None, world=self._world)
        await asyncio.gather(*(process.ready() for process in self._named.values()))
        for name, service in services_of(self._settings, ()).items():
            self._named[name] = service.kind(name, self._json, None, world=self._world)
            await self._named[name].ready()
        return self._topology(shards)

    def _topology(self, shards: ShardTable | None) -> Topology:
        """What a driver has to know."""
        return Topology(
            settings_json=self._json,
            hosts=tuple(self._pooled),
            shards=shards,
            log=self._settings.actor_system.namespace,  # it has one as long as it lives
            directory=DIRECTORY_ACTOR,  # the only one that there will ever be
        )

    async def _dealt(self, hosts: tuple[str, ...]) -> ShardTable | None:
        """The shards of these hosts; None in memory, where the first host deals them out."""
        if self._settings.event_store.type == "memory":
            return None
        store = await self._world.open_store(self._settings)
        return await store.open_shards(hosts, anew=True)

    async def _close(self) -> None:
        for process in self._named.values():
            process.close()
        await asyncio.sleep(0)  # calls that have just come begin, or they could not be cancelled
        while running := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in running:
                task.cancel()
            # One that was cancelled just as what it waited for came to pass may go on all the same
            # (asyncio.wait_for of Python 3.11, for one): so it is told again.
            done, _ = await asyncio.wait(running, timeout=self.AGAIN_S)
            for task in done:
                if not task.cancelled():
                    task.exception()  # of a system that ends: nobody's
        await self._world.close()
