"""Does to a system what its schedule says."""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil
from ray._private.state import state

from tests.chaos.database import Database
from tests.chaos.plan import Fault, FaultKind
from tests.chaos.programs import Program
from tests.chaos.way import Way

#: Each piece of data comes so much later on a slow way; a commit takes two of them at least.
DELAY_S = 0.05


@dataclass
class Striker:
    """Of one run. `strike` begins a fault, and what it returns ends it."""

    database: Database
    way: Way
    programs: Mapping[str, Program]
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
            case FaultKind.FREEZE_POSTMASTER:
                return self._freeze(self.database.postmaster())
            case FaultKind.CRASH_POSTGRES:
                self.database.crash()
                return True, self.database.start
        return self._at_once(fault), None

    def _at_once(self, fault: Fault) -> bool:
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
