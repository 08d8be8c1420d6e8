"""Ray in virtual time: named processes, calls between them, crashes and restarts.

A call runs a method of the process's present incarnation as a task there. Calls overtake
one another. When a process dies, whoever waits for it hears ActorUnavailableError after a
while, and Ray makes a new incarnation: the constructor runs, and nobody calls. An incarnation
can also be replaced while it lives on, as when a machine is cut off from Ray's head but not
from its peers. A process that is ended for good answers ActorDiedError, and another one may
have its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from runtime.settings.settings import Settings
from runtime.topology.names import ProcessKind, processes_among
from thornback.simulation.draws import latency_s, stream
from thornback.simulation.scheduler import Owner, SimulatedLoop, owner
from thornback.simulation.sockets import Network

#: A process of that incarnation: its class, and what its constructor takes besides its world.
Make = Callable[["Incarnation", type[Any], tuple[Any, ...]], Any]


#: How long an answer takes to leave its process, of the time that a message travels.
ANSWER_LEAVES = 0.3


class Incarnation(Owner):
    """One life of a process."""

    def __init__(self, process: "SimulatedProcess", number: int) -> None:
        super().__init__(process.cluster.loop, process.cluster.label(process.name))
        self.process = process
        self.number = number  #: 1 is the first
        self.began_s = self.loop.time()
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

    def fail(self, after_s: float, *, for_good: bool = False) -> None:
        """The caller hears that the process is away, or has ended for good."""
        error = ActorDiedError() if for_good else ActorUnavailableError("away", None)
        self.caller.later(after_s, self._answered, None, error)

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
        self.draw = process.draw_of(caller)

    def __getattr__(self, name: str) -> _Method:
        return _Method(self, name)


@dataclass
class CallTrouble:
    """What befalls the next calls of a process; counts are of so many."""

    losing: int = 0  #: on the way there
    muting: int = 0  #: on the way back
    doubling: int = 0
    delaying: list[float] = field(default_factory=list)  #: so many seconds each
    #: By method, what strikes once when a call of it sets out; that is so many seconds late.
    asked: dict[str, Callable[[], float]] = field(default_factory=dict)


class SimulatedProcess:
    """A named process, through all its incarnations."""

    def __init__(
        self, cluster: "Cluster", name: str, kind: type[Any], arguments: tuple[Any, ...]
    ) -> None:
        self.cluster = cluster
        self.name = name
        self._kind, self._arguments = kind, arguments  # as Ray repeats them at every restart
        self._numbers = count(1)
        self.identity = (
            f"{name}@{next(cluster.identities)}{cluster.name}"  #: of this process and no other
        )
        self.draw = stream(cluster.loop.seed, "process", self.identity)
        self.incarnation: Incarnation | None = None
        self.lives: list[Incarnation] = []
        self.ended = False  #: for good
        self.notes: dict[str, bytes] = {}  #: what its incarnations leave for one another
        self.answered_s: dict[str, float] = {}  #: by method: when a call of it was done last
        self._early: list[_Call] = []  #: from before its first incarnation
        self.trouble = CallTrouble()
        self._draws: dict[Owner, Random] = {}  #: by caller

    def draw_of(self, caller: Owner) -> Random:
        """How long the calls of one caller travel. It goes on where the process is found anew: else
        the first call by each handle took as long as that by the one before."""
        if caller not in self._draws:
            self._draws[caller] = stream(self.cluster.loop.seed, "ray", caller, self.name)
        return self._draws[caller]

    def begin(self) -> None:
        """A new incarnation, as Ray makes one: the constructor runs."""
        if self.incarnation is None and not self.ended:
            self.incarnation = life = Incarnation(self, next(self._numbers))
            self.lives.append(life)
            life.context.copy().run(self._construct, life)
            early, self._early = self._early, []
            for call in early:
                self._arrive(call)

    def end_for_good(self) -> None:
        """Kill -9, and Ray starts it no more. What was replaced and lives on is not reached."""
        if self.ended:
            return
        self.ended = True
        life, self.incarnation = self.incarnation, None
        if life is not None:
            self._bury(life)
        for call in self._early:
            call.fail(0.1 * self.draw.random(), for_good=True)

    def send(self, call: _Call) -> None:
        """A call sets out."""
        self.cluster.loop.news()
        if self.trouble.losing and not self.ended:
            self.trouble.losing -= 1
            call.fail(0.2 + self.draw.random())
            return
        copies = 1
        if self.trouble.doubling:
            self.trouble.doubling -= 1
            copies = 2
        delaying = self.trouble.delaying
        late_s = delaying.pop() if delaying and not self.ended else 0.0
        if strikes := self.trouble.asked.pop(call.method, None):
            late_s += strikes()
        for _ in range(copies):
            self.cluster.loop.world.later(late_s + latency_s(call.draw), self._arrive, call)

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
        life.instance = self.cluster.make(life, self._kind, self._arguments)

    def _bury(self, life: Incarnation) -> None:
        if not life.dead:
            life.kill()
            self._fail_calls(life)
            self.cluster.network.died(life, self.draw)

    def _fail_calls(self, life: Incarnation) -> None:
        for call in life.calls:
            call.fail(1.1 * self.draw.random(), for_good=self.ended)
        life.calls.clear()

    def _arrive(self, call: _Call) -> None:
        life = self.incarnation
        if life is None and not self.lives and not self.ended:
            self._early.append(call)
            return
        if life is None:
            call.fail(0.5 * self.draw.random(), for_good=self.ended)
            return
        life.calls[call] = None
        life.create_task(self._run(life, call))

    async def _run(self, life: Incarnation, call: _Call) -> None:
        result, error = None, None
        try:
            result = await getattr(life.instance, call.method)(*call.arguments, **call.named)
        except Exception as raised:
            error = RayTaskError(call.method, repr(raised), raised).as_instanceof_cause()
        self.answered_s[call.method] = self.cluster.loop.time()
        # Until its answer has left the process, it may die with that.
        life.later(ANSWER_LEAVES * latency_s(call.draw), self._answer, life, call, result, error)

    def _answer(self, life: Incarnation, call: _Call, result: Any, error: Exception | None) -> None:
        if call not in life.calls:
            return  # answered already: its caller takes this process for dead
        del life.calls[call]
        if self.trouble.muting:
            self.trouble.muting -= 1
            call.fail(0.2 + self.draw.random())
        else:
            call.succeed(result, error)


class Cluster:
    """The processes of one system, by name."""

    #: Seconds that Ray takes at most to run the constructor of a new process.
    STARTS_S = 0.05

    def __init__(self, name: str, loop: SimulatedLoop, network: Network, make: Make) -> None:
        self.name = name  #: of its Ray
        self.loop = loop
        self.network = network
        self.make = make
        self.identities = count(1)
        self.processes: dict[str, SimulatedProcess] = {}
        self.ever: list[SimulatedProcess] = []  #: those that have ended as well
        self._labels: dict[str, int] = {}
        self.head_slow = True  #: now and then it takes a while to answer

    def label(self, name: str) -> str:
        """What the next incarnation under a name is called; no other one is."""
        number = self._labels[name] = self._labels.get(name, 0) + 1
        return f"{name}#{number}{self.name}"

    def handle(self, name: str, caller: Owner | None = None) -> Handle:
        """A handle for whoever asks. Raises ValueError when there is no such process."""
        if name not in self.processes:
            raise ValueError(f"no actor named {name}")
        return Handle(self.processes[name], caller or owner())

    def spawn(self, kind: type[Any], name: str, arguments: tuple[Any, ...]) -> None:
        """A process that lives from now on, unless there is one of its name."""
        if name not in self.processes:
            process = self.processes[name] = SimulatedProcess(self, name, kind, arguments)
            self.ever.append(process)
            self.loop.world.later(self.STARTS_S * process.draw.random(), process.begin)

    def kill(self, process: SimulatedProcess) -> None:
        """End one for good; its name is free then."""
        if self.processes.get(process.name) is process:
            del self.processes[process.name]
        process.end_for_good()


class SimulatedActors:
    """What a directory asks of Ray (runtime/process/world.py, Actors)."""

    def __init__(self, cluster: Cluster, holder: Owner) -> None:
        self._cluster = cluster
        self._holder = holder

    def spawn(
        self,
        kind: type[Any],
        settings: Settings,
        name: str,
        *arguments: Any,
        machine: str = "",
        prefers: str = "",
    ) -> Handle:
        self._cluster.spawn(kind, name, (name, settings.model_dump_json(), *arguments))
        return self.find(name)

    def find(self, name: str) -> Handle:
        return self._cluster.handle(name, self._holder)

    def processes(self, placement: Mapping[str, str]) -> dict[str, ProcessKind]:
        return processes_among(self._cluster.processes, placement)

    def end(self, name: str) -> None:
        if name in self._cluster.processes:
            self.kill(self.find(name))

    def kill(self, handle: Handle) -> None:
        self._cluster.kill(handle.process)
