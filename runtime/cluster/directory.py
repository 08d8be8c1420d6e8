"""The directory: which process runs which actors, and the root of the system.

Actor ids hash into shards, and the directory maps shards to hosts. It is the Ray actor
that starts the others, finds or makes dedicated hosts, keeps the embedded PostgreSQL
running, serves the metrics of all, and stops everything when the system is drained.

It also holds the system's claim on its database (runtime/cluster/claim.py): another system that
takes that over ends this one, and the directory stays to say so.

A system is launched, runs, is draining, and is over; there is no way back. While it is
draining it takes no launch and no driver. One that is over waits for its end: whoever
drained it ends this process, or else the next launch does (runtime/cluster/launching.py).
"""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.cluster import embedded_database as embedded
from runtime.cluster.claim import DatabaseClaim
from runtime.cluster.draining import Drain
from runtime.cluster.embedded_database import DatabaseKeeper
from runtime.cluster.spawning import (
    DedicatedHosts,
    end,
    handle_of,
    processes_of,
    reason_of,
    spawn,
)
from runtime.errors import LaunchFailed, SystemDraining, SystemNotFound
from runtime.host.host import Host
from runtime.partition.bus import Bus
from runtime.partition.writer import WriterActor
from runtime.process.process import Process
from runtime.process.world import World
from runtime.settings.settings import redacted_url
from runtime.telemetry.exporter import Exporter, MetricsPortTaken, remove_folder
from runtime.topology.names import (
    BUS_ACTOR,
    WRITER_ACTOR,
    ProcessKind,
    host_name,
)
from runtime.topology.status import (
    DirectoryFacts,
    DrainReport,
    ProcessAway,
    Progress,
    Status,
    Topology,
)
from runtime.transport.peers import awaited
from store.embedded.server import EmbeddedPostgres
from store.errors import EmbeddedError, SystemReplaced

logger = logging.getLogger("thornback.directory")


class Directory(Process):
    """Named `directory`. `launch` is what `ActorSystem.launch` waits for."""

    #: The recovery of an embedded database may take minutes, and the others wait for it.
    START_S = 600.0
    #: How long a process may take to say how it is.
    STATUS_S = 5.0

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        # Its parts that are no processes, each made when it is first needed:
        self._metrics_folder = metrics_folder  #: set once; None: nothing is counted
        self._brings_database = embedded.wanted(self.settings)  #: set once
        self._database: DatabaseKeeper | None = None
        self._opening = asyncio.Lock()  #: guards the making of the database's keeper
        self._exporter: Exporter | None = None
        self._exporter_trouble: str | None = None  #: why there is none, though there should be
        self._dedicated = DedicatedHosts(self._handle, self._spawn_dedicated, self._end)
        system = self.world.system(self.settings)
        claims = self.settings.event_store.type == "postgres" and system is not None
        self._claim = DatabaseClaim(system, lambda: self.settings) if claims and system else None
        # Where the system stands: launched, running, draining, over. Its event loop alone
        # changes that.
        #: Ran a system in this namespace before this incarnation? Then it is not ours to undo.
        self._found_running = self.world.restarted()
        self._take_over = False  #: did a launch say so, that waits now?
        self._replaced: SystemReplaced | None = None  #: by another system; there is no way back
        self._launches = 0  #: calls of `launch` that wait now
        self._progress = Progress(doing="starting")
        self._undoing: asyncio.Task[None] | None = None  #: of a start in vain; launches wait for it
        self._stopping: asyncio.Task[DrainReport] | None = None  #: from the first `stop` on
        self._drain: Drain | None = None  #: while processes are flushed
        self._over = False  #: all has ended; there is no way back

    # Launching ------------------------------------------------------------------------

    async def launch(self, timeout_s: float, take_over: bool = False) -> Topology | None:
        """Start the system, and say what runs; None if it is over. `take_over` takes the database
        from whichever system has it.

        Raises LaunchFailed (DatabaseInUse where another system has the database), and then
        nothing is left in the namespace of what had not been there before, unless another launch
        still waits. Raises SystemDraining and SystemReplaced.
        """
        if self._undoing is not None:
            await asyncio.shield(self._undoing)
        if self._over:
            return None
        self._launches += 1
        self._take_over |= take_over
        try:
            return await self._started_within(timeout_s)
        except LaunchFailed:
            if self._replaced is None and self._launches == 1 and not self._found_running:
                self._undoing = asyncio.ensure_future(self._undo())
                await asyncio.shield(self._undoing)
            raise
        finally:
            self._launches -= 1
            self._take_over &= self._launches > 0

    async def join(self, timeout_s: float) -> Topology:
        """What a driver has to know, as soon as the system runs. Raises LaunchFailed if it
        does not, SystemDraining, SystemReplaced, and SystemNotFound if it is over."""
        if self._over and self._replaced is None:
            raise SystemNotFound(self.settings.actor_system.namespace)
        return await self._started_within(timeout_s)

    async def start(self) -> None:
        """Start every process of the system and wait until each is ready."""
        self._found_running |= any(name != self.name for name in processes_of(self.settings))
        await self._ensure_database()
        if not self._found_running:
            self._open_exporter()
        elif self._exporter is None and self._exporter_trouble is None:
            self.must_live(self._reopen_exporter())
        await self._claim_database()
        actors = [self._spawn(kind, name) for name, kind in self._pooled().items()]
        self._progress = Progress(doing="starting processes", processes=len(actors))
        await asyncio.gather(*map(self._wait_ready, actors))
        self._found_running = True

    async def progress(self) -> Progress:
        """How far the launch, or the drain, has come."""
        if self._claim is not None and self._claim.doubt is not None:
            return Progress(doing=f"waiting whether it is alive: {self._claim.doubt}")
        return self._drain.progress if self._drain else self._progress

    async def _started_within(self, timeout_s: float) -> Topology:
        self._refuse_if_replaced()
        self._refuse_while_draining()
        try:
            await asyncio.wait_for(self.ensure_started(), timeout_s)
        except asyncio.CancelledError as error:
            self._refuse_while_draining()  # it was the drain that ended the start
            self._refuse_if_replaced()
            raise LaunchFailed("the launch was given up") from error
        except TimeoutError as error:
            doing = (await self.progress()).doing
            reason = self.trouble or f"{doing} took too long"
            raise LaunchFailed(f"not done within {timeout_s:g} s: {reason}") from error
        except (LaunchFailed, SystemReplaced):
            raise
        except (ThornbackError, RayError) as error:
            raise LaunchFailed(reason_of(error)) from error
        return self._topology()

    async def _claim_database(self) -> None:
        """Nobody else is to extend the log from now on; and its schema is up to date."""
        self._progress = Progress(doing="claiming the database, and bringing its schema up to date")
        if self._claim is None:
            return
        try:
            await self._claim.take(take_over=lambda: self._take_over, again=self._found_running)
        except SystemReplaced as replaced:
            # Not from within the start, which this ends.
            self.must_live(self._yield_to(replaced))
            raise
        self.must_live(self._claim.keep(self._yield_to))

    async def _yield_to(self, replaced: SystemReplaced) -> None:
        """Another system has the database now: all of this one ends but the directory, which
        says so to whoever asks, until it is drained or launched anew."""
        logger.critical("this system ends: %s", replaced)
        self._replaced = replaced
        await self._cancel_starts()
        await self._close()

    def _topology(self) -> Topology:
        return Topology(
            settings_json=self.settings.model_dump_json(),
            hosts=tuple(self._pooled_hosts()),
            # In memory it lives and dies with this system.
            log=self._claim.log if self._claim is not None else self.world.ray_actor(),
        )

    async def _undo(self) -> None:
        """End what was started in vain."""
        logger.error("the launch failed: stopping what it had started")
        await self._cancel_starts()
        for problem in await self._close():
            logger.error("not all of it has ended: %s", problem)

    # The parts that are not processes -----------------------------------------------------

    async def database_url(self) -> str:
        """Where the log is now: an embedded server may have had to move to another port."""
        if self._database is None:
            await self._ensure_database()
        return self.settings.event_store.connection_string.get_secret_value()

    async def _ensure_database(self) -> None:
        if not self._brings_database:
            return
        async with self._opening:
            if self._database is None:
                server = EmbeddedPostgres(embedded.folder_of(self.settings))
                self._database = DatabaseKeeper(server, self._moved)
            if not self._database.started:
                self._progress = Progress(doing="starting the embedded PostgreSQL")
                await self._database.start()
                self.must_live(self._database.keep())

    def _moved(self, url: str) -> None:
        self.settings = embedded.with_database(self.settings, url)

    def _open_exporter(self) -> None:
        metrics = self.settings.metrics
        if self._exporter is None and self._metrics_folder is not None and metrics.port:
            folder = Path(self._metrics_folder)
            self._exporter = Exporter(folder, metrics.host, metrics.port)
        self._exporter_trouble = None

    async def _reopen_exporter(self) -> None:
        """Who runs already is not kept from it by a port that somebody else has."""
        opened = False
        while self._stopping is None and not opened:
            try:
                self._open_exporter()
                opened = True
            except MetricsPortTaken as error:
                self._exporter_trouble = str(error)
                await asyncio.sleep(self.AGAIN_S)

    # Dedicated hosts, and how all are ---------------------------------------------------

    async def locate(self, source: str, actor: bytes | None) -> str:
        """The dedicated host of an actor, started if it is not there; its name. Raises
        StartFailed when it does not get ready, SystemDraining during a drain, SystemReplaced."""
        self._refuse_if_replaced()
        self._refuse_while_draining()
        if self._database is None or not self._database.started:
            await self._ensure_database()
        await self._dedicated.ensure_started(source, actor)
        return source

    async def statuses(self) -> tuple[Status, ...]:
        """The status of every process; one that does not answer says so."""
        processes = processes_of(self.settings)
        others = (self._status(*each) for each in processes.items() if each[0] != self.name)
        return (await self.status(), *await asyncio.gather(*others))

    async def facts(self) -> DirectoryFacts:
        store = self.settings.event_store
        url = store.connection_string.get_secret_value()
        return DirectoryFacts(
            store="memory" if store.type == "memory" else redacted_url(url),
            embedded=self._brings_database,
            draining=self._stopping is not None,
        )

    @property
    def trouble(self) -> str | None:
        """Why the system does not start, or what it cannot keep up."""
        if self._replaced is not None:
            return str(self._replaced)
        database = self._database.trouble if self._database else None
        return database or self._exporter_trouble or super().trouble

    async def _status(self, name: str, kind: ProcessKind) -> Status:
        try:
            asked = self._handle(name).status.remote()
            status: Status = await asyncio.wait_for(awaited(asked), self.STATUS_S)
        except (RayError, ValueError, TimeoutError) as error:
            return ProcessAway(name=name, kind=kind, reason=type(error).__name__)
        return status

    # The end --------------------------------------------------------------------------

    async def stop(self, timeout_s: float) -> DrainReport:
        """Flush every host and the writer, then end every process but this one. Who calls
        meanwhile shares the drain."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop(timeout_s))
        return await asyncio.shield(self._stopping)

    async def _stop(self, timeout_s: float) -> DrainReport:
        await self._cancel_starts()
        self._drain = Drain(processes_of(self.settings), self._handle, timeout_s)
        drained = await self._drain.run()
        self._drain = None
        problems = await self._close()
        return DrainReport(processes=drained, database_problem="; ".join(problems) or None)

    async def _cancel_starts(self) -> None:
        if self._reviving is not None:
            self._reviving.cancel()
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await self._dedicated.cancel()

    async def _close(self) -> list[str]:
        """End all that there is; what of it did not end. Whatever fails, the rest is ended."""
        problems: list[str] = []
        self._progress = Progress(doing="ending the processes")
        try:
            for name in processes_of(self.settings):
                if name != self.name:
                    self._end(name)
            if self._exporter:
                self._exporter.close()
            problems += await self._close_database()
            if self._metrics_folder:
                remove_folder(Path(self._metrics_folder))
        except Exception as error:  # somebody waits for the end, and it has to come
            logger.exception("the end of the system is not as it should be")
            problems.append(str(error) or type(error).__name__)
        self._over = True
        return problems

    async def _close_database(self) -> list[str]:
        """Give it up. An embedded one is stopped, unless it is somebody else's."""
        held = self._claim is not None and self._claim.held
        gave_up = await self._claim.give_up() if self._claim is not None else None
        if self._claim is not None:
            self._claim.close()
        if gave_up is not None:
            logger.warning("the database could not be given up: %s", gave_up)
        problems: list[str] = []
        if self._database:
            self._progress = Progress(doing="stopping the embedded PostgreSQL")
            others = self._claim is not None and self._claim.others
            if others or (self._database.found_running and not held):
                self._database.leave()
                return problems
            try:
                await self._database.stop()
            except (EmbeddedError, OSError) as error:
                problems.append(f"the embedded PostgreSQL did not stop: {error}")
        return problems

    async def over(self) -> bool:
        """Has all that this directory had started ended again?"""
        return self._over

    def _refuse_while_draining(self) -> None:
        if self._stopping is not None:
            raise SystemDraining(self.settings.actor_system.namespace)

    def _refuse_if_replaced(self) -> None:
        if self._replaced is not None:
            raise SystemReplaced(*self._replaced.args)

    # Processes ------------------------------------------------------------------------

    def _pooled(self) -> dict[str, type[Process]]:
        hosts = dict.fromkeys(self._pooled_hosts(), Host)
        return {WRITER_ACTOR: WriterActor, BUS_ACTOR: Bus, **hosts}

    def _pooled_hosts(self) -> list[str]:
        return [host_name(number) for number in range(self.settings.actor_system.hosts)]

    def _spawn(self, kind: type[Process], name: str, *more: object) -> Any:
        return spawn(kind, self.settings, name, self._metrics_folder, *more)

    def _spawn_dedicated(self, source: str, actor: bytes | None) -> Any:
        return self._spawn(Host, source, source, actor)

    async def _wait_ready(self, actor: Any) -> None:
        await actor.ready.remote()
        self._progress = replace(self._progress, done=self._progress.done + 1)

    def _handle(self, name: str) -> Any:
        return handle_of(self.settings, name)

    def _end(self, name: str) -> None:
        end(self.settings, name)
