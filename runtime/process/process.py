"""What every Ray actor of a system shares: its name, its settings, its start, its end.

Whoever makes a process calls it, and it comes to life with that call: `start` runs once, and
again after it failed, because a store that is away at start is back later. One that Ray has
restarted comes to life by itself, once its directory gives it leave (process/leave.py): its
predecessor may have left something undone, and nobody need call. What a process cannot do without
runs under `must_live`: where that fails, the process ends, and Ray starts it anew.
"""

import asyncio
import gc
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from typing import Any

import psutil

from actors.errors import ThornbackError
from actors.tell import class_named
from runtime.errors import StartFailed
from runtime.process import log_lines
from runtime.process.leave import AT_ONCE, leave_for
from runtime.process.spares import Spares
from runtime.process.time_limit import within
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.telemetry.exporter import folder_here
from runtime.telemetry.metrics import Metrics
from runtime.topology.names import kind_of
from runtime.topology.status import Facts, ProcessStatus
from runtime.transport.loopback import Address, Server
from runtime.wire.class_shipping import pickled_class
from store.errors import StaleEpoch, StoreUnavailable
from store.event_store import EventStore

logger = logging.getLogger("thornback.process")


class Process(ABC):
    """One named Ray actor process of the system.

    More than fifteen fields: who it is and what it works with, set once, and one state, of coming
    to life, that its start, its leave and its restart change together.
    """

    #: The methods that others call past Ray; all are of bytes to bytes.
    SERVES: tuple[str, ...] = ()
    #: How long one try to start may take: more than all that it may have to wait for.
    START_S = 60.0
    #: Does the directory say when it may begin again?
    SUPERVISED = True
    #: Between two tries at something that others prevent, who do not say when they no longer do.
    AGAIN_S = 1.0

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        # Who it is, and what it works with; set once, but that the directory learns where its
        # database is:
        self.name = name
        self.settings = Settings.model_validate_json(settings_json)
        self.node = f"{self.settings.event_bus.node_id}.{name}"
        self.world = world or World(self.settings.actor_system.namespace)
        if world is None:  # in a process of its own
            log_lines.begin(
                self.about, self._whose_log(), node=self.node, machine=self.world.machine()
            )
        self.metrics = Metrics(self.node, folder_here(metrics_folder) if metrics_folder else None)
        # What lives long here is many and acyclic: actors, rows, tables. Looking through it
        # all for cycles as often as Python does by default is work that finds nothing.
        gc.set_threshold(50_000, 20, 100)
        self.world.join_network(self.settings, self.metrics.connection_refused)
        self._server = Server(
            {name: getattr(self, name) for name in self.SERVES},
            self.world.machine,
            self.world.network,
        )
        # Whether it has come to life; changed by its event loop alone:
        self._starting: asyncio.Task[None] | None = None  #: the try under way, for all callers
        self._unasked: asyncio.Task[None] | None = None  #: the last try that nobody asked for
        self._started = False
        self._trouble: str | None = None  #: why the last try failed
        self._allowed = asyncio.Event()  #: it may begin, or has been told when
        self._resting: str | None = None  #: why it may not begin yet
        self._rests_until_s = 0.0  #: by the loop's clock, where it rests
        self._rested = asyncio.Event()  #: a rest is over
        #: For how long a rest is waited for by those who call: half of what an ask waits, as for
        #: all that is away (Host, WriterActor), so that its caller hears of the rest, not of time.
        self._patience_s = self.settings.actor_system.actor_timeout_ms / 2000
        #: In a process of its own, which may have been one:
        self._spares: Spares | None = None
        if world is None:
            self._spares = Spares(self.settings.actor_system.spare_processes)
        self._living: set[asyncio.Task[None]] = set()  #: what it cannot do without
        self._since_s = time.time()  #: of this incarnation, for its status
        #: Coming to life by itself, in the next turn of the loop: when the constructors are done.
        self._reviving = None
        if self.world.restarted():
            self._reviving = self.must_live(self._revive())
        else:
            self._allowed.set()

    @abstractmethod
    async def start(self) -> None:
        """Open what the process needs. Raises what a caller should hear."""

    async def ensure_started(self) -> None:
        """Start if that has not happened yet. Who calls meanwhile shares the try, and its
        failure: a ThornbackError, StartFailed where `start` raised something else or took
        longer than START_S, or where this process is to rest first for longer than whoever calls
        would wait; a shorter rest is waited for. The next call tries again. A
        try that this process began by itself is waited for; where that one fails, its reason is
        from before anybody called, so there is another try."""
        await self._allowed.wait()
        if self._resting is not None:
            if self._rest_left_s() > self._patience_s:
                raise StartFailed(self.name, self._resting)
            await self._rested.wait()
        if self._unasked is not None and not self._unasked.done():
            await asyncio.wait({self._unasked})
            if self._unasked.cancelled():
                raise asyncio.CancelledError
        if not self._started:
            if self._starting is None:
                self._starting = asyncio.ensure_future(self._start())
            await asyncio.shield(self._starting)

    def uncounted_s(self) -> float:
        """So many seconds of this incarnation do not count where a start has a time limit."""
        return 0.0

    async def ready(self) -> str:
        """The node's name, once it has started. Raises what `ensure_started` raises, and
        StartFailed for a rest, however short: who asks this may ask again, or wait (`rested`)."""
        await self.ensure_at_work()
        return self.node

    async def ensure_at_work(self) -> None:
        """Start if that has not happened yet, for callers who ask again by themselves, as they know
        how long they may. Raises what `ensure_started` raises, and StartFailed at once where this
        process is to rest first, however short that rest is."""
        await self._allowed.wait()
        if self._resting is not None:
            raise StartFailed(self.name, self._resting)
        await self.ensure_started()

    async def rested(self, wait: bool) -> bool:
        """Was it to rest before it begins? Waits, if that is wanted, until the rest is over."""
        resting = self._resting is not None
        if resting and wait:
            await self._rested.wait()
        return resting

    def must_live(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run what this process cannot do without, in the background: should it fail, that
        is logged and the process ends, for Ray to start it anew."""
        task = asyncio.ensure_future(work)
        self._living.add(task)
        task.add_done_callback(self._outlived)
        return task

    async def outlive_fence(self, store: EventStore, stale: StaleEpoch) -> None:
        """The database has fenced this process off; return if it is to live on, though it never
        appends again.

        That may have been another incarnation of this very process: its successor, or a
        predecessor whose start reached the database late, perhaps one of before the system was
        drained and launched anew. Which of them is to be, Ray alone
        knows: `stale` is raised, for `must_live` to end this one, and if it was the one, Ray
        starts it anew. So what is fenced off recovers, and as each incarnation begins but
        once, they do not go on fencing one another off. A process of another system, though,
        has taken the log over for good: if this one came back, the two would never end.
        """
        if await self._holder_of(store, stale.name) == self.world.holder(self.settings):
            raise stale

    async def address(self) -> Address:
        """Where other processes reach what it SERVES."""
        return await self._server.address()

    # Where a machine is about to go, it is named: of whoever was found there, Ray may have made a
    # successor elsewhere since, to whom the call comes then.

    async def on_machine(self) -> str:
        """Where this process runs: Ray's id of the machine."""
        return self.world.machine()

    async def drain_on(self, machine: str) -> int:
        """Flush this process if it is on that machine, and nothing otherwise; what `drain` says."""
        return await self.drain() if machine == self.world.machine() else 0

    async def move_away(self, machine: str) -> None:
        """End if this process is on that machine, for Ray to start it on another one. Whoever calls
        has flushed it, and gets no answer from one that ends."""
        if machine == self.world.machine():
            logger.info("%s leaves this machine, which is about to go", self.name)
            self.world.end()

    async def class_named(self, actor_type: str) -> bytes | None:
        """The class of a receiver that a message from here has named, as code; None where none
        has. Raises ImportsLate, and whatever pickling the class comes to."""
        actor = class_named(actor_type)
        return None if actor is None else await asyncio.to_thread(pickled_class, actor)

    async def drain(self) -> int:
        """Settle what it has accepted; of what, says each kind that accepts anything."""
        return 0

    def close(self) -> None:
        """Listen no more, and end all connections: where Ray does not end the process."""
        self._server.close()

    def about(self) -> str | None:
        """Whose source what is said in this moment is about, if it is about one actor."""
        return None

    async def log(self, offsets: Mapping[str, int]) -> dict[str, log_lines.Piece]:
        """What this process has said on this machine, in earlier incarnations, too, after what
        the caller has (log_lines.read)."""
        return await asyncio.to_thread(log_lines.read, offsets, self._whose_log())

    def _whose_log(self) -> str:
        return f"{self.settings.actor_system.namespace}/{self.name}"

    async def wait_flushed(self) -> None:
        """Wait until every call over loopback is answered."""
        await self._server.wait_flushed()

    async def status(self) -> ProcessStatus:
        """What `jobs/status.py` shows of this process."""
        kind = kind_of(self.name, self.settings.actor_system.placement)
        assert kind is not None  # it was started under this name because of it
        memory = psutil.Process().memory_full_info()
        return ProcessStatus(
            name=self.name,
            kind=kind,
            node=self.node,
            machine=self.world.machine(),
            restarted=self.world.restarted(),
            pid=os.getpid(),
            up_s=time.time() - self._since_s,
            rss_bytes=memory.rss,
            private_bytes=memory.uss,
            trouble=self.trouble,
            through_ray=self._through_ray(),
            facts=await self.facts(),
        )

    @property
    def trouble(self) -> str | None:
        """Why the last try to start failed; None if it did not."""
        return self._trouble

    @abstractmethod
    async def facts(self) -> Facts | None:
        """What else there is to say of this kind of process; None until it has started."""

    def _through_ray(self) -> tuple[str, ...]:
        network = self.world.network
        return tuple(
            f"{name}: {why}"
            for name, why in sorted({} if network is None else network.through_ray.items())
        )

    async def _holder_of(self, store: EventStore, name: str) -> str:
        while True:
            try:
                return (await store.epochs([name]))[name].holder
            except StoreUnavailable:
                await asyncio.sleep(self.AGAIN_S)

    async def _revive(self) -> None:
        if not self._allowed.is_set():
            await self._take_leave()
        while not self._started:
            try:
                if self._starting is None:
                    self._unasked = self._starting = asyncio.ensure_future(self._start())
                await asyncio.shield(self._starting)
            except ThornbackError as error:
                logger.error("%s does not come back to life: %s", self.name, error)
                await asyncio.sleep(self.AGAIN_S)

    async def _take_leave(self) -> None:
        """Wait until it may begin. Whoever calls meanwhile waits, too, or is told so."""
        leave = await leave_for(self.name, self.world) if self.SUPERVISED else AT_ONCE
        if leave.rest_s:
            logger.warning("%s rests for %.1f s: %s", self.name, leave.rest_s, leave.why)
            self._resting = self._trouble = f"{leave.why}, and rests for {leave.rest_s:.1f} s"
            self._rests_until_s = asyncio.get_running_loop().time() + leave.rest_s
        self._allowed.set()
        if leave.rest_s:
            try:
                await asyncio.sleep(leave.rest_s)
            finally:
                self._resting = None
                self._rested.set()

    def _rest_left_s(self) -> float:
        return self._rests_until_s - asyncio.get_running_loop().time()

    async def _start(self) -> None:
        try:
            if self.world.network is not None:
                self.world.network.check()
            await within(self.START_S, self.start(), self.uncounted_s)
            self._started, self._trouble = True, None
            if self._spares is not None:
                self._spares.soon()
        except Exception as error:
            self._trouble = str(error) or f"not done within {self.START_S:g} s"
            if isinstance(error, ThornbackError):
                raise
            raise StartFailed(self.name, self._trouble) from error
        finally:
            self._starting = None

    def _outlived(self, task: asyncio.Task[None]) -> None:
        self._living.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("%s cannot go on: Ray is to start it anew", self.name, exc_info=error)
            self.world.end()
