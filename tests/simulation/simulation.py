"""One simulation: a whole partition and its drivers in one process, by the plan of a seed."""

import asyncio
import gc
import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from runtime.driver.connection import Connection
from runtime.settings.settings import Settings
from runtime.topology.status import Topology
from tests.simulation.blocking import Blocking
from tests.simulation.checker import check, check_idle
from tests.simulation.drivers import Driver
from tests.simulation.faults import strike
from tests.simulation.fencing import fenced_off
from tests.simulation.group_members import belong, probe_groups
from tests.simulation.history import History
from tests.simulation.knobs import turned
from tests.simulation.moves import move, promote_shards, scale_hosts
from tests.simulation.operating import drain_and_launch, take_over
from tests.simulation.plan import ACTIVE_S, Fault, Plan, Step, lasts_s
from tests.simulation.probing import knock, probe
from tests.simulation.rebuilds import finish_rebuilds
from tests.simulation.refusing import POISON
from tests.simulation.watching import watch
from thornback.simulation.database import Database
from thornback.simulation.launching import launch
from thornback.simulation.plain_rows import Record, record_of
from thornback.simulation.processes import Cluster, Incarnation
from thornback.simulation.scheduler import Owner, SimulatedLoop, TurnsInCircles
from thornback.simulation.simulated_world import SimulatedCourier, SimulatedWorld
from thornback.simulation.sockets import Network
from thornback.simulation.striking import calm

#: Seconds after the last fault in which everything has to come to rest: more than a batch whose
#: predecessor is lost may wait for it (Mailbox.EARLY_S).
QUIET_S = 80.0
#: Seconds in which a commit comes to everybody who wants it, when nothing goes wrong any more
#: and nobody says anything: more than writer (GroupCommit.LOOK_AT_LEAST_S) and bus (LOOK_S)
#: may take to look for it.
PROMPT_S = 20.0
#: By when the first launch is done, before anything goes wrong.
LAUNCHED_S = 10.0
#: By when a drain and the launch after it are done, once nothing goes wrong any more.
OPERATED_S = 90.0
#: Seconds after the last answer in which what it led to comes to rest: the bus gets its commit, and
#: programs have kept how far they are (Keeping.LAST_S after the last event).
SETTLED_S = 7.0


@dataclass(frozen=True)
class Outcome:
    """What one simulation came to."""

    seed: int
    problems: list[str]
    digest: str  #: of everything that happened
    virtual_s: float
    steps: int
    calls: int
    events: int


class Simulation:
    """The parts, and how they are run. What is simulated is public: checks look at it.

    More than fifteen fields: one for each part, and a part is an object of its own.
    """

    def __init__(self, plan: Plan) -> None:
        # What is simulated, made once and for all of it:
        self.plan = plan
        self.loop = SimulatedLoop(plan.seed)
        self.network = Network(self.loop)
        self.clusters = [Cluster("", self.loop, self.network, self._made)]  #: a system each
        if any(fault.other == "busy" for fault in plan.faults):
            # A steady load is to be all that keeps a drain: the limit is short, so that what the
            # load alone would keep for ever is seen.
            self.clusters[0].head_slow = False
        self.database = Database(self.loop, POISON)
        self.history = History()
        self.database.groups.moment = self.history.moment
        # A gateway has sockets of the real world, and nothing of the system needs it.
        self.settings = Settings(**plan.setup.settings).replaced(
            "gateway", "enabled", False, "the simulation"
        )
        self.largest_batch = plan.setup.knobs["batch"]  #: commands; a mailbox may hold one more
        # What comes to be while it runs:
        self.worlds: dict[str, list[SimulatedWorld]] = {}  #: by name: one a life, or connection
        self.jumped_us: dict[str, int] = {}  #: by name: of its clock, for worlds still to come
        self.topology: Topology  #: of the system, as it was launched
        self.drivers: dict[str, Driver] = {}  #: by name
        self.heads: dict[str, int] = {}  #: by group, where the log stood when all was quiet
        self.ids: dict[int, bytes] = {}  #: of commands, by the number of their step
        self.blocking = Blocking(self.loop, self.history)  #: of handlers
        self.moves = 0  #: of shards, that operators have had
        self.prober: Driver | None = None  #: the driver that comes after quiet
        self._coming: Cluster | None = None  #: of a system that is still being launched
        self._operating: list[asyncio.Task[None]] = []  #: what operators do
        self._records: list[Record] = []  #: of the log, as far as it was read
        self.last_versions: dict[str, int] = {}  #: by source, as far

    def run(self) -> Outcome:
        """Everything, from beginning to end."""
        with ExitStack() as after:
            after.enter_context(_NoCollection())
            after.enter_context(turned(self.plan.setup.knobs))
            try:
                problems = self._played()
            except TurnsInCircles as endless:
                problems = [f"{endless} turns in circles"]
            self.loop.end()
            self._forget()
            gc.collect()  # whose exception nobody looked at says so when it is thrown away
            return self._outcome(problems + self.loop.unseen)

    def _played(self) -> list[str]:
        """All of it, in virtual time; what is wrong with it."""
        self._launch()
        self._begin()
        watch(self)
        for fault in self.plan.faults:  # whose times count from the beginning of all
            if fault.with_step is None:
                self.loop.world.later(fault.at_s - self.loop.time(), strike, self, fault)
        self.loop.run_until(ACTIVE_S)
        self.loop.run_until(max([ACTIVE_S, *map(lasts_s, self.plan.faults)]))
        calm(self)
        self.wait(self._operating, OPERATED_S, "a drain and the launch after it do not end")
        for operation in self._operating:
            if operation.done() and (error := operation.exception()) is not None:
                self.history.complain(f"an operator gives up: {error!r}")
        finish_rebuilds(self)
        self.loop.run_until(self.loop.time() + QUIET_S)
        idle = check_idle(self, self.loop.time() - PROMPT_S)
        knock(self)
        probe(self)
        probe_groups(self)
        self.loop.run_until(self.loop.time() + SETTLED_S)
        return idle + check(self)

    def records(self) -> list[Record]:
        """The log as it was written, also what was erased since; read by a decoder of its own."""
        known = self._records
        new = [record_of(row) for row in self.database.written[len(known) :]]
        self.last_versions.update((one.source, one.version) for one in new)
        known += new
        return known

    def _launch(self) -> None:
        """Have the directory start everything: by its own code."""
        operator = Owner(self.loop, "operator")
        launching = operator.create_task(launch(self.world_of(operator), self.settings))
        self.wait([launching], LAUNCHED_S, "a launch does not end")
        self.topology = launching.result()

    def operate(self, fault: Fault) -> None:
        """An operator drains the system, and launches it anew, or moves shards."""
        operator = Owner(self.loop, f"operator-{fault.number}")
        operation = {
            "take over": take_over, "drain": drain_and_launch, "move": move, "scale": scale_hosts,
            "promote": promote_shards,
        }[fault.kind]  # fmt: skip
        self._operating.append(operator.create_task(operation(self, operator, fault)))

    @property
    def cluster(self) -> Cluster:
        """The processes of the system that has the database."""
        return next(one for one in reversed(self.clusters) if one is not self._coming)

    def another_cluster(self) -> Cluster:
        """Where another system is to be launched."""
        self._coming = Cluster("b", self.loop, self.network, self._made)
        self.clusters.append(self._coming)
        return self._coming

    def begun(self, step: Step) -> None:
        """A driver begins a step: what is to go wrong with it does so in a moment."""
        for fault in self.plan.faults:
            if fault.with_step == step.number:
                self.loop.world.later(fault.at_s, strike, self, fault)

    def replaced(self, cluster: Cluster, topology: Topology) -> None:
        """Another system has the database now. Half of the drivers go there."""
        self._coming, self.topology = None, topology
        for driver in list(self.drivers.values())[::2]:
            if not driver.dead:
                driver.holder.context.copy().run(driver.move)

    def launched_with(self, hosts: int) -> Settings:
        """The settings with so many hosts."""
        return self.settings.replaced("actor_system", "hosts", hosts, "the plan")

    def world_of(self, holder: Owner, cluster: Cluster | None = None) -> SimulatedWorld:
        """The world of somebody who is no process of the system."""
        return self._world(holder.name, holder, cluster or self.cluster)

    def connected(self, holder: Owner) -> tuple[Connection, SimulatedWorld, SimulatedCourier]:
        """A driver's connection to the system as it was launched last."""
        return self._connecting(holder.name, holder)()

    def _begin(self) -> None:
        for number, strands in enumerate(self.plan.strands):
            name = f"driver-{number}"
            driver = self.driver(name)
            self.drivers[name] = driver
            driver.holder.context.copy().run(driver.work, strands)

        for step in self.plan.members:
            member = self.driver(f"member-{step.number}")
            member.holder.create_task(belong(member, step))

    def _made(self, life: Incarnation, kind: type[Any], arguments: tuple[Any, ...]) -> Any:
        return kind(*arguments, world=self._world(life.process.name, life, life.process.cluster))

    def _connecting(
        self, name: str, holder: Owner
    ) -> Callable[[], tuple[Connection, SimulatedWorld, SimulatedCourier]]:
        def connect() -> tuple[Connection, SimulatedWorld, SimulatedCourier]:
            connected = len(self.worlds.get(name, ()))
            world = self._world(name, holder, self.cluster)
            courier = SimulatedCourier(holder)
            world.draw_anew(connected)
            return Connection(self.topology, world, courier), world, courier

        return connect

    def _world(self, name: str, holder: Owner, cluster: Cluster) -> SimulatedWorld:
        machine = self.plan.setup.machines.get(name, "a")
        world = SimulatedWorld(cluster, self.database, holder, machine, self._ended)
        world.jumped_us = self.jumped_us.get(name, 0)
        self.worlds.setdefault(name, []).append(world)
        return world

    def _ended(self, holder: Owner) -> None:
        """A process ended itself: nothing but that it was fenced off gives it a reason to, or that
        it is a directory which has a successor, or that its watch has seen that it blocks."""
        assert isinstance(holder, Incarnation)
        succeeded = holder is not holder.process.incarnation
        blocks = self.blocking.ends is holder
        followed = holder.process.name == "directory" and succeeded
        if not (blocks or followed or fenced_off(self, holder)):
            self.history.complain(f"{holder.name} ended itself")
        holder.process.end(holder)

    def _forget(self) -> None:
        self.clusters.clear()
        self.network.connections.clear()
        self.network.listening.clear()
        self.drivers.clear()
        self.worlds.clear()
        self.prober = None

    def _stored(self, command_id: bytes) -> bool:
        return any(record.causation_id == command_id for record in self.records())

    def _head(self) -> int:
        return len(self.database.rows)

    def driver(self, name: str) -> Driver:
        """A driver of this name."""
        holder = Owner(self.loop, name)
        return holder.context.copy().run(
            Driver, name, holder, self._connecting(name, holder), self.history, self.ids,
            self.settings.actor_system.actor_timeout_ms / 1000, self._head, self._stored,
            self.begun,
        )  # fmt: skip

    def wait(self, tasks: "Sequence[asyncio.Task[Any]]", limit_s: float, otherwise: str) -> None:
        """Let time pass until they are done, if that ever happens."""
        until_s = self.loop.time() + limit_s
        while not all(task.done() for task in tasks) and self.loop.time() < until_s:
            self.loop.run_until(self.loop.time() + 0.1)
        if not all(task.done() for task in tasks):
            self.history.complain(otherwise)

    def _outcome(self, problems: list[str]) -> Outcome:
        told = hashlib.sha256()
        for call in self.history.calls:
            told.update(repr(call).encode())
        for reading in self.history.readings:
            told.update(repr(reading).encode())
        for following in self.history.followings:
            told.update(repr(following).encode())
        for belonging in self.history.belongings:
            told.update(repr(belonging).encode())
        for record in self.records():
            told.update(repr((record, sorted(record.counts.items()))).encode())
        told.update(repr((self.history.faults, problems, self.loop.steps)).encode())
        return Outcome(
            seed=self.plan.seed, problems=problems, digest=told.hexdigest(),
            virtual_s=self.loop.time(), steps=self.loop.steps, calls=len(self.history.calls),
            events=len(self.database.rows),
        )  # fmt: skip


def simulate(plan: Plan) -> Outcome:
    """Run a plan. What the processes log meanwhile nobody reads; a history is judged by what
    can be seen of it."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        return Simulation(plan).run()
    finally:
        logging.disable(level)


class _NoCollection:
    """No garbage is collected meanwhile: what is collected runs `finally` blocks, and when
    that happens is nothing that a seed says."""

    frozen = False  #: asking the collector itself takes as long as a third of a seed

    def __enter__(self) -> None:
        if not _NoCollection.frozen:
            # What is here now stays: looking through all modules after each seed takes longer
            # than the seed.
            gc.collect()
            gc.freeze()
            _NoCollection.frozen = True
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()
