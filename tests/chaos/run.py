"""One seed: a system under load, its schedule, and what the checker says when all is over."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

import asyncpg
import ray

from actors.errors import ThornbackError
from runtime.system import ActorSystem
from store.embedded.server import EmbeddedPostgres
from tests.chaos.checker import problems
from tests.chaos.clocks import MACHINE, Clocks
from tests.chaos.database import Database, database
from tests.chaos.disk import Disk
from tests.chaos.nodes import Nodes
from tests.chaos.plan import DRIVERS, Fault, FaultKind, Plan
from tests.chaos.programs import Program
from tests.chaos.reading import read_history, sendings_in, unruly_in
from tests.chaos.striking import Striker
from tests.chaos.way import Way
from tests.programs import Totals
from tests.projections import Tallies
from thornback.testing.settings import small_settings

#: What each thing may take before it counts as never coming.
LAUNCH_S, ENDS_S, SETTLES_S, DRAINS_S = 180.0, 180.0, 180.0, 90.0
_LOOK_S = 0.5

#: Up to which position everybody has to come, and how far they are.
_SETTLED = """
SELECT
    (SELECT coalesce(max(position), 0) FROM events WHERE source LIKE 'counter/%') AS counters,
    (SELECT coalesce(max(position), 0) FROM events
     WHERE event_type IN ('message-sent', 'message-returned')) AS messages,
    (SELECT coalesce(max(position), 0) FROM events WHERE event_type LIKE 'timer-%') AS timers,
    (SELECT count(*) FROM pending_timers) AS pending,
    (SELECT json_object_agg(name, position)::text FROM subscriptions) AS checkpoints
"""
#: What each follows that does not follow the counters.
_FOLLOWED = {"messages": "messages", "thornback.timers": "timers"}


@dataclass
class Outcome:
    """What came of a seed."""

    seed: int
    faults: Mapping[FaultKind, int] = field(default_factory=dict)
    unruly: Mapping[str, int] = field(default_factory=dict)  #: what befell drivers' requests
    acknowledged: int = 0
    events: int = 0
    problems: list[str] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def verdict(self) -> str:
        """In a word or two."""
        return f"{len(self.problems)} problems" if self.problems else "all kept"


def run_seed(
    plan: Plan,
    server: EmbeddedPostgres,
    disk: Disk | None,
    nodes: Nodes,
    clocks: Clocks,
    folder: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    look: Callable[[], None],
) -> Outcome:
    """Carry the schedule out on a system of its own; nothing of it is left.
    `look` is called before anything is struck, and while all of it is there."""
    outcome, began_s = Outcome(plan.seed), time.monotonic()
    with ExitStack() as stack:
        own = stack.enter_context(database(server, disk))
        way = Way(own.url, nodes.address)
        url = way.open()
        stack.callback(way.close)
        clocks.begin(folder)
        run = _Run(plan, own, way, nodes, clocks, folder, outcome, say)
        stack.callback(run.end_programs)
        run.launch(url, environment)
        look()  # what is killed later is to leave nothing of it either
        run.strike()
        look()
        run.settle()
        run.drain()
        run.judge()
    outcome.took_s = time.monotonic() - began_s
    return outcome


class _Run:
    """Its steps, in their order."""

    def __init__(
        self, plan: Plan, own: Database, way: Way, nodes: Nodes, clocks: Clocks, folder: Path,
        outcome: Outcome, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._plan, self._database, self._way, self._nodes = plan, own, way, nodes
        self._clocks = clocks
        self._folder, self._outcome, self._say = folder, outcome, say
        self._programs: dict[str, Program] = {}
        self._system: ActorSystem | None = None

    def launch(self, url: str, environment: Mapping[str, str]) -> None:
        """The system, what it computes, and who drives it."""
        settings = small_settings(
            {
                "actor_system": {
                    "hosts": 2,
                    "actor_timeout_ms": 10_000,
                    # Faults strike more often than any policy for real machines allows.
                    "process_restarts": 1_000,
                    "process_backoff_ms": 0,
                    "actor_modules": ["actors.examples.load_management", "tests.chaos.alarms"],
                }
            },
            connection_string=url,
        )
        self._system = system = ActorSystem.launch(settings, timeout_s=LAUNCH_S)
        totals = Totals("totals", ["counter/*"], groups=7)
        system.run(totals, workers=2).result(timeout_s=LAUNCH_S)
        system.run(Tallies, workers=1).result(timeout_s=LAUNCH_S)
        folder, seed = str(self._folder), str(self._plan.seed)
        for number in range(DRIVERS):
            name = f"driver-{number}"
            before = [system.namespace, str(number)]
            own = {**environment, MACHINE: name}
            self._programs[name] = Program(
                "driver", before, [folder, seed], own, self._folder / f"{name}.log"
            )
        self._programs["ledger"] = Program(
            "reader", [system.namespace], [folder], environment, self._folder / "ledger.log"
        )
        for program in self._programs.values():
            program.start()
        self._wait_for_load()

    def _wait_for_load(self) -> None:
        """Until every driver has been acknowledged something: otherwise little is struck."""
        deadline_s = time.monotonic() + LAUNCH_S
        while (
            len({each.driver for each in sendings_in(self._folder) if each.acknowledged}) < DRIVERS
        ):
            if time.monotonic() > deadline_s:
                self._found(f"not every driver was acknowledged something within {LAUNCH_S:g} s")
                return
            time.sleep(_LOOK_S)  # a file says nothing of its own accord

    def strike(self) -> None:
        """Everything of the schedule, each at its time; what lasts is undone at its own."""
        assert self._system is not None
        striker = Striker(
            self._database, self._way, self._programs, self._nodes, self._clocks, self._system
        )
        self._outcome.faults = striker.counts
        began_s, numbers = time.monotonic(), count()
        due: list[tuple[float, int, Fault | Callable[[], None]]] = []
        for fault in self._plan.faults:
            heappush(due, (fault.at_s, next(numbers), fault))
        try:
            while due:
                at_s, _, what = due[0]
                time.sleep(max(0.0, began_s + at_s - time.monotonic()))
                heappop(due)
                if isinstance(what, Fault):
                    self._say(str(what))
                    if (undo := striker.strike(what)) is not None:
                        ends_s = time.monotonic() - began_s + what.lasts_s
                        heappush(due, (ends_s, next(numbers), undo))
                else:
                    what()
                self._tend()
        finally:
            for _, _, what in due:  # who is stopped goes on, whatever has gone wrong here
                if not isinstance(what, Fault):
                    what()
        time.sleep(max(0.0, began_s + self._plan.lasts_s - time.monotonic()))
        for problem in striker.finished():
            self._found(problem)

    def _tend(self) -> None:
        """A program that has ended by itself is told of, and started anew; and so is a node that
        has, because Ray took it for dead."""
        self._nodes.replace()
        for name, program in self._programs.items():
            if (code := program.ended) is not None:
                self._found(f"{name} has ended by itself, with code {code}: {program.said()}")
                program.start()

    def settle(self) -> None:
        """Drivers have an answer to everything, and whoever follows the log has come to its end."""
        for name, program in self._programs.items():
            if name != "ledger":
                program.tell_to_end()
        for name, program in self._programs.items():
            if name != "ledger":
                self._ended(name, program)
        deadline_s = time.monotonic() + SETTLES_S
        while waits_for := self._waits_for():
            if time.monotonic() > deadline_s:
                self._found(f"has not settled within {SETTLES_S:g} s: {waits_for}")
                break
            self._nodes.replace()
            time.sleep(_LOOK_S)  # the log says nothing of its own accord
        self._programs["ledger"].tell_to_end()
        self._ended("ledger", self._programs["ledger"])
        self._programs.clear()

    def _ended(self, name: str, program: Program) -> None:
        code = program.wait_end(ENDS_S)
        if code is None:
            self._found(f"{name} has not ended within {ENDS_S:g} s: {program.said()}")
        elif code:
            self._found(f"{name} has ended with code {code}: {program.said()}")

    def _waits_for(self) -> str:
        """Who is not at the end of what it follows; nobody, when all have settled."""
        try:
            [row] = self._database.fetch(_SETTLED)
        except (OSError, TimeoutError, asyncpg.PostgresError) as error:
            return f"the database: {error}"
        checkpoints: dict[str, int] = json.loads(row["checkpoints"] or "{}")
        behind = [
            f"{name} at {position}"
            for name, position in checkpoints.items()
            if position < row[_FOLLOWED.get(name, "counters")]
        ]
        if row["pending"]:
            behind.append(f"{row['pending']} timers")
        if "ledger" not in checkpoints:
            behind.append("ledger, which has not begun")
        return ", ".join(behind[:4])

    def drain(self) -> None:
        """The system ends, and nothing of it has a name any more."""
        assert self._system is not None
        namespace = self._system.namespace
        try:
            report = self._system.drain(timeout_s=DRAINS_S).result(timeout_s=2 * DRAINS_S)
            self._outcome.problems += [f"drain: {problem}" for problem in report.problems]
        except ThornbackError as error:
            self._found(f"it cannot be drained: {type(error).__name__}: {error}")
        named = ray.util.list_named_actors(all_namespaces=True)
        if left := [each["name"] for each in named if each["namespace"] == namespace]:
            self._found(f"names are left: {left}")

    def judge(self) -> None:
        """What the log and the records come to."""
        history = asyncio.run(read_history(self._database.url, self._folder))
        self._outcome.events = len(history.events)
        self._outcome.acknowledged = len(
            {each.id for each in history.sendings if each.acknowledged}
        )
        self._outcome.unruly = unruly_in(self._folder)
        self._outcome.problems += map(str, problems(history))

    def end_programs(self) -> None:
        """Those that still run, where a step has failed."""
        for program in self._programs.values():
            program.kill()

    def _found(self, problem: str) -> None:
        self._say(f"PROBLEM {problem}")
        self._outcome.problems.append(problem)
