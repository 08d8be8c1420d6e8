"""How faults strike: the ways in which processes, connections, clocks and the database fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from thornback.simulation.database import Database
from thornback.simulation.database_requests import Trouble
from thornback.simulation.draws import stream
from thornback.simulation.processes import CallTrouble, Cluster, SimulatedProcess
from thornback.simulation.scheduler import SimulatedLoop
from thornback.simulation.simulated_world import SimulatedWorld
from thornback.simulation.sockets import Network


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    number: int
    at_s: float
    kind: str
    target: str = ""
    other: str = ""
    seconds: float = 0.0
    amount: float = 0.0


class Struck(Protocol):
    """What faults strike."""

    loop: SimulatedLoop
    network: Network
    clusters: list[Cluster]
    database: Database
    worlds: dict[str, list[SimulatedWorld]]  #: by name: one a life, or connection
    jumped_us: dict[str, int]  #: by name: of its clock, for worlds still to come

    @property
    def cluster(self) -> Cluster:
        """The processes of the system that has the database."""


def calm(struck: Struck) -> None:
    """Nothing goes wrong any more: what was still to go wrong is forgotten."""
    database = struck.database
    database.trouble = Trouble(away_until_s=database.trouble.away_until_s)
    for cluster in struck.clusters:
        cluster.head_slow = False
        for process in cluster.processes.values():
            process.trouble = CallTrouble()


def _crash(struck: Struck, fault: Fault) -> None:
    _process(struck, fault).crash(down_s=fault.amount)


def _replace(struck: Struck, fault: Fault) -> None:
    lives_on_s = fault.amount + fault.seconds
    _process(struck, fault).replace(down_s=fault.amount, lives_on_s=lives_on_s)


def _hang(struck: Struck, fault: Fault) -> None:
    life = _process(struck, fault).incarnation
    if life is not None:
        life.stop()
        struck.loop.world.later(fault.seconds, life.go_on)


def _cut(struck: Struck, fault: Fault) -> None:
    draw = stream(struck.loop.seed, "fault", fault.number)
    struck.network.break_connections(fault.target, fault.other, draw)


def _silence(struck: Struck, fault: Fault) -> None:
    struck.network.silence(fault.target, fault.other, fault.seconds)


def _calls_lost(struck: Struck, fault: Fault) -> None:
    _process(struck, fault).trouble.losing += int(fault.amount)


def _calls_unheard(struck: Struck, fault: Fault) -> None:
    _process(struck, fault).trouble.muting += int(fault.amount)


def _calls_doubled(struck: Struck, fault: Fault) -> None:
    _process(struck, fault).trouble.doubling += int(fault.amount)


def _calls_late(struck: Struck, fault: Fault) -> None:
    """By Ray, and so most of all the question where a process listens."""
    _process(struck, fault).trouble.delaying += [fault.seconds] * int(fault.amount)


def _database_away(struck: Struck, fault: Fault) -> None:
    struck.database.go_away(fault.seconds, silent=fault.kind == "database silent")


def _database_slow(struck: Struck, fault: Fault) -> None:
    def quick_again() -> None:
        struck.database.trouble.slow = 1.0

    struck.database.trouble.slow = 1 + 500 * fault.amount
    struck.loop.world.later(fault.seconds, quick_again)


def _commit_late(struck: Struck, fault: Fault) -> None:
    late = [fault.seconds / n for n in range(1, int(fault.amount) + 1)]
    struck.database.trouble.late += late


def _epoch_late(struck: Struck, fault: Fault) -> None:
    """A process dies, and what its successor opens its epoch with takes its time. It may be
    replaced meanwhile, and live on to try again beside its own successor."""
    process, down_s = _process(struck, fault), fault.amount
    struck.database.trouble.late_epochs.append(fault.seconds)
    process.crash(down_s=down_s)
    if fault.other:
        draw = stream(struck.loop.seed, "fault", fault.number)
        struck.loop.world.later(
            down_s + draw.uniform(0.01, 1.0),
            lambda: process.replace(down_s=draw.uniform(0.01, 1.0), lives_on_s=fault.seconds + 3),
        )


def _commit_locked(struck: Struck, fault: Fault) -> None:
    struck.database.trouble.locked_late += [fault.seconds] * int(fault.amount)


def _commit_unheard(struck: Struck, fault: Fault) -> None:
    struck.database.trouble.unheard += int(fault.amount)


def _set_clock(struck: Struck, fault: Fault) -> None:
    """The wall clock of a process's machine is set."""
    jumped_us = int(fault.amount * 1e6)
    struck.jumped_us[fault.target] = struck.jumped_us.get(fault.target, 0) + jumped_us
    for world in struck.worlds.get(fault.target, []):
        world.jumped_us += jumped_us


def _process(struck: Struck, fault: Fault) -> SimulatedProcess:
    return struck.cluster.processes[fault.target]


#: What each kind does.
STRIKES: Mapping[str, Callable[[Struck, Fault], None]] = {
    "crash": _crash,
    "replace": _replace,
    "hang": _hang,
    "cut": _cut,
    "silence": _silence,
    "calls lost": _calls_lost,
    "calls unheard": _calls_unheard,
    "calls doubled": _calls_doubled,
    "calls late": _calls_late,
    "database away": _database_away,
    "database silent": _database_away,
    "database slow": _database_slow,
    "commit late": _commit_late,
    "commit locked": _commit_locked,
    "commit unheard": _commit_unheard,
    "epoch late": _epoch_late,
    "set clock": _set_clock,
}
#: Those that befall connections, clocks or the database: whatever else befalls a process does not
#: where there is none of its name.
OF_NO_PROCESS = frozenset(
    {kind for kind in STRIKES if kind.startswith(("database", "commit"))}
    | {"cut", "silence", "set clock"}
)
