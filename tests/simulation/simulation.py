"""One simulation: a whole partition and its drivers in one process, by the plan of a seed."""

import asyncio
import gc
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from runtime.cluster.directory import Directory
from runtime.driver.connection import Connection
from runtime.partition.bus import Bus
from runtime.partition.writer import WriterActor
from runtime.processing.company import Company
from runtime.processing.deliverer import Deliverer
from runtime.processing.hearing import Hearing
from runtime.processing.member import Member
from runtime.processing.worker import Worker
from runtime.settings.settings import Settings
from runtime.topology.status import Topology
from store.event_store import WRITER
from tests.simulation import shipped
from tests.simulation.checker import check, check_idle
from tests.simulation.database import Database
from tests.simulation.drivers import Driver
from tests.simulation.faults import cease, strike
from tests.simulation.history import Call, History
from tests.simulation.knobs import turned
from tests.simulation.operating import drain_and_launch, launch, take_over
from tests.simulation.plain_rows import Record, record_of
from tests.simulation.plan import ACTIVE_S, Fault, Plan, Step
from tests.simulation.processes import Cluster, Incarnation
from tests.simulation.scheduler import Owner, SimulatedLoop, TurnsInCircles
from tests.simulation.simulated_world import SimulatedCourier, SimulatedWorld
from tests.simulation.sockets import Network
from tests.simulation.watching import watch

#: Seconds after the last fault in which everything has to come to rest: more than a batch whose
#: predecessor is lost may wait for it (Mailbox.EARLY_S).
QUIET_S = 80.0
#: Seconds in which a commit comes to everybody who wants it, when nothing goes wrong any more
#: and nobody says anything: more than writer (GroupCommit.LOOK_AT_LEAST_S) and bus (LOOK_S)
#: may take to look for it.
PROMPT_S = 20.0
#: Seconds in which a process that finds itself fenced off is back.
BACK_S = 15.0
#: By when the first launch is done, before anything goes wrong.
LAUNCHED_S = 10.0
#: By when a drain and the launch after it are done, once nothing goes wrong any more.
OPERATED_S = 90.0
#: How long every actor may take to answer in the end.
ANSWERED_S = 20.0
#: Seconds after the last answer in which what it led to comes to rest: the bus gets its commit.
SETTLED_S = 5.0


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
        self.database = Database(self.loop)
        self.history = History()
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
        self.ids: dict[int, bytes] = {}  #: of commands, by the number of their step
        self.prober: Driver | None = None  #: the driver that comes after quiet
        self._coming: Cluster | None = None  #: of a system that is still being launched
        self._operating: list[asyncio.Task[None]] = []  #: what operators do
        self._records: list[Record] = []  #: of the log, as far as it was read

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
            self.loop.world.later(fault.at_s - self.loop.time(), strike, self, fault)
        self.loop.run_until(ACTIVE_S)
        last_s = max((fault.at_s + fault.seconds for fault in self.plan.faults), default=0.0)
        self.loop.run_until(max(ACTIVE_S, last_s))
        cease(self)
        self._wait(self._operating, OPERATED_S, "a drain and the launch after it do not end")
        for operation in self._operating:
            if operation.done() and (error := operation.exception()) is not None:
                self.history.complain(f"an operator gives up: {error!r}")
        self.loop.run_until(self.loop.time() + QUIET_S)
        idle = check_idle(self, self.loop.time() - PROMPT_S)
        self._knock()
        self._probe()
        self.loop.run_until(self.loop.time() + SETTLED_S)
        return idle + check(self)

    def records(self) -> list[Record]:
        """The log, read by a decoder of its own."""
        known = self._records
        known += [record_of(row) for row in self.database.rows[len(known) :]]
        return known

    def _launch(self) -> None:
        """Have the directory start everything: by its own code."""
        operator = Owner(self.loop, "operator")
        launching = operator.create_task(launch(self.world_of(operator), self.settings))
        self._wait([launching], LAUNCHED_S, "a launch does not end")
        self.topology = launching.result()

    def operate(self, fault: Fault) -> None:
        """An operator drains the system, and launches it anew."""
        operator = Owner(self.loop, f"operator-{fault.number}")
        operation = take_over if fault.kind == "take over" else drain_and_launch
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
            driver = self._driver(name)
            self.drivers[name] = driver
            driver.holder.context.copy().run(driver.work, strands)

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
        it is a directory which has a successor."""
        assert isinstance(holder, Incarnation)
        succeeded = holder is not holder.process.incarnation
        if not self.fenced_off(holder) and not (holder.process.name == "directory" and succeeded):
            self.history.complain(f"{holder.name} ended itself")
        holder.process.end(holder)

    def fenced_off(self, life: Incarnation) -> bool:
        """Has an epoch been opened after its own?"""
        process = life.instance
        if process is None or not process._started or isinstance(process, Bus | Directory):
            return False
        if isinstance(process, Worker) and isinstance(process._run, Hearing):
            hearing = process._run
            return self.database.subscriptions.epoch_of(hearing.name) != hearing._epoch
        if isinstance(process, Worker):
            run = process._run
            assert run is not None
            assert not isinstance(run, Hearing)
            runs, away = [run], set[Member]()
            if isinstance(run, Company):
                runs, away = list(run.members), run._away
            of, epochs = self.database.subscriptions.epoch_of, self.database.epochs
            return any(
                epochs[one._node].number != one._number for one in {run, *away} if one._number
            ) or any(
                of(f"{one.program.name}/{slot}") != one._epoch
                for one in runs
                for slot in one._slots
            )
        if isinstance(process, Deliverer):
            delivery, of = process._delivery, self.database.subscriptions.epoch_of
            assert delivery is not None
            number = self.database.epochs[delivery._node].number
            return number != delivery._number or of("messages") != delivery._epoch
        if isinstance(process, WriterActor):
            return self.database.epochs[WRITER].number != process._commits._attempts._epoch
        return bool(self.database.epochs[process.node].number != process._incarnation)

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

    def _driver(self, name: str) -> Driver:
        holder = Owner(self.loop, name)
        return holder.context.copy().run(
            Driver, name, holder, self._connecting(name, holder), self.history, self.ids,
            self.settings.actor_system.actor_timeout_ms / 1000, self._head, self._stored,
        )  # fmt: skip

    def _knock(self) -> None:
        """A process that was fenced off, and has had nothing to store since, finds out with
        the next that it has, and a host not before the writer has. Each may cost a call."""
        processes = self.cluster.processes.values()
        for turn in range(len(processes)):
            lives = [process.incarnation for process in processes]
            if not any(life is not None and self.fenced_off(life) for life in lives):
                return
            knocking = self._driver(f"knocker-{turn}")
            hosted = [name for name in self.cluster.processes if name.startswith("shipped/")]
            for number, source in enumerate([*self._ledgers(), *hosted], 1000 * (turn + 1)):
                note = {"token": -number, "times": 1}
                step = Step(-number, 0.0, "ask", source, "Note", note)
                actor = shipped.Shipped2 if source in hosted else None
                knocking.holder.create_task(knocking.ask(step, actor))
            self.loop.run_until(self.loop.time() + BACK_S)

    def _ledgers(self) -> list[str]:
        found = {record.source for record in self.records()} | {"ledger/0"}
        found |= set(self.cluster.processes)  # dedicated hosts have their actors' names
        return sorted(source for source in found if source.startswith(("ledger/", "vault/")))

    def _probe(self) -> None:
        """After quiet every actor answers a driver that comes new, and those that were there."""
        ledgers, unanswered = self._ledgers(), "after quiet not every actor answers"
        self.prober = prober = self._driver("prober")
        probing = [prober.start(self._ask_all(prober, ledgers))]
        self._wait(probing, ANSWERED_S, unanswered)
        for driver in self.drivers.values():
            if not driver.dead:
                probing.append(driver.start(self._ask_states(driver, ledgers)))
                self._wait(probing, ANSWERED_S, unanswered)

    def _wait(self, tasks: "Sequence[asyncio.Task[Any]]", limit_s: float, otherwise: str) -> None:
        """Let time pass until they are done, if that ever happens."""
        until_s = self.loop.time() + limit_s
        while not all(task.done() for task in tasks) and self.loop.time() < until_s:
            self.loop.run_until(self.loop.time() + 0.1)
        if not all(task.done() for task in tasks):
            self.history.complain(otherwise)

    async def _with_room(self, ask: Callable[[Any], Awaitable[Call]], what: Any) -> Call:
        """An answer; for a while again where the mailbox is full: it may be, of what actors tell
        one another because of what is asked here."""
        call = await ask(what)
        for _ in range(int(ANSWERED_S * 5)):
            if call.error != "MailboxFull":
                break
            await asyncio.sleep(0.1)
            call = await ask(what)
        return call

    async def _ask_states(self, driver: Driver, sources: list[str]) -> None:
        for source in sources:
            call = await self._with_room(driver.state, source)
            if call.error == "HostUnavailable" and "has other hosts" in str(call.arguments):
                # It had not spoken to anybody since, and is told so once: decision 0034.
                call = await self._with_room(driver.state, source)
            replaced = driver.world.cluster is not self.cluster
            ended = replaced or bool(self.history.away_s)
            if ended and call.error in ("AskTimeout", "HostUnavailable"):
                # Its deadline came while it found out that the host has ended.
                call = await self._with_room(driver.state, source)
            if call.error not in (("SystemReplaced",) if replaced else ("", "ActorStopped")):
                self.history.complain(
                    f"after quiet {source} answers {driver.name} {call.error}{call.arguments}"
                )

    async def _ask_all(self, prober: Driver, sources: list[str]) -> None:
        for number, source in enumerate(sources):
            note = Step(-1 - number, 0.0, "ask", source, "Note", {"token": -number, "times": 1})
            call = await self._with_room(prober.ask, note)
            if call.error == "AskTimeout":
                # A second may pass in messages that are slow, where its host has to find another
                # writer first. Who is stuck does not answer a second time either.
                call = await self._with_room(prober.ask, replace(note, repeats=note.number))
            for each in (call, await self._with_room(prober.state, source)):
                if each.error not in ("", "ActorStopped"):
                    self.history.complain(f"after quiet {source}: {each.error}{each.arguments}")

    def _outcome(self, problems: list[str]) -> Outcome:
        told = hashlib.sha256()
        for call in self.history.calls:
            told.update(repr(call).encode())
        for reading in self.history.readings:
            told.update(repr(reading).encode())
        for following in self.history.followings:
            told.update(repr(following).encode())
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
