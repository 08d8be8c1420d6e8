"""What is done to a system, and when: a schedule that a seed says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

#: Processes of the system, and how often each is chosen beside the others.
_PROCESSES = {
    "host-0": 3,
    "host-1": 3,
    "host-2": 1,
    "writer": 4,
    "bus": 2,
    "directory": 1,
    "deliverer": 2,
    "timekeeper": 2,
    "worker-0-of-totals": 1,
    "worker-1-of-totals": 1,
    "worker-0-of-tallies": 1,
}
_FROZEN = ["host-0", "host-1", "writer"]
#: Whose machine's clock is set, with the clocks of all that it has on it.
_CLOCKS = ["host-0", "host-1", "writer", "timekeeper", "driver-0", "driver-1"]

#: Raylets, with that of the head, which is not struck: it has what Ray knows.
NODES = 3
#: Pooled hosts, when there are most of them; of 2 there are no fewer.
MOST_HOSTS = 4

#: Drivers that send, and how many commands travel between two faults is theirs to say.
DRIVERS = 2

_LEAST_OFF_S = 0.02

#: Seconds between two faults, about, and of quiet before the first one.
_PAUSE_S, _QUIET_S = 2.5, 2.0


class FaultKind(StrEnum):
    """What may be done."""

    KILL = "kill"  #: kill -9 of a process of the system
    FREEZE = "freeze"  #: SIGSTOP of one, and SIGCONT
    KILL_NODE = "kill-node"  #: kill -9 of a raylet and of all that runs on it; another one comes
    #: Packets to a node and from it are lost, and nobody is told.
    CUT_NODE = "cut-node"
    FREEZE_RAYLET = "freeze-raylet"  #: SIGSTOP of one, beside which its processes run on
    SET_CLOCK = "set-clock"  #: of a machine, back or ahead, and right again
    MOVE_SHARDS = "move-shards"  #: to the host that is the target
    SCALE = "scale"  #: to as many hosts as the target says
    FULL_DISK = "full-disk"  #: there is no room for a commit on PostgreSQL's disk
    KILL_DRIVER = "kill-driver"
    KILL_READER = "kill-reader"
    TERMINATE_BACKEND = "terminate-backend"  #: pg_terminate_backend
    KILL_BACKEND = "kill-backend"  #: kill -9 of one: the postmaster starts all of them anew
    FREEZE_POSTMASTER = "freeze-postmaster"
    CRASH_POSTGRES = "crash-postgres"  #: an immediate shutdown, and a start
    STOP_POSTGRES = "stop-postgres"  #: a clean shutdown, and a start much later
    CUT = "cut"  #: all connections to PostgreSQL, in the middle of whatever they carry
    DELAY = "delay"  #: everything on them comes late
    BLACK_HOLE = "black-hole"  #: nothing on them comes, and nobody is told


#: How often each is chosen, and how long at the least and at the most it lasts.
_KINDS: dict[FaultKind, tuple[int, float, float]] = {
    FaultKind.KILL: (10, 0.0, 0.0),
    FaultKind.FREEZE: (4, 0.5, 4.0),
    FaultKind.KILL_NODE: (2, 0.0, 3.0),
    # Ray takes one that is silent for dead after 15 to 20 seconds: most go on before.
    FaultKind.CUT_NODE: (3, 0.5, 25.0),
    FaultKind.FREEZE_RAYLET: (2, 1.0, 30.0),
    FaultKind.SET_CLOCK: (3, 0.5, 10.0),
    FaultKind.MOVE_SHARDS: (3, 0.0, 0.0),
    FaultKind.SCALE: (2, 0.0, 0.0),
    FaultKind.FULL_DISK: (1, 0.5, 4.0),
    FaultKind.KILL_DRIVER: (2, 0.0, 0.0),
    FaultKind.KILL_READER: (2, 0.0, 0.0),
    FaultKind.TERMINATE_BACKEND: (3, 0.0, 0.0),
    FaultKind.KILL_BACKEND: (1, 0.0, 0.0),
    FaultKind.FREEZE_POSTMASTER: (1, 1.0, 4.0),
    FaultKind.CRASH_POSTGRES: (1, 0.5, 3.0),
    FaultKind.STOP_POSTGRES: (1, 5.0, 30.0),
    FaultKind.CUT: (3, 0.0, 0.0),
    FaultKind.DELAY: (2, 1.0, 5.0),
    FaultKind.BLACK_HOLE: (2, 0.5, 5.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is done."""

    at_s: float  #: since the load began
    kind: FaultKind
    target: str  #: whom it befalls; empty: Postgres, or the way to it
    lasts_s: float  #: 0: it is done at once
    choice: float  #: 0 to 1: which of several, where that shows only then

    def __str__(self) -> str:
        lasting = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.at_s:5.1f} s: {self.kind} {self.target}".rstrip() + lasting


def clock_off_s(choice: float) -> float:
    """By how much a clock is set back or ahead: milliseconds as often as much more. What is timed
    by one that is ahead waits as long once it is right again, and the suite with it; so that is
    seconds at the most, and back it is an hour."""
    most_s = 3600.0 if choice < 0.5 else 10.0
    fraction = 2 * choice % 1.0
    off_s: float = _LEAST_OFF_S * (most_s / _LEAST_OFF_S) ** fraction
    return -off_s if choice < 0.5 else off_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The schedule of a seed."""

    seed: int
    lasts_s: float
    faults: Sequence[Fault]


def plan_of(seed: int, lasts_s: float) -> Plan:
    """The same for the same seed and time, wherever it runs."""
    return Plan(seed=seed, lasts_s=lasts_s, faults=list(_faults(Random(f"chaos {seed}"), lasts_s)))


def _faults(draw: Random, lasts_s: float) -> Iterator[Fault]:
    kinds = list(_KINDS)
    weights = [_KINDS[kind][0] for kind in kinds]
    at_s = _QUIET_S
    while at_s < lasts_s:
        [kind] = draw.choices(kinds, weights)
        _, least_s, most_s = _KINDS[kind]
        yield Fault(
            at_s=at_s,
            kind=kind,
            target=_target(draw, kind),
            lasts_s=draw.uniform(least_s, most_s),
            choice=draw.random(),
        )
        at_s += draw.uniform(0.2, 2 * _PAUSE_S)


#: Whom each kind may befall, where that is not told by the choice of the moment.
_TARGETS: dict[FaultKind, Sequence[str]] = {
    FaultKind.FREEZE: _FROZEN,
    FaultKind.SET_CLOCK: _CLOCKS,
    FaultKind.MOVE_SHARDS: ["host-0", "host-1"],
    FaultKind.SCALE: [str(hosts) for hosts in range(2, MOST_HOSTS + 1)],
    FaultKind.KILL_DRIVER: [f"driver-{number}" for number in range(DRIVERS)],
    FaultKind.KILL_READER: ["ledger"],
}


def _target(draw: Random, kind: FaultKind) -> str:
    if kind is FaultKind.KILL:
        return draw.choices(list(_PROCESSES), list(_PROCESSES.values()))[0]
    targets = _TARGETS.get(kind)
    return draw.choice(targets) if targets else ""
