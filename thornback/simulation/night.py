"""What a test has of a simulation: the system, time, trouble of its own making, and the log."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from random import Random
from typing import Any, Protocol, TypeVar
from uuid import UUID

from actors.actor import Actor
from actors.command import Command
from actors.event import Event
from actors.moments import moment_of
from runtime.driver.ref import ActorRef
from runtime.driver.selecting import selection_of
from runtime.driver.starting import Start
from runtime.driver.subscription import Subscription
from runtime.errors import ActorsMoved, AskTimeout, HostUnavailable, MailboxFull
from runtime.processing.durable_subscription import DurableSubscription
from store.errors import StoreUnavailable
from store.rows.decoding import Decoder
from store.selection import row_filter
from streams.programs import Runnable
from streams.projection import Projection
from thornback.simulation.draws import stream
from thornback.simulation.scheduler import Owner
from thornback.simulation.simulated_world import BEGIN_US
from thornback.simulation.striking import Fault, Struck
from thornback.simulation.system import SimulatedSystem
from thornback.simulation.trouble import TroubleMaker

Row = TypeVar("Row")
T = TypeVar("T")

#: What leaves open whether a command has taken effect, or says that it has not for now: it is sent
#: again under the same id.
PASSING = (AskTimeout, HostUnavailable, StoreUnavailable, MailboxFull, ActorsMoved)
#: Seconds without trouble in which everything comes to rest: more than a batch whose predecessor is
#: lost may wait for it (Mailbox.EARLY_S), and than bus and writer take to look for what was lost.
SETTLE_S = 120.0
#: Between two tries.
PAUSE_S = 0.5


class Run(Struck, Protocol):
    """What a Night is of. What NightRun is."""

    trouble: TroubleMaker

    @property
    def seed(self) -> int:
        """What all is drawn from."""

    def connect(self, name: str, holder: Owner) -> SimulatedSystem:
        """A driver's connection."""

    def tell(self, what: str) -> None:
        """Something is to be told, should the night fail."""


class Night:
    """One run of a simulation, for the test that it runs. Everything here is in virtual time.

    `system` is the ActorSystem; what it answers is awaited. `random` is for whatever the test
    itself draws: it is the same for the same seed.
    """

    def __init__(self, run: Run, driver: Owner) -> None:
        self._run = run
        self._driver = driver
        self.seed = run.seed
        self.random: Random = stream(self.seed, "the test's own")
        self.system: SimulatedSystem = run.connect("test", driver)

    # Time ------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time of day, by a clock that is never set."""
        return moment_of(BEGIN_US + int(self._run.loop.time() * 1e6))

    @property
    def elapsed_s(self) -> float:
        """Seconds since the night began."""
        return self._run.loop.time()

    async def sleep(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Let so much time pass. What has nothing to do meanwhile costs nothing."""
        await asyncio.sleep(seconds + 60 * minutes + 3_600 * hours)

    async def until(
        self, holds: Callable[[], bool], *, within_s: float = 3_600.0, every_s: float = 1.0
    ) -> None:
        """Let time pass until something holds, which is looked at `every_s`. Raises TimeoutError
        where it does not hold `within_s`."""
        end_s = self.elapsed_s + within_s
        while not holds():
            if self.elapsed_s >= end_s:
                raise TimeoutError(f"it does not hold after {within_s:g} s of virtual time")
            await asyncio.sleep(every_s)

    # Commands --------------------------------------------------------------------------------

    async def ask(
        self, ref: ActorRef[Any], message: Command, *, id: UUID | bytes | None = None, **more: Any
    ) -> list[Event]:
        """Send a message until it is answered: again under the same id where its outcome is open
        (AskTimeout, HostUnavailable, StoreUnavailable, MailboxFull), as a driver does that means
        it. What else `ref.ask` raises is raised."""
        command = self.system.connection.new_id() if id is None else id
        return await self.insist(lambda: ref.ask(message, id=command, **more))

    async def run(
        self,
        program: Runnable | type[Actor[Any]],
        *,
        workers: int | None = None,
        after: Start = 0,
    ) -> None:
        """Have a stream program run, as `system.run` does, and ask for that until it does."""
        await self.insist(lambda: self.system.run(program, workers=workers, after=after))

    async def insist(self, asked: Callable[[], Awaitable[T]]) -> T:
        """Ask for something until it is answered: again where the system, or the database, is away
        for now. What is asked has to bear that."""
        while True:
            try:
                return await asked()
            except PASSING:
                await asyncio.sleep(PAUSE_S)

    async def subscribe(
        self,
        event_types: str | Iterable[str] = "*",
        *,
        sources: str | Iterable[str] = "*",
        kinds: str | Iterable[str] = (),
        after: Start = None,
        name: str | None = None,
    ) -> Subscription:
        """What `system.subscribe` is, for whoever must not block: the subscription has begun when
        this returns. With a `name` it is durable. Read it with `async for`."""
        selection, connection = selection_of(event_types, sources, kinds), self.system.connection
        subscription: Subscription
        if name is None:
            subscription = Subscription(connection, selection, after)
        else:
            subscription = DurableSubscription(connection, name, selection, after)
        if name is not None or not isinstance(after, int):
            await asyncio.wrap_future(subscription._inlet.begun)
        return subscription

    # Trouble ---------------------------------------------------------------------------------

    def calm(self) -> None:
        """From now on nothing goes wrong by itself, and what was about to does not."""
        self._run.trouble.end()

    def trouble(self) -> None:
        """From now on things go wrong again. So they do when a night begins."""
        self._run.trouble.begin()

    async def settle(self) -> None:
        """Nothing goes wrong any more, until `trouble` is called, and everything comes to rest:
        messages are delivered, programs are as far as the log, and timers that are due have fired.
        It takes about two minutes of virtual time."""
        self.calm()
        await asyncio.sleep(SETTLE_S)

    @property
    def processes(self) -> list[str]:
        """The names of the processes that there are: "writer", "bus", "directory", "host-0" ..."""
        return sorted(self._run.cluster.processes)

    def crash(self, process: str, *, down_s: float = 1.0) -> None:
        """Kill a process; Ray starts it anew so many seconds later. Raises ValueError where there
        is none of that name."""
        self._strike("crash", process, amount=down_s)

    def replace(self, process: str, *, lives_on_s: float = 5.0) -> None:
        """Have Ray take a process for dead and start a successor at once, beside which it lives on
        for a while, as where a machine is cut off. Raises ValueError."""
        self._strike("replace", process, seconds=lives_on_s, amount=0.1)

    def hang(self, process: str, seconds: float) -> None:
        """Have a process do nothing for a while. Raises ValueError."""
        self._strike("hang", process, seconds=seconds)

    def cut(self, caller: str, server: str) -> None:
        """Break the connections from one process to another; "test" is the test's own."""
        self._strike("cut", caller, server)

    def database_away(self, seconds: float) -> None:
        """Have the database be away for a while."""
        self._strike("database away", "database", seconds=seconds)

    def set_clock(self, process: str, seconds: float) -> None:
        """Set the clock of a process's machine forward, or back. Raises ValueError."""
        self._strike("set clock", process, amount=seconds)

    def note(self, what: str) -> None:
        """Have something told among the faults, should the night fail."""
        self._run.tell(what)

    # The log ---------------------------------------------------------------------------------

    def log(
        self, event_types: str | Iterable[str] = "*", sources: str | Iterable[str] = "*"
    ) -> list[Event]:
        """The events of the log as it is now, in its order: `*` stands for any text."""
        match = row_filter(selection_of(event_types, sources, ()))
        rows = self._run.database.rows
        return Decoder().events(b"".join([row for row in rows if match(row)]))

    def table(self, projection: Projection[Row]) -> dict[str, Row]:
        """The rows of a projection's table as they are now, by key."""
        rows = self._run.database.projections.rows(projection.name)
        return {key: projection.row_of(key, values) for key, values in sorted(rows.items())}

    def _strike(
        self, kind: str, target: str, other: str = "", seconds: float = 0.0, amount: float = 0.0
    ) -> None:
        if kind in ("crash", "replace", "hang", "set clock") and target not in self.processes:
            raise ValueError(f"no process is named {target!r}; there are {self.processes}")
        fault = Fault(-1, self.elapsed_s, kind, target, other, seconds, amount)
        self._run.trouble.strike(fault)
