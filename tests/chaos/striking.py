"""Does to a system what its schedule says."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import psutil
from ray._private.state import state

from actors.errors import ThornbackError
from runtime.driver.reply import Reply
from runtime.errors import AskTimeout
from runtime.system import ActorSystem
from store.shards import SHARDS
from tests.chaos.clocks import Clocks
from tests.chaos.database import Database
from tests.chaos.nodes import Nodes
from tests.chaos.plan import Fault, FaultKind, clock_off_s
from tests.chaos.programs import Program
from tests.chaos.way import Way

#: Each piece of data comes so much later on a slow way; a commit takes two of them at least.
DELAY_S = 0.05
#: So many shards move at a time.
MOVED = 64
#: How long a move, or all of a scaling, may take.
MOVES_S, SCALES_S = 60.0, 600.0


@dataclass
class Striker:
    """Of one run. `strike` begins a fault, and what it returns ends it."""

    database: Database
    way: Way
    programs: Mapping[str, Program]
    nodes: Nodes
    clocks: Clocks
    system: ActorSystem
    moving: Reply[Any] | None = None  #: shards, just now or before
    counts: dict[FaultKind, int] = field(default_factory=dict)  #: what was done indeed

    def strike(self, fault: Fault) -> Callable[[], None] | None:
        """Begin it. None: there is nothing to be undone; whom it is for may be away just now."""
        done, undo = self._begin(fault)
        if done:
            self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1
        return undo

    def _begin(self, fault: Fault) -> tuple[bool, Callable[[], None] | None]:
        if fault.kind in (FaultKind.CUT, FaultKind.DELAY, FaultKind.BLACK_HOLE):
            return True, self._on_the_way(fault.kind)
        match fault.kind:
            case FaultKind.KILL:
                return self._signal(process_of(fault.target), signal.SIGKILL), None
            case FaultKind.FREEZE:
                return self._freeze(process_of(fault.target))
            case FaultKind.SET_CLOCK:
                return self._set_clock(fault)
        return self._on_a_node(fault) or self._on_postgres(fault)

    def _on_a_node(self, fault: Fault) -> tuple[bool, Callable[[], None] | None] | None:
        match fault.kind:
            case FaultKind.KILL_NODE:
                return self._kill_node(fault.choice), self.nodes.replace
            case FaultKind.FREEZE_RAYLET:
                return self._freeze_raylet(fault.choice)
            case FaultKind.CUT_NODE:
                return self._cut_node(fault.choice)
        return None

    def _on_postgres(self, fault: Fault) -> tuple[bool, Callable[[], None] | None]:
        match fault.kind:
            case FaultKind.FREEZE_POSTMASTER:
                return self._freeze(self.database.postmaster())
            case FaultKind.CRASH_POSTGRES:
                self.database.crash()
                return True, self.database.start
            case FaultKind.STOP_POSTGRES:
                self.database.stop()
                return True, self.database.start
            case FaultKind.FULL_DISK:
                return self.database.fill(), self.database.free
        return self._at_once(fault), None

    def _kill_node(self, choice: float) -> bool:
        if (node := self.nodes.one(choice)) is not None:
            node.kill()
        return node is not None

    def _freeze_raylet(self, choice: float) -> tuple[bool, Callable[[], None] | None]:
        if (node := self.nodes.one(choice)) is None:
            return False, None
        node.freeze()
        return True, node.thaw

    def _cut_node(self, choice: float) -> tuple[bool, Callable[[], None] | None]:
        node = self.nodes.one(choice)
        if node is None or node.place is None:
            return False, None
        node.place.cut()
        return True, node.place.mend  # nobody minds where its node has ended meanwhile

    def _set_clock(self, fault: Fault) -> tuple[bool, Callable[[], None] | None]:
        machine = fault.target
        if machine not in self.programs:
            if (process := process_of(fault.target)) is None:
                return False, None
            machine = f"raylet-{process.ppid()}"
        off_s = clock_off_s(fault.choice)
        return self.clocks.set(machine, off_s), lambda: self.clocks.right(machine)

    def finished(self) -> Iterator[str]:
        """Wait until no shards move any more; what has not ended in its time. That a move is given
        up, because somebody was away for too long, is nothing wrong: what it has not done shows in
        the log."""
        if self.moving is None:
            return
        try:
            self.moving.result(timeout_s=SCALES_S)
        except AskTimeout:
            yield f"shards are on the move for more than {SCALES_S:g} s"
        except ThornbackError as error:
            print(f"  given up: {error}", flush=True)

    def _move(self, fault: Fault) -> bool:
        if self.moving is not None and not self.moving.done():
            return False
        if fault.kind is FaultKind.SCALE:
            self.moving = self.system.scale(int(fault.target))
        else:
            shards = Random(fault.choice).sample(range(SHARDS), MOVED)
            self.moving = self.system.move_shards(shards, fault.target, timeout_s=MOVES_S)
        return True

    def _at_once(self, fault: Fault) -> bool:
        if fault.kind in (FaultKind.MOVE_SHARDS, FaultKind.SCALE):
            return self._move(fault)
        if fault.kind is FaultKind.TERMINATE_BACKEND:
            return self.database.terminate_backend(fault.choice)
        if fault.kind is FaultKind.KILL_BACKEND:
            return self.database.kill_backend(fault.choice)
        self.programs[fault.target].kill()
        self.programs[fault.target].start()
        return True

    def _on_the_way(self, kind: FaultKind) -> Callable[[], None] | None:
        if kind is FaultKind.CUT:
            self.way.cut()
            return None
        if kind is FaultKind.DELAY:
            self.way.delay(DELAY_S)
            return lambda: self.way.delay(0)
        self.way.stall()
        return self.way.resume

    def _freeze(self, process: psutil.Process | None) -> tuple[bool, Callable[[], None] | None]:
        if process is None or not self._signal(process, signal.SIGSTOP):
            return False, None

        def go_on() -> None:
            self._signal(process, signal.SIGCONT)  # unless it was killed meanwhile

        return True, go_on

    @staticmethod
    def _signal(process: psutil.Process | None, number: signal.Signals) -> bool:
        """psutil knows a process by its start, too: nobody else who has its number is hit."""
        try:
            if process is None:
                return False
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return False
        return True


def process_of(name: str) -> psutil.Process | None:
    """The process of the system that has this name now, if it is one that this program has
    started by its Ray."""
    ours = {each.pid: each for each in psutil.Process(os.getpid()).children(recursive=True)}
    for actor in state.actor_table(None).values():
        if actor["Name"] == name and actor["State"] == "ALIVE" and actor["Pid"] in ours:
            return ours[actor["Pid"]]
    return None
