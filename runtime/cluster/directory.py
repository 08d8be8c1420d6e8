"""The directory: which process runs which actors, and the root of the system.

Actor ids hash into shards, and the directory maps shards to hosts. It is the Ray actor
that starts the others, finds or makes dedicated hosts, keeps the embedded PostgreSQL
running, serves the metrics of all, and stops everything when the system is drained.

It also has the system's claim on its database (runtime/cluster/system_database.py): another system
that takes that over ends this one, and the directory stays to say so.

A system is launched, runs, is draining, and is over (runtime/cluster/lifecycle.py). One that is
over waits for its end: whoever drained it ends this process, or else the next launch does
(runtime/cluster/launching.py).
"""

import asyncio
import logging

from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.cluster import embedded_database as embedded
from runtime.cluster.draining import Drain
from runtime.cluster.host_stopping import HostStopping
from runtime.cluster.lifecycle import Lifecycle
from runtime.cluster.machine_keeper import MachineKeeper
from runtime.cluster.metrics_keeper import MetricsKeeper
from runtime.cluster.process_supervision import ProcessSupervision, policy_of
from runtime.cluster.sharding import Sharding
from runtime.cluster.spawning import DedicatedHosts, reason_of
from runtime.cluster.succession import Succession
from runtime.cluster.system_database import SystemDatabase
from runtime.cluster.system_processes import SystemProcesses
from runtime.cluster.workers import Workers
from runtime.errors import AnotherSystem, LaunchFailed, SystemNotFound
from runtime.process.leave import AT_ONCE, Leave
from runtime.process.process import Process
from runtime.process.time_limit import within
from runtime.process.world import World
from runtime.processing.dead_letters import Replayed
from runtime.settings.settings import redacted_url
from runtime.topology.names import ProcessKind, kind_of, number_of_host
from runtime.topology.release import check_release
from runtime.topology.status import (
    DirectoryFacts,
    DrainReport,
    Progress,
    Status,
    Topology,
)
from store.dead_letters import Parked
from store.errors import SystemReplaced
from store.shards import ShardTable

logger = logging.getLogger("thornback.directory")


class Directory(Process):
    """Named `directory`. `launch` is what `ActorSystem.launch` waits for."""

    #: The recovery of an embedded database may take minutes, and the others wait for it.
    START_S = 600.0
    SUPERVISED = False  # by whom? Traffic goes on without it

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        self._processes = SystemProcesses(name, lambda: self.settings, self.world, metrics_folder)
        self._dedicated = DedicatedHosts(
            self._processes.find, self._processes.start_dedicated, self._processes.end
        )
        self._workers = Workers(self._processes, self.world)
        self._sharding = Sharding(self._processes, lambda: self.settings, self.world)
        self._stopping = HostStopping(
            self._sharding, lambda: self.settings, self.world, may_act=self._may_stop
        )
        self._supervision = ProcessSupervision(
            policy_of(self.settings.actor_system),
            now_s=lambda: asyncio.get_running_loop().time(),
            chance=lambda: int.from_bytes(self.world.random(4)) / 2**32,
            in_its_place=self._stopping.others_than,
            stop=self._stopping.stop,
            count=lambda kind, became: self.metrics.process_ends.labels(kind, became).inc(),
        )
        for became in ("restarted", "rested", "stopped"):  # shown from the beginning
            self.metrics.process_ends.labels(ProcessKind.POOLED_HOST, became)
        # Its parts that are no processes:
        self._metrics = MetricsKeeper(metrics_folder, self.settings.metrics)
        self._database = SystemDatabase(
            lambda: self.settings,
            self.world.system(self.settings),
            self.world.claim_table(lambda: self.settings),
            moved=self._moved,
            doing=self._begin,
            must_live=self.must_live,
        )
        self._succession = Succession(name, self.world)
        self._machines = MachineKeeper(
            self._processes,
            self.world,
            has_system=self._has_system,
            bound=lambda: self._database.embedded or self.settings.event_store.type == "memory",
        )
        self._keeping: asyncio.Task[None] | None = None  #: the machines, once the system runs
        # Where the system stands; its event loop alone changes that:
        self._life = Lifecycle(
            self.settings.actor_system.namespace, found_running=self.world.restarted()
        )
        self._progress = Progress(doing="starting")
        self._drain: Drain | None = None  #: while processes are flushed

    # Launching ------------------------------------------------------------------------

    async def launch(
        self, timeout_s: float, take_over: bool = False, release: str = ""
    ) -> Topology | None:
        """Start the system, and say what runs; None if it is over. `take_over` takes the database
        from whichever system has it.

        Raises LaunchFailed (DatabaseInUse where another system has the database), and then
        nothing is left in the namespace of what had not been there before, unless another launch
        still waits. Raises SystemDraining, SystemReplaced, and AnotherRelease
        where whoever asks is not of the same `release`.
        """
        self._check_release(release)
        if self._life.undoing is not None:
            await asyncio.shield(self._life.undoing)
        if self._life.over:
            return None
        with self._life.launching(take_over=take_over):
            try:
                return await self._started_within(timeout_s)
            except LaunchFailed:
                if self._life.in_vain:
                    await self._life.undo(self._undo())
                raise

    async def join(self, timeout_s: float, release: str = "") -> Topology:
        """What a driver has to know, as soon as the system runs. Raises LaunchFailed if it
        does not, SystemDraining, SystemReplaced, SystemNotFound if it is over, and AnotherRelease
        where the driver is not of the same `release`."""
        self._check_release(release)
        if self._life.over and self._life.replaced is None:
            raise SystemNotFound(self.settings.actor_system.namespace)
        return await self._started_within(timeout_s)

    def _check_release(self, theirs: str) -> None:
        check_release(self.settings.actor_system.namespace, theirs)

    async def start(self) -> None:
        """Start every process of the system and wait until each is ready."""
        life = self._life
        life.found_running |= bool(self._processes.others())
        await self._database.ensure_started()
        if not life.found_running:
            self._metrics.open()
        elif not self._metrics.begun:
            self.must_live(self._metrics.open_when_free(lambda: life.draining is not None))
        await self._database.claim(
            self._yield_to,
            self._has_system,
            take_over=lambda: life.takes_over,
            again=life.found_running,
        )
        await self._sharding.deal(launched=not life.found_running)
        life.has_shards.set()
        await self._processes.start(self._show, again=life.found_running)
        if self._sharding.table is None:
            await self._sharding.learn()
        if not life.found_running:
            await self._machines.start()
        life.found_running = True
        self._keeping = self._keeping or self.must_live(self._machines.keep())
        self._sharding.keep_promoting(self, lambda: self._stopping.stopped)

    async def progress(self) -> Progress:
        """How far the launch, or the drain, has come."""
        if (claiming := self._database.progress) is not None:
            return claiming
        return self._drain.progress if self._drain else self._progress

    def uncounted_s(self) -> float:
        """Migrations take the time that they take."""
        return self._database.migrated_s()

    async def _started_within(self, timeout_s: float) -> Topology:
        self._life.check_not_replaced()
        self._life.check_not_draining()
        try:
            await within(timeout_s, self.ensure_started(), self.uncounted_s)
        except asyncio.CancelledError as error:
            self._life.check_not_draining()  # it was the drain that ended the start
            self._life.check_not_replaced()
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

    async def _yield_to(self, replaced: SystemReplaced) -> None:
        """Another system has the database now: all of this one ends but the directory, which
        says so to whoever asks, until it is drained or launched anew."""
        logger.critical("this system ends: %s", replaced)
        self._life.replaced = replaced
        await self._cancel_starts()
        await self._close()

    def _begin(self, doing: str) -> None:
        self._show(Progress(doing=doing))

    def _show(self, progress: Progress) -> None:
        self._progress = progress

    def _topology(self) -> Topology:
        return Topology(
            settings_json=self.settings.model_dump_json(),
            hosts=tuple(self._processes.sharded()),
            shards=self._sharding.table,
            # In memory it lives and dies with this system.
            log=self.world.ray_actor() if self._database.log is None else self._database.log,
            directory=self.world.ray_actor(),
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
        return await self._database.url()

    def _moved(self, url: str) -> None:
        self.settings = embedded.with_database(self.settings, url)

    # Dedicated hosts, and how all are ---------------------------------------------------

    async def locate(self, source: str, actor: bytes | None) -> str:
        """The dedicated host of an actor, started if it is not there; its name. Raises
        StartFailed when it does not get ready, SystemDraining during a drain, SystemReplaced."""
        self._life.check_not_replaced()
        self._life.check_not_draining()
        await self._database.ensure_started()
        await self._dedicated.ensure_started(source, actor)
        return source

    async def dedicated_hosts(self) -> list[str]:
        """The names of those that there are now. None of them is asked anything."""
        others = await self.world.aside(self._processes.others)
        return [name for name, kind in others.items() if kind is ProcessKind.DEDICATED_HOST]

    # Shards -------------------------------------------------------------------------------

    async def move_shards(self, shards: list[int], to: str, timeout_s: float) -> ShardTable:
        """Have a pooled host have these shards, while traffic runs (Sharding.move). Raises
        HostUnavailable, SystemDraining during a drain, SystemReplaced."""
        self._life.check_not_replaced()
        self._life.check_not_draining()
        await self.ensure_started()
        return await self._sharding.move_shards(shards, to, timeout_s)

    async def add_host(self, name: str, timeout_s: float) -> None:
        """Have a pooled or promoted host of this name (Sharding.add_host). Raises HostUnavailable,
        SystemDraining during a drain, SystemReplaced."""
        self._life.check_not_replaced()
        self._life.check_not_draining()
        await self.ensure_started()
        self._supervision.begins_anew(name)
        await self._sharding.add_host(name, timeout_s)
        self._stopping.started(name)

    async def remove_host(self, name: str, timeout_s: float) -> None:
        """End a host that has no shards (Sharding.remove_host). Raises HostUnavailable,
        SystemDraining during a drain, SystemReplaced."""
        self._life.check_not_replaced()
        self._life.check_not_draining()
        await self.ensure_started()
        await self._sharding.remove_host(name, timeout_s)
        self._stopping.removed(name)

    async def keep_host(self, name: str) -> None:
        """Have a host be there that has shards (Sharding.keep_host). Raises
        StoreUnavailable, SystemDraining during a drain, SystemReplaced."""
        self._life.check_not_replaced()
        self._life.check_not_draining()
        await self.ensure_started()
        await self._sharding.keep_host(name)

    async def shard_table(self) -> ShardTable:
        """Which host has which shard, as the store says, for whoever knows no host that could say
        it. Raises StoreUnavailable, StartFailed where the system ends, SystemReplaced."""
        self._life.check_not_replaced()
        await self.ensure_started()
        return await self._sharding.told()

    async def sharing(self, timeout_s: float) -> tuple[ShardTable, dict[int, float], list[str]]:
        """Which host has which shard, about how many commands a second came for each lately, and
        which hosts there are that may have some (Sharding.sharing), or were stopped. Raises
        HostUnavailable where the store does not say in time, SystemDraining during a drain,
        SystemReplaced."""
        self._life.check_not_replaced()
        self._life.check_not_draining()
        await self.ensure_started()
        table, loads, there = await self._sharding.sharing(timeout_s)
        # Who wants fewer hosts does not want those any more, and nobody need hear of them.
        stopped = [name for name in self._stopping.stopped if number_of_host(name) is not None]
        return table, loads, sorted({*there, *stopped})

    # Supervision --------------------------------------------------------------------------

    async def begins_again(self, name: str, incarnation: bytes) -> Leave:
        """When a process may begin that Ray has started anew (ProcessSupervision). Answered also
        while this one starts: whoever asks does not wait for long."""
        kind = kind_of(name, self.settings.actor_system.placement)
        if kind is None or self._life.draining is not None or self._life.over:
            return AT_ONCE
        return self._supervision.begins_again(name, kind, incarnation)

    async def _may_stop(self) -> bool:
        # Not until it has started: whoever is to be stopped may keep it from that.
        await self._life.has_shards.wait()
        return await self._has_system()

    # Stream programs ---------------------------------------------------------------------

    async def run_program(
        self,
        program: str,
        code: bytes,
        workers: int,
        after: int,
        handlers: tuple[str, ...] = (),
        keep: bool = False,
    ) -> None:
        """Have a stream program run in so many workers (Workers.ensure_running). Raises
        InvalidProgram, SystemDraining during a drain, SystemReplaced."""
        self._life.check_not_replaced()
        self._life.check_not_draining()
        await self.ensure_started()
        await self._workers.ensure_running(program, code, workers, after, handlers, keep=keep)

    async def stop_program(self, program: str, *, dropped: bool = False) -> None:
        """End its workers (Workers.stop). Raises UnknownProgram."""
        await self._workers.stop(program, dropped=dropped)

    async def resume_program(self, program: str, skip: bool) -> int:
        """Have it go on where it fails; how many workers did. Raises UnknownProgram."""
        return await self._workers.resume(program, skip=skip)

    # Messages between actors --------------------------------------------------------------

    async def deliver_messages(self) -> None:
        """Have a process that delivers them; Ray keeps it, whatever becomes of this one. It comes
        to life by itself. Raises SystemDraining during a drain, SystemReplaced."""
        self._life.check_not_replaced()
        self._life.check_not_draining()
        await self._database.ensure_started()
        self._processes.start_deliverer()

    async def keep_timers(self) -> None:
        """Have a process that fires timers, likewise. Raises SystemDraining, SystemReplaced."""
        self._life.check_not_replaced()
        self._life.check_not_draining()
        await self._database.ensure_started()
        self._processes.start_timekeeper()

    async def replay_program(self, program: str, parked: Parked | None) -> Replayed:
        """Replay its dead letters, of something that is parked or all of them. Raises
        UnknownProgram where it does not run, and NotPossible where it stands at an event."""
        return await self._workers.replay(program, parked)

    async def statuses(self) -> tuple[Status, ...]:
        """The status of every process; one that does not answer says so."""
        others = await self._processes.statuses()
        return (await self.status(), *others, *self._stopping.statuses())

    async def facts(self) -> DirectoryFacts:
        store = self.settings.event_store
        url = store.connection_string.get_secret_value()
        return DirectoryFacts(
            store="memory" if store.type == "memory" else redacted_url(url),
            embedded=self._database.embedded,
            draining=self._life.draining is not None,
        )

    @property
    def trouble(self) -> str | None:
        """Why the system does not start, or what it cannot keep up."""
        if self._life.replaced is not None:
            return str(self._life.replaced)
        return self._database.trouble or self._metrics.trouble or super().trouble

    # The end --------------------------------------------------------------------------

    async def stop(self, timeout_s: float, directory: str = "") -> DrainReport:
        """Flush every host and the writer, then end every process but this one. Who calls
        meanwhile shares the drain. Raises AnotherSystem, and does nothing, where the caller
        names the `directory` of the system that he means (Topology.directory), and it is not
        this one."""
        if directory not in ("", self.world.ray_actor()):
            raise AnotherSystem(self.settings.actor_system.namespace)
        return await self._life.drain(lambda: self._stop(timeout_s))

    async def _stop(self, timeout_s: float) -> DrainReport:
        await self._cancel_starts()
        self._drain = Drain(self._processes.others(), self._processes.drained, timeout_s)
        drained = await self._drain.run()
        self._drain = None
        problems = await self._close()
        return DrainReport(processes=drained, end_problems=tuple(problems))

    async def _cancel_starts(self) -> None:
        if self._reviving is not None:
            self._reviving.cancel()
        if self._starting is not None:
            starting = self._starting
            starting.cancel()
            await asyncio.wait([starting])
            if not starting.cancelled():
                starting.exception()  # whoever waits for it hears of it
        await self._dedicated.cancel()
        await self._workers.cancel()
        await self._stopping.cancel()
        await self._sharding.cancel()
        if self._keeping is not None and self._keeping is not asyncio.current_task():
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _close(self) -> list[str]:
        """End all that there is; what of it did not end. Whatever fails, the rest is ended. Of a
        system that is a successor's by now nothing is ended but this directory."""
        problems: list[str] = []
        self._begin("ending the processes")
        try:
            if not await self._others_ended():
                return ["Ray has made another directory, which has the system now"]
            self._metrics.close()
            problems += await self._database.give_up()
            self._metrics.remove()
        except Exception as error:  # somebody waits for the end, and it has to come
            logger.exception("the end of the system is not as it should be")
            problems.append(str(error) or type(error).__name__)
        self._life.over = True
        return problems

    async def _others_ended(self) -> bool:
        """End the others; False where a successor has the rest of them, and the system."""
        for name in self._processes.others():
            if not await self._has_system():
                return False
            self._processes.end(name)
        return await self._has_system()

    async def _has_system(self) -> bool:
        """Does this incarnation have the system? It ends if a later one does: what it does for the
        system, that one does."""
        if await self._succession.is_ours():
            return True
        logger.critical("this directory ends: Ray has made another one, which has the system now")
        self.world.end()
        return False

    async def mark(self) -> bytes:
        """What tells this incarnation of the directory from every other one."""
        return self._succession.mark

    async def over(self) -> bool:
        """Has all that this directory had started ended again?"""
        return self._life.over
