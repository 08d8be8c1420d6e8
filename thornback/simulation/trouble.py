"""What goes wrong in a simulation of a user's own code: drawn from the seed as time goes on.

Most of what can go wrong does so where something is half done, and a system that sleeps through a
night hardly ever is. So faults come in two ways: now and then, and around the commits of the
database (docs/decisions/0088 says what that is worth).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

from thornback.simulation.database_requests import ClientRequest
from thornback.simulation.draws import stream
from thornback.simulation.scheduler import Owner
from thornback.simulation.striking import OF_NO_PROCESS, STRIKES, Fault, Struck, calm

#: What may go wrong, each as likely as any other.
KINDS = (
    "crash", "crash", "crash", "replace", "hang", "cut", "cut", "silence",
    "calls lost", "calls unheard", "calls doubled", "calls late",
    "database away", "database silent", "database slow",
    "commit late", "commit late", "commit locked", "commit unheard", "commit unheard",
    "epoch late", "set clock",
)  # fmt: skip
#: Seconds around a commit in which what strikes because of it does.
AROUND_S = (0.0, 0.0, 0.002, 0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong, and how often. `Faults()` is everything; `Faults.none()` is nothing.

    `kinds` are "crash" (a process is killed, and Ray starts it anew), "replace" (Ray takes it for
    dead, and it lives on for a while beside its successor), "hang" (it does nothing for a while),
    "cut" and "silence" (of connections), "calls lost", "calls unheard", "calls doubled" and "calls
    late" (by Ray), "database away", "database silent" and "database slow", "commit late", "commit
    locked" and "commit unheard" (what the database answers), "epoch late" (a successor that begins
    slowly) and "set clock". What a Night has a method for is named as that method is. One that is
    named twice is twice as likely.

    Raises ValueError for what is none of these.
    """

    every_s: float | None = 3_600.0  #: of virtual time, on average, whatever happens; None: never
    at_commits: float = 0.1  #: around so many of the commits something goes wrong
    longest_s: float = 6.0  #: how long what is away is away, and what hangs hangs, at the most
    clocks_s: tuple[float, ...] = (-1.0, -0.01, 0.5, 2.0)  #: how far clocks are set
    kinds: Sequence[str] = KINDS

    def __post_init__(self) -> None:
        if isinstance(self.kinds, str) or not {*self.kinds} <= {*STRIKES}:
            raise ValueError(f"kinds are some of {sorted(STRIKES)}, not {self.kinds!r:.200}")
        if self.every_s is not None and not self.every_s > 0:
            raise ValueError(f"every_s is a number of seconds or None, not {self.every_s!r}")
        if not 0 <= self.at_commits <= 1:
            raise ValueError(f"at_commits is a share, from 0 to 1, not {self.at_commits!r}")

    @classmethod
    def none(cls) -> "Faults":
        """Nothing goes wrong; the order of what happens at once is drawn all the same."""
        return cls(every_s=None, at_commits=0.0, kinds=())

    def without(self, *kinds: str) -> "Faults":
        """All but these kinds. Raises ValueError for what is none."""
        if not {*kinds} <= {*STRIKES}:
            raise ValueError(f"kinds are some of {sorted(STRIKES)}, not {kinds!r:.200}")
        return replace(self, kinds=tuple(each for each in self.kinds if each not in kinds))


class TroubleMaker:
    """Has faults strike, those of a plan or those that are drawn, and remembers them."""

    def __init__(
        self,
        struck: Struck,
        faults: Faults,
        plan: Iterable[Fault] | None,
        tell: Callable[[str], None],
    ) -> None:
        self._struck, self._faults, self._tell = struck, faults, tell
        self._plan = None if plan is None else list(plan)
        self._active = False
        self._draw = stream(struck.loop.seed, "faults")
        self._at_commits = stream(struck.loop.seed, "faults at commits")
        self.struck: list[Fault] = []  #: by itself

    def begin(self) -> None:
        """From now on things go wrong."""
        if self._active:
            return
        self._active = True
        for cluster in self._struck.clusters:
            cluster.head_slow = self._plan is None and bool(self._faults.kinds)
        if self._plan is not None:
            now_s = self._struck.loop.time()
            for fault in self._plan:
                if fault.at_s >= now_s:
                    self._later(fault.at_s - now_s, fault)
        elif self._faults.kinds and self._faults.every_s is not None:
            self._wait(self._faults.every_s)

    def end(self) -> None:
        """Nothing goes wrong any more."""
        self._active = False
        calm(self._struck)

    def heard(self, request: ClientRequest) -> None:
        """The database is asked to commit something."""
        if not self._active or self._plan is not None or not self._faults.kinds:
            return
        draw = self._at_commits
        if draw.random() < self._faults.at_commits:
            delay_s = draw.uniform(0.0, draw.choice(AROUND_S))
            self._struck.loop.world.later(delay_s, self._strike_drawn, draw)

    def strike(self, fault: Fault) -> None:
        """Have something go wrong now, whoever says so. Raises KeyError where it has no target."""
        self._struck.loop.news()
        self._tell(told(fault))
        STRIKES[fault.kind](self._struck, fault)

    def _wait(self, every_s: float) -> None:
        # A timer of the loop's own: whoever waits for nothing else waits for ever.
        self._struck.loop.world.later(self._draw.expovariate(1 / every_s), self._now, every_s)

    def _now(self, every_s: float) -> None:
        if self._active:
            self._strike_drawn(self._draw)
            self._wait(every_s)

    def _later(self, delay_s: float, fault: Fault) -> None:
        def strike() -> None:
            if self._active:
                self._strike(fault)

        self._struck.loop.world.later(delay_s, strike)

    def _strike_drawn(self, draw: Random) -> None:
        if self._active and (fault := self._drawn(draw)) is not None:
            self._strike(fault)

    def _strike(self, fault: Fault) -> None:
        if fault.kind in OF_NO_PROCESS or fault.target in self._struck.cluster.processes:
            self.struck.append(fault)
            self.strike(fault)

    def _drawn(self, draw: Random) -> Fault | None:
        kind = draw.choice(list(self._faults.kinds))
        longest_s = self._faults.longest_s
        brief, long = draw.uniform(0.01, 0.3), draw.uniform(0.3, max(longest_s, 0.31))
        seconds = min(draw.choice((brief, long)), longest_s)
        amount = draw.uniform(0.3, 3.0)
        processes = self._struck.cluster.processes
        target, other = draw.choice(sorted(processes)), ""
        if draw.random() < 0.5:  # most of what there is may be workers, or hosts
            target = draw.choice([name for name in ("writer", "host-0") if name in processes])
        if kind in ("cut", "silence"):
            connections = self._struck.network.connections
            links = sorted({(_plain(near.holder), _plain(far.holder)) for near, far in connections})
            if not links:
                return None
            target, other = draw.choice(links)
        elif kind == "set clock":
            seconds, amount = 0.0, draw.choice(self._faults.clocks_s)
        elif kind.startswith(("database", "commit")):
            target, amount = "database", float(draw.choice((1, 1, 2, 5)))
        elif kind == "epoch late":
            other = draw.choice(("", "replaced"))
        elif kind.startswith("call"):
            amount = float(draw.choice((1, 2, 4)))
        elif kind == "replace" and target != "directory":
            amount = draw.uniform(0.01, 0.2)
        at_s = self._struck.loop.time()
        return Fault(len(self.struck), at_s, kind, target, other, seconds, amount)


def _plain(holder: Owner) -> str:
    return holder.name.partition("#")[0]


def told(fault: Fault) -> str:
    """A fault in words."""
    s, n = f"{fault.seconds:.3f} s", int(fault.amount)
    target, back = fault.target, f"{fault.amount:.3f} s"
    return {
        "crash": f"{target} is killed, and back after {back}",
        "replace": f"{target} has a successor after {back}, and lives on for {s} beside it",
        "hang": f"{target} hangs for {s}",
        "cut": f"the connections from {target} to {fault.other} break",
        "silence": f"nothing comes through between {target} and {fault.other} for {s}",
        "calls lost": f"{n} calls by Ray do not come to {target}",
        "calls unheard": f"the answers to {n} calls by Ray of {target} are lost",
        "calls doubled": f"{n} calls by Ray come to {target} twice",
        "calls late": f"{n} calls by Ray come to {target} {s} late",
        "database away": f"the database is away for {s}",
        "database silent": f"the database does not answer for {s}",
        "database slow": f"the database is {1 + 500 * fault.amount:.0f} times as slow for {s}",
        "commit late": f"{n} commits are unheard, and take up to {s}",
        "commit locked": f"{n} commits are unheard, and hold their locks for {s}",
        "commit unheard": f"the answers to {n} commits are lost",
        "epoch late": f"{target} is killed, and its successor's epoch takes {s}"
        + (", in which that is replaced, too" if fault.other else ""),
        "set clock": f"the clock of {target} is set by {fault.amount:+.3f} s",
    }[fault.kind]
