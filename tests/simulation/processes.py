"""Ray in virtual time: named processes, calls between them, crashes and restarts.

A call runs a method of the process's present incarnation as a task there. Calls overtake
one another. When a process dies, whoever waits for it hears ActorUnavailableError after a
while, and Ray makes a new incarnation: the constructor runs, and nobody calls. An incarnation
can also be replaced while it lives on, as when a machine is cut off from Ray's head but not
from its peers.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from ray.exceptions import ActorUnavailableError, RayTaskError

from tests.simulation.draws import latency_s, stream
from tests.simulation.scheduler import Owner, SimulatedLoop, owner
from tests.simulation.sockets import Network

Make = Callable[["Incarnation"], Any]


class Incarnation(Owner):
    """One life of a process."""

    def __init__(self, process: "SimulatedProcess", number: int) -> None:
        super().__init__(process.cluster.loop, f"{process.name}#{number}")
        self.process = process
        self.number = number  #: 1 is the first
        self.instance: Any = None
        self.calls: dict[_Call, None] = {}  #: unanswered, in the order in which they came


class _Call:
    """One call by Ray, until it is answered."""

    def __init__(self, handle: "Handle", method: str, arguments: Any, named: Any) -> None:
        self.caller = handle.caller
        self.method = method
        self.arguments = arguments
        self.named = named
        self.draw = handle.draw
        self.answer = self.caller.loop.create_future()

    def fail(self, after_s: float) -> None:
        """The caller hears that the process is away."""
        self.caller.later(after_s, self._answered, None, ActorUnavailableError("away", None))

    def succeed(self, result: Any, error: Exception | None) -> None:
        """The answer travels back."""
        self.caller.later(latency_s(self.draw), self._answered, result, error)

    def _answered(self, result: Any, error: Exception | None) -> None:
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)
            self.answer._log_traceback = False  # a reference that nobody awaits complains to nobody


class _Method:
    def __init__(self, handle: "Handle", name: str) -> None:
        self._handle = handle
        self._name = name

    def remote(self, *arguments: Any, **named: Any) -> Any:
        """Call it; the result is to be awaited."""
        call = _Call(self._handle, self._name, arguments, named)
        self._handle.process.send(call)
        return call.answer


class Handle:
    """A process, as Ray hands it out to one caller."""

    def __init__(self, process: "SimulatedProcess", caller: Owner) -> None:
        self.process = process
        self.caller = caller
        self.draw = stream(process.cluster.loop.seed, "ray", caller, process.name)

    def __getattr__(self, name: str) -> _Method:
        return _Method(self, name)


class SimulatedProcess:
    """A named process, through all its incarnations."""

    def __init__(self, cluster: "Cluster", name: str, machine: str, make: Make) -> None:
        self.cluster = cluster
        self.name = name
        self.machine = machine
        self._make = make
        self._numbers = count(1)
        self.draw = stream(cluster.loop.seed, "process", name)
        self.incarnation: Incarnation | None = None
        self.lives: list[Incarnation] = []
        #: How many of the next calls are lost on the way there, on the way back, or doubled.
        self.losing = self.muting = self.doubling = 0

    def begin(self) -> None:
        """A new incarnation, as Ray makes one: the constructor runs."""
        if self.incarnation is None:
            self.incarnation = life = Incarnation(self, next(self._numbers))
            self.lives.append(life)
            life.context.copy().run(self._construct, life)

    def send(self, call: _Call) -> None:
        """A call sets out."""
        if self.losing:
            self.losing -= 1
            call.fail(0.2 + self.draw.random())
            return
        copies = 1
        if self.doubling:
            self.doubling -= 1
            copies = 2
        for _ in range(copies):
            self.cluster.loop.world.later(latency_s(call.draw), self._arrive, call)

    def crash(self, *, down_s: float) -> None:
        """Kill -9; Ray starts it anew after a while."""
        life = self.incarnation
        if life is not None:
            self.incarnation = None
            self._bury(life)
            self.cluster.loop.world.later(down_s, self.begin)

    def replace(self, *, down_s: float, lives_on_s: float) -> None:
        """Ray takes it for dead and starts a successor, while it runs on for a while."""
        life = self.incarnation
        if life is not None:
            self.incarnation = None
            self._fail_calls(life)
            self.cluster.loop.world.later(down_s, self.begin)
            self.cluster.loop.world.later(lives_on_s, self._bury, life)

    def end(self, life: Incarnation) -> None:
        """It ended itself: Ray starts it anew, unless it had taken it for dead before."""
        if life is self.incarnation:
            self.crash(down_s=1.0)
        else:
            self._bury(life)

    def _construct(self, life: Incarnation) -> None:
        life.instance = self._make(life)

    def _bury(self, life: Incarnation) -> None:
        if not life.dead:
            life.kill()
            self._fail_calls(life)
            self.cluster.network.died(life, self.draw)

    def _fail_calls(self, life: Incarnation) -> None:
        for call in life.calls:
            call.fail(1.1 * self.draw.random())
        life.calls.clear()

    def _arrive(self, call: _Call) -> None:
        life = self.incarnation
        if life is None:
            call.fail(0.5 * self.draw.random())
            return
        life.calls[call] = None
        life.create_task(self._run(life, call))

    async def _run(self, life: Incarnation, call: _Call) -> None:
        result, error = None, None
        try:
            result = await getattr(life.instance, call.method)(*call.arguments, **call.named)
        except Exception as raised:
            error = RayTaskError(call.method, repr(raised), raised).as_instanceof_cause()
        if call not in life.calls:
            return  # answered already: its caller takes this process for dead
        del life.calls[call]
        if self.muting:
            self.muting -= 1
            call.fail(0.2 + self.draw.random())
        else:
            call.succeed(result, error)


class Cluster:
    """All processes, by name."""

    def __init__(self, loop: SimulatedLoop, network: Network) -> None:
        self.loop = loop
        self.network = network
        self.processes: dict[str, SimulatedProcess] = {}

    def add(self, name: str, machine: str, make: Make) -> None:
        """A process that lives from now on."""
        process = self.processes[name] = SimulatedProcess(self, name, machine, make)
        process.begin()

    def handle(self, name: str) -> Handle:
        """A handle for whoever asks. Raises ValueError when there is no such process."""
        if name not in self.processes:
            raise ValueError(f"no actor named {name}")
        return Handle(self.processes[name], owner())
