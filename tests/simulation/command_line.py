"""`make simulate`: run fresh seeds on all cores, replay one, or run the mutations."""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context

from tests.simulation.planning import plan_of
from tests.simulation.reduction import reduced
from tests.simulation.simulation import Outcome, simulate

#: Seeds that one core runs before it reports.
CHUNK = 10
#: Seconds between two lines of progress.
EVERY_S = 10.0


def main() -> int:
    """Zero if nothing was found."""
    options = argparse.ArgumentParser(prog="make simulate ARGS=...", description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0, help="how long to run")
    options.add_argument("--seeds", type=int, help="how many seeds to run, instead of seconds")
    options.add_argument("--first", type=int, help="the first seed; a fresh one unless given")
    options.add_argument("--seed", type=int, help="replay one seed, and reduce its faults")
    options.add_argument("--cores", type=int, default=os.cpu_count(), help="processes at work")
    options.add_argument(
        "--mutations", nargs="*", metavar="NAME", help="put faults into the path and find them"
    )
    arguments = options.parse_args()
    if arguments.mutations is not None:
        from tests.simulation.mutations.table import print_table  # noqa: PLC0415 - it starts processes of its own

        return print_table(arguments.mutations, arguments.cores, arguments.seeds or 3000)
    if arguments.seed is not None:
        return replay(arguments.seed)
    return explore(arguments)


def replay(seed: int) -> int:
    """One seed: what is wrong, and the faults that it takes."""
    plan = plan_of(seed)
    outcome = simulate(plan)
    print(f"seed {seed}: {outcome.calls} calls, {outcome.events} events, digest {outcome.digest}")
    if not outcome.problems:
        print("nothing is wrong")
        return 0
    print(*outcome.problems, sep="\n")
    fewest = reduced(plan, outcome.problems)
    print(f"\nof {len(plan.faults)} faults these matter:")
    print(*map(str, fewest.faults), sep="\n")
    print(*simulate(fewest).problems, sep="\n")
    print(plan.setup)
    return 1


@dataclass
class Totals:
    """What was run so far."""

    began_s: float = field(default_factory=time.monotonic)
    seeds: int = 0
    virtual_s: float = 0.0
    calls: int = 0
    events: int = 0
    failed: int = 0

    def add(self, outcomes: list[Outcome]) -> None:
        """Count seeds in, and say which failed."""
        for outcome in outcomes:
            self.seeds += 1
            self.virtual_s += outcome.virtual_s
            self.calls += outcome.calls
            self.events += outcome.events
            if outcome.problems:
                self.failed += 1
                print(f"seed {outcome.seed}: {outcome.problems[0][:200]}")
                print(f"  make simulate ARGS='--seed {outcome.seed}'", flush=True)

    def say(self) -> None:
        """One line."""
        seconds = time.monotonic() - self.began_s
        print(
            f"{self.seeds:,} seeds in {seconds:.0f} s ({self.seeds / seconds:.1f}/s), "
            f"{self.virtual_s / 3600:,.1f} simulated hours, {self.calls:,} calls, "
            f"{self.events:,} events, {self.failed} failed",
            flush=True,
        )


def explore(arguments: argparse.Namespace) -> int:
    """Fresh seeds on all cores."""
    first = arguments.first if arguments.first is not None else secrets.randbits(40)
    totals = Totals()
    ends_s = None if arguments.seeds else totals.began_s + arguments.seconds
    chunks = _chunks(first, arguments.seeds)
    said_s = totals.began_s
    with ProcessPoolExecutor(arguments.cores, get_context("spawn")) as pool:
        running: set[Future[list[Outcome]]] = set()
        while True:
            while len(running) < 2 * arguments.cores and not _over(ends_s):
                if (chunk := next(chunks, None)) is None:
                    break
                running.add(pool.submit(run_seeds, chunk))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for each in done:
                totals.add(each.result())
            if time.monotonic() - said_s > EVERY_S:
                said_s = time.monotonic()
                totals.say()
    totals.say()
    return 1 if totals.failed else 0


def run_seeds(seeds: list[int]) -> list[Outcome]:
    """One after another."""
    return [simulate(plan_of(seed)) for seed in seeds]


def _over(ends_s: float | None) -> bool:
    return ends_s is not None and time.monotonic() >= ends_s


def _chunks(first: int, seeds: int | None) -> Iterator[list[int]]:
    for start in count(first, CHUNK):
        left = CHUNK if seeds is None else min(CHUNK, first + seeds - start)
        if left <= 0:
            return
        yield list(range(start, start + left))


if __name__ == "__main__":
    sys.exit(main())
