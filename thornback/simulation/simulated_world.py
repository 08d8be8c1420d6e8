"""The world of one simulated process, and the post of one simulated driver."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from math import inf
from typing import Any, TypeVar

from runtime.process.claim_table import ClaimTable
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.machines import Machine
from store.event_store import EventStore
from thornback.simulation.database import Database
from thornback.simulation.draws import latency_s, stream
from thornback.simulation.processes import Cluster, Handle, Incarnation, SimulatedActors
from thornback.simulation.scheduler import Owner
from thornback.simulation.simulated_claims import SimulatedClaimTable
from thornback.simulation.simulated_notes import SimulatedNotes
from thornback.simulation.simulated_store import SimulatedStore

T = TypeVar("T")

#: When simulations begin: 2024-01-01, in Unix microseconds.
BEGIN_US = 1_704_067_200_000_000
#: Of the questions to Ray's head, so many take a while, up to so long.
SLOW, SLOW_S = 0.05, 3.0


class SimulatedWorld(World):
    """What a process touches outside itself, all of it simulated."""

    def __init__(
        self,
        cluster: Cluster,
        database: Database,
        holder: Owner,
        machine: str,
        end: Callable[[Owner], None],
    ) -> None:
        self.cluster = cluster
        self._database = database
        self._holder = holder
        self._machine = machine
        self._end = end
        self._draw = stream(cluster.loop.seed, "world", holder)
        self._handles: dict[str, Handle] = {}  # each looked up once, as from Ray
        self._forgotten = 0  # how often one was forgotten
        self._lookups = stream(cluster.loop.seed, "lookups", holder)
        self.actors = SimulatedActors(cluster, holder)
        self.late_s = 0.0  #: so much later Ray's head answers whatever is looked up here
        self.ends_s = inf  #: when the dead man's switch ends it
        self.jumped_us = 0  #: how far the wall clock has been set forward, or back

    def draw_anew(self, connected: int) -> None:
        """A connection after others of its driver draws an identity of its own."""
        if connected:
            self._draw = stream(self.cluster.loop.seed, "world", self._holder, connected)

    def restarted(self) -> bool:
        return isinstance(self._holder, Incarnation) and self._holder.number > 1

    def ray_actor(self) -> str:
        if not isinstance(self._holder, Incarnation):
            return ""
        return self._holder.process.identity

    async def handle(self, name: str) -> Any:
        found = self._handles.get(name)
        if found is None:
            forgotten = self._forgotten
            await asyncio.sleep(self._lookup_s())
            found = self.cluster.handle(name, self._holder)
            if forgotten == self._forgotten:  # as in runtime/transport/peers.py
                self._handles[name] = found
        return found

    def forget(self, name: str) -> None:
        self._handles.pop(name, None)
        self._forgotten += 1

    async def aside(self, work: Callable[[], T]) -> T:
        """No threads here; what it takes is as long as a lookup."""
        await asyncio.sleep(self._lookup_s())
        return work()

    def system(self, settings: Settings) -> str | None:
        return f"{self.cluster.name}/{settings.actor_system.namespace}"

    def claim_table(self, settings: Callable[[], Settings]) -> ClaimTable:
        return SimulatedClaimTable(self._database, self._holder)

    async def machines(self) -> Sequence[Machine]:
        """None comes and none goes."""
        return ()

    def machine(self) -> str:
        return self._machine

    async def open_store(self, settings: Settings) -> EventStore:
        store = SimulatedStore(
            self._database,
            self._holder,
            pool_size=settings.event_store.connection_pool_size,
            timeout_s=settings.actor_system.actor_timeout_ms / 1000,
            system=self.system(settings),
        )
        await store.head()  # a pool opens with a connection
        return store

    def now_us(self) -> int:
        return BEGIN_US + int(self.cluster.loop.time() * 1e6) + self.jumped_us

    def random(self, size: int) -> bytes:
        return self._draw.randbytes(size)

    def beside(self, work: Callable[[], None]) -> None:
        """No threads here: nobody looks at real time."""

    def notes(self) -> SimulatedNotes | None:
        holder = self._holder
        return SimulatedNotes(holder) if isinstance(holder, Incarnation) else None

    def end_unless_called(self, within_s: float, telling: int) -> None:
        """Nobody is there who would do it: code here takes no time, but for what has itself looked
        at what would become of it (tests/simulation/blocking.py)."""
        self.ends_s = self.cluster.loop.time() + within_s

    def end(self) -> None:
        self._end(self._holder)

    def _lookup_s(self) -> float:
        """How long Ray's head takes to answer: a moment, or a while."""
        draw = self._lookups
        slow = draw.random() < SLOW and self.cluster.head_slow
        return self.late_s + (draw.uniform(0.1, SLOW_S) if slow else latency_s(draw))


class SimulatedCourier:
    """Where a driver's channels work: the loop of all."""

    def __init__(self, holder: Owner) -> None:
        self.loop: asyncio.AbstractEventLoop = holder.loop
        self._holder = holder
        self._tasks: list[asyncio.Task[Any]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        done: Future[T] = Future()
        task = self._holder.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(lambda _: _pass_on(task, done))
        return done

    def close(self) -> None:
        """Cancel what runs, as the thread does when it ends; it first lets the connection say
        its goodbyes, for which whoever closes it waits."""
        self._holder.later(2.0, self._end)

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()


def _pass_on(task: "asyncio.Task[T]", done: "Future[T]") -> None:
    if done.done() or done.cancelled():
        return
    if task.cancelled():
        done.cancel()
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())
