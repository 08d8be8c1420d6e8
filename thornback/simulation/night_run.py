"""One night: a system, a test that drives it, and what goes wrong, by a seed."""

import asyncio
import gc
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Any

from runtime.settings.settings import Settings
from runtime.topology.names import TIMEKEEPER_ACTOR
from runtime.topology.status import Topology
from thornback.simulation.answers import Answered, noted
from thornback.simulation.checks import check_answers, check_log, check_receipts, check_services
from thornback.simulation.database import Database
from thornback.simulation.database_requests import ClientRequest
from thornback.simulation.errors import PromiseBroken, WaitsForEver
from thornback.simulation.guards import Guards, is_users
from thornback.simulation.launching import launch
from thornback.simulation.night import SETTLE_S, Night
from thornback.simulation.plain_rows import Record, record_of
from thornback.simulation.processes import Cluster, Incarnation
from thornback.simulation.scheduler import Owner, SimulatedLoop, TurnsInCircles
from thornback.simulation.simulated_world import BEGIN_US, SimulatedCourier, SimulatedWorld
from thornback.simulation.sockets import Network
from thornback.simulation.striking import Fault
from thornback.simulation.system import SimulatedSystem
from thornback.simulation.timer_checks import check_timers
from thornback.simulation.trouble import Faults, TroubleMaker

#: Seconds of virtual time that a night may last: two weeks.
LONGEST_S = 1_209_600.0

#: What drives a system: a test, with a night of its own.
Test = Callable[[Night], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one night came to."""

    seed: int
    error: BaseException | None  #: that the test, or a check, has ended with
    digest: str  #: of everything that happened
    virtual_s: float
    steps: int  #: of the scheduler
    log: tuple[Record, ...]
    faults: tuple[Fault, ...]  #: that have struck by themselves
    told: tuple[tuple[float, str], ...]  #: what has gone wrong, and the test's own notes, by time


class NightRun:
    """The parts of one night, and how they are run.

    More than fifteen fields: one for each part, and a part is an object of its own.
    """

    def __init__(
        self, seed: int, settings: Settings, faults: Faults, plan: Iterable[Fault] | None = None
    ) -> None:
        # What is simulated:
        self.loop = SimulatedLoop(seed, rests=True)
        self.network = Network(self.loop)
        self.clusters = [Cluster("", self.loop, self.network, self._made)]
        self.clusters[0].head_slow = False
        self.database = Database(self.loop)
        self.database.asked = self._asked
        if self.loop.heartbeats is not None:
            self.loop.heartbeats.due_s = self._timer_due_s
        self.settings = settings
        # What comes to be while it runs:
        self.worlds: dict[str, list[SimulatedWorld]] = {}  #: by name: one a life, or connection
        self.jumped_us: dict[str, int] = {}  #: by name: of its clock, for worlds still to come
        self.topology: Topology  #: of the system, once it is launched
        self.told: list[tuple[float, str]] = []
        self.trouble = TroubleMaker(self, faults, plan, self.tell)
        self._systems: list[SimulatedSystem] = []
        self._answers: list[Answered] = []

    @property
    def seed(self) -> int:
        """What all is drawn from."""
        return self.loop.seed

    @property
    def cluster(self) -> Cluster:
        """The processes of the system."""
        return self.clusters[0]

    def tell(self, what: str) -> None:
        """Something is to be told, should the night fail."""
        self.told.append((self.loop.time(), what))

    def run(self, test: Test) -> Outcome:
        """All of it, from the launch to the checks. What the test raises is in the outcome."""
        guards = Guards(self.seed)
        error: BaseException | None = None
        with ExitStack() as during:
            during.enter_context(_no_logging())
            during.enter_context(guards.on())
            self._answers = during.enter_context(noted())
            try:
                self._play(test)
            except BaseException as raised:  # also what stops the whole run, which is passed on
                error = raised
            self._end()
        if guards.seen and not isinstance(error, KeyboardInterrupt):
            error = guards.seen[0]  # whoever it was raised in may have made something else of it
        outcome = self._outcome(error)
        self._forget()
        return outcome

    def connect(self, name: str, holder: Owner) -> SimulatedSystem:
        """A driver's connection."""
        connected = len(self.worlds.get(name, ()))
        world = self._world(name, holder)
        world.draw_anew(connected)
        system = SimulatedSystem(self.topology, world, SimulatedCourier(holder))
        self._systems.append(system)
        return system

    def records(self) -> list[Record]:
        """The log."""
        return [record_of(row) for row in self.database.rows]

    def _play(self, test: Test) -> None:
        operator = Owner(self.loop, "operator")
        launching = operator.create_task(launch(self._world("operator", operator), self.settings))
        self._wait_for(launching)
        self.topology = launching.result()
        driver = Owner(self.loop, "test")
        night = driver.context.copy().run(Night, self, driver)
        self.trouble.begin()
        task = driver.create_task(_played(test, night))
        self._wait_for(task)
        task.result()
        self.trouble.end()
        self.loop.run_until(self.loop.time() + SETTLE_S)
        problems = [*self._problems(), *self.loop.unseen]
        if problems:
            raise PromiseBroken("; ".join(problems[:10]))

    def _wait_for(self, task: "asyncio.Task[Any]") -> None:
        if not self.loop.run_until_done(task, LONGEST_S):
            after = str(timedelta(seconds=round(self.loop.time())))
            raise WaitsForEver(_where(task), after)

    def _problems(self) -> Iterator[str]:
        log = self.records()
        yield from check_log(log)
        yield from check_answers(log, self._answers)
        yield from check_receipts(self.database)
        yield from check_services(self.database)
        names = [TIMEKEEPER_ACTOR, *self.topology.hosts]
        slowest_us = min(self.jumped_us.get(name, 0) for name in names)
        yield from check_timers(log, BEGIN_US + int(self.loop.time() * 1e6) + slowest_us)

    def _timer_due_s(self) -> float:
        looks_us = (timer.look_us for timer in self.database.timers._timers.values())
        first_us = min(looks_us, default=None)
        return inf if first_us is None else (first_us - BEGIN_US) / 1e6

    def _made(self, life: Incarnation, kind: type[Any], arguments: tuple[Any, ...]) -> Any:
        return kind(*arguments, world=self._world(life.process.name, life))

    def _world(self, name: str, holder: Owner) -> SimulatedWorld:
        world = SimulatedWorld(self.cluster, self.database, holder, "a", self._ended)
        world.jumped_us = self.jumped_us.get(name, 0)
        self.worlds.setdefault(name, []).append(world)
        return world

    def _ended(self, holder: Owner) -> None:
        """A process ended itself, since it was fenced off: Ray starts it anew."""
        assert isinstance(holder, Incarnation)
        holder.process.end(holder)

    def _asked(self, request: ClientRequest) -> None:
        if request.commits or request.opens or request.moves:
            self.loop.news()
        if request.commits:
            self.trouble.heard(request)

    def _end(self) -> None:
        with suppress(TurnsInCircles):  # which has been told
            self.loop.run_until(self.loop.time())  # what has just begun does begin
        self.loop.end()
        for system in self._systems:
            system.connection.left_behind()

    def _forget(self) -> None:
        self.clusters.clear()
        self.network.connections.clear()
        self.network.listening.clear()
        self.worlds.clear()
        self._systems.clear()

    def _outcome(self, error: BaseException | None) -> Outcome:
        log = tuple(self.records())
        told = hashlib.sha256()
        for record in log:
            told.update(repr(record).encode())
        told.update(repr((self.told, self.loop.steps, self.loop.time())).encode())
        return Outcome(
            seed=self.seed, error=error, digest=told.hexdigest(), virtual_s=self.loop.time(),
            steps=self.loop.steps, log=log, faults=tuple(self.trouble.struck),
            told=tuple(self.told),
        )  # fmt: skip


async def _played(test: Test, night: Night) -> None:
    await test(night)


def _where(task: "asyncio.Task[Any]") -> str:
    """Where a task waits, in the innermost frame that is a user's."""
    frames = task.get_stack()
    work: Any = task.get_coro()
    while work is not None and getattr(work, "cr_frame", None) is not None:
        frames.append(work.cr_frame)
        work = work.cr_await
    theirs = [frame for frame in frames if is_users(frame)]
    if not theirs:
        return "its end"
    frame = theirs[-1]
    return f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"


@contextmanager
def _no_logging() -> Iterator[None]:
    """What the processes log meanwhile nobody reads."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage is collected but between nights: what is collected runs `finally` blocks, and when
    that happens is nothing that a seed says. What is here now stays: looking through all modules
    after each night takes longer than the night."""
    gc.collect()
    gc.freeze()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
