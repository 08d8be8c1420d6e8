"""Handlers that block in the simulation: what is planned of it, and how time passes meanwhile.

A pump's handler keeps its host for a while, in one of three ways: an interruption ends it; it goes
on after that, and its process has to end; or it holds the interpreter, so that nobody looks, and
the dead man's switch ends the process. Whoever looks at it is the host's own HandlerWatch, and the
interruption is a real one: only the thread and the switch are played here. All others go on
meanwhile, from within the handler.
"""

from asyncio import CancelledError
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from runtime.host.handler_watch import HandlerWatch
from runtime.host.interruptible import Interruption
from runtime.topology.names import host_name
from tests.simulation.plan import Fault, Setup, Step
from tests.simulation.planned_faults import FIRST_FAULT_S
from tests.simulation.waking import FIRST as FIRST_WAKING
from thornback.simulation.draws import stream
from thornback.simulation.processes import Incarnation
from thornback.simulation.scheduler import SimulatedLoop, owner
from thornback.simulation.simulated_notes import SimulatedNotes

if TYPE_CHECKING:
    from tests.simulation.history import History

#: The numbers of its steps begin here.
FIRST_STEP = 950_000
#: Of plans, so many have handlers that block.
CHANCE = 0.2
#: What may not be beside it.
_NOT_BESIDE = {"drain", "take over"}
#: How they do, and how it ends.
HOW = ("brief", "waits", "waits", "deaf", "holds")
#: Seconds that one may block which nobody ends.
FOR_EVER_S = 60.0


def plan_blocking(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan what pumps do: drawn apart from all else. Not beside timers that nothing else
    is to delay, nor where an operator waits for hosts to flush, and says how long that may take."""
    draw = stream(seed, "blocking")
    steps = [step for driver in strands for strand in driver for step in strand]
    delays = any(FIRST_WAKING <= step.number < FIRST_WAKING + 1_000 for step in steps)
    if draw.random() >= CHANCE or delays or _NOT_BESIDE & {fault.kind for fault in faults}:
        return
    pumps = [f"pump/{number}" for number in range(draw.choice((1, 2, 8)))]
    for number in range(draw.choice((1, 2))):
        first = FIRST_STEP + 1_000 * number
        strand: list[Step] = []
        for each in range(draw.choice((5, 10))):
            strand.append(_step(draw, first + 10 * each, draw.choice(pumps)))
            if strand[-1].message == "Block":
                strand += _again(draw, strand[-1])
        strands[draw.randrange(setup.drivers)].append(strand)
    _plan_holding(seed, setup, strands, faults)
    faults.sort(key=lambda fault: fault.at_s)


def _plan_holding(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """One that holds the interpreter of a host that was started anew, and so is wary: the next
    incarnation is to know. Drawn apart from what was there before."""
    draw = stream(seed, "holding of the interpreter")
    if draw.random() < 0.75:
        return
    setup.settings["actor_system"]["actor_timeout_ms"] = 1_000  # or there is no time for it
    for host in map(host_name, range(setup.hosts)):
        at_s = round(FIRST_FAULT_S + draw.uniform(0.0, 0.1), 4)
        faults.append(Fault(len(faults), at_s, "crash", host, "", 0.0, 0.1))
    first = FIRST_STEP + 3_000
    fields = {"token": first, "how": "holds", "seconds": FOR_EVER_S}
    step = Step(first, round(draw.uniform(1.0, 1.6), 4), "ask", "pump/0", "Block", fields, True)
    # Its caller gives up; the switch is set for as long as a handler may take, and a while.
    pauses_s = (HandlerWatch.MORE_S + draw.uniform(1.0, 2.0), draw.uniform(0.5, 1.0))
    again = [
        replace(step, number=first + number, kind="repeat", repeats=first, pause_s=round(s, 4))
        for number, s in enumerate(pauses_s, 1)
    ]
    strands[draw.randrange(setup.drivers)].append([step, *again])


def _step(draw: Random, number: int, source: str) -> Step:
    pause_s, waits = round(draw.expovariate(1 / 0.5), 4), draw.random() < 0.6
    if draw.random() < 0.6:
        return Step(number, pause_s, "ask", source, "Note", {"token": number, "times": 1}, waits)
    how = draw.choice(HOW)
    seconds = round(draw.uniform(0.05, 0.45), 3) if how == "brief" else FOR_EVER_S
    fields = {"token": number, "how": how, "seconds": seconds}
    return Step(number, pause_s, "ask", source, "Block", fields, waits)


def _again(draw: Random, step: Step) -> list[Step]:
    """It is sent again under its id, as a caller does that has heard nothing: soon, or when its
    host may have been started anew."""
    return [
        replace(
            step, number=step.number + again, kind="repeat", repeats=step.number,
            pause_s=round(draw.choice((draw.uniform(0.0, 0.3), draw.uniform(0.3, 3.0))), 4),
        )
        for again in range(1, draw.choice((1, 2, 3, 4)))
    ]  # fmt: skip


@dataclass(slots=True)
class Run:
    """One time that such a handler was run."""

    token: int
    how: str
    process: str  #: whose incarnations remember it
    name: str  #: of the incarnation
    restarted: bool  #: it is none of the process's first
    life_s: float  #: when that began
    began_s: float
    ended_s: float = 0.0
    became: str = ""  #: done, interrupted, replaced, switched or killed
    undisturbed: bool = True  #: nobody has stopped its process meanwhile
    longest_s: float = 0.0  #: that it may have taken


class ProcessEnded(CancelledError):
    """Ends what a dead process was doing, in the midst of a callback."""


class Blocking:
    """That of one simulation. One handler blocks at a time: another one that is to does not."""

    def __init__(self, loop: SimulatedLoop, history: "History") -> None:
        self._history = history
        self._blocks = False
        self._draw = stream(loop.seed, "looks at what blocks")
        self.runs: list[Run] = []
        self.ends: Incarnation | None = None  #: who is being ended by its watch
        _OF[loop] = self

    def block(self, life: Incarnation, token: int, how: str, seconds: float) -> None:
        """Let time pass, until it ends by itself or is ended."""
        if life.dead:
            raise ProcessEnded
        loop, process = life.loop, life.process
        run = Run(
            token, how, process.identity, life.name, life.number > 1, life.began_s, loop.time()
        )  # fmt: skip
        self.runs.append(run)
        if self._blocks:
            run.ended_s, run.became = loop.time(), "done"
            return
        self._history.faults.append((loop.time(), f"block {process.name} {how}"))
        self._blocks = True
        try:
            run.became = self._passed(life, run, how, seconds)
        except Interruption:
            run.became = "interrupted"
            raise
        finally:
            self._blocks, run.ended_s = False, loop.time()
        if life.dead:
            _watch_of(life)._work._because = None  # nothing of it goes on, not even with that
            raise ProcessEnded

    def _passed(self, life: Incarnation, run: Run, how: str, seconds: float) -> str:
        loop, watch = life.loop, _watch_of(life)
        world: Any = life.instance.world
        limit_s, longest_s = watch._limits.of("pump/0"), watch._limits.longest_s()
        run.longest_s = {
            "holds": longest_s + watch.MORE_S,
            "deaf": limit_s + watch.GRACE_S + 3 * watch.LOOK_S,
        }.get(how, limit_s + 2 * watch.LOOK_S)
        end_s = loop.time() + seconds
        look_s = loop.time() + self._draw.uniform(0.0, watch.LOOK_S)
        if how == "holds":
            watch._set_switch()  # by the last look before it
        while loop.time() < end_s:
            before_s = loop.time()
            until_s = min(world.ends_s if how == "holds" else look_s, end_s)
            loop.block(life, until_s)
            run.undisturbed &= loop.time() == max(until_s, before_s)
            if life.dead:
                return "killed"
            if how == "holds" and loop.time() >= world.ends_s:
                SimulatedNotes(life).tell("it held the interpreter")
                self._end(life)
                return "switched"
            if how != "holds" and loop.time() >= look_s:
                look_s = loop.time() + watch.LOOK_S
                if self._looked(life, watch, how):
                    return "replaced"
        return "done"

    def _looked(self, life: Incarnation, watch: HandlerWatch, how: str) -> bool:
        """Has the watch, which has looked, ended the process?"""
        self.ends = life
        try:
            watch.look(life.loop.time())
        except Interruption:
            if how != "deaf":
                raise
        finally:
            self.ends = None
        return life.dead

    def _end(self, life: Incarnation) -> None:
        self.ends = life
        try:
            life.instance.world.end()
        finally:
            self.ends = None


_OF: WeakKeyDictionary[SimulatedLoop, Blocking] = WeakKeyDictionary()


def block(token: int, how: str, seconds: float) -> None:
    """Called by a handler: it blocks."""
    life = owner()
    if isinstance(life, Incarnation) and life.loop in _OF:
        _OF[life.loop].block(life, token, how, seconds)


def _watch_of(life: Incarnation) -> HandlerWatch:
    watch: HandlerWatch = life.instance._watch
    return watch
