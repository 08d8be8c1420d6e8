"""`make chaos`: kill, stop and cut what can be, under load, and have what is promised proved.

A seed says what is done and when; the same seed does the same again, at other moments of the code.
"""

import argparse
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from runtime.cluster.node_network import NodeNetwork, impossible
from runtime.cluster.ray_session import end_ray, start_ray, way_in
from store.embedded.server import EmbeddedPostgres
from tests.chaos.clocks import Clocks
from tests.chaos.disk import Disk, disk_of_own
from tests.chaos.leftovers import MARK, Watch
from tests.chaos.nodes import Nodes
from tests.chaos.plan import NODES, Plan, plan_of
from tests.chaos.run import Outcome, run_seed

#: How long faults go on in one seed.
SEED_S = 45.0


def main() -> int:
    """Zero if nothing was found."""
    options = argparse.ArgumentParser(prog="make chaos ARGS=...", description=__doc__)
    options.add_argument("--minutes", type=float, default=10.0, help="how long to run")
    options.add_argument("--seeds", type=int, help="how many seeds to run, instead of minutes")
    options.add_argument("--seed", type=int, help="run this one alone")
    options.add_argument("--first", type=int, help="the first seed; a fresh one unless given")
    options.add_argument(
        "--seconds", type=float, default=SEED_S, help="how long faults go on in each seed"
    )
    options.add_argument("--keep", type=Path, help="where records of failing seeds are kept")
    arguments = options.parse_args()
    outcomes: list[Outcome] = []
    with _bed() as bed:
        for plan in _plans(arguments):
            print(f"seed {plan.seed}: {len(plan.faults)} faults in {plan.lasts_s:g} s", flush=True)
            outcomes.append(_run(plan, bed, arguments.keep))
    print(table(outcomes), *(f"left over: {each}" for each in bed.left), sep="\n", flush=True)
    return 1 if bed.left or any(each.problems for each in outcomes) else 0


def table(outcomes: list[Outcome]) -> str:
    """A line a seed."""
    lines = [f"{'seed':>10} {'faults':>6} {'acknowledged':>12} {'events':>8} {'s':>5}  verdict"]
    kinds, unruly = Counter[str](), Counter[str]()
    for each in outcomes:
        kinds.update({kind.value: number for kind, number in each.faults.items()})
        unruly.update(each.unruly)
        lines.append(
            f"{each.seed:>10} {sum(each.faults.values()):>6} {each.acknowledged:>12,}"
            f" {each.events:>8,} {each.took_s:>5.0f}  {each.verdict}"
        )
    for what, counts in (("", kinds), ("requests ", unruly)):
        lines.append(
            what + ", ".join(f"{kind}: {number}" for kind, number in sorted(counts.items()))
        )
    return "\n".join(lines)


def _plans(arguments: argparse.Namespace) -> Iterator[Plan]:
    if arguments.seed is not None:
        yield plan_of(arguments.seed, arguments.seconds)
        return
    first = secrets.randbelow(10**6) if arguments.first is None else arguments.first
    ends_s = time.monotonic() + 60 * arguments.minutes
    for seed in count(first):
        done = seed - first
        if done >= arguments.seeds if arguments.seeds else done and time.monotonic() >= ends_s:
            return
        yield plan_of(seed, arguments.seconds)


def _run(plan: Plan, bed: "_Bed", keep: Path | None) -> Outcome:
    folder = bed.records / str(plan.seed)
    folder.mkdir()
    environment = {**os.environ, **way_in()}
    outcome = run_seed(
        plan, bed.server, bed.disk, bed.nodes, bed.clocks, folder, environment, _say,
        bed.watch.look,
    )  # fmt: skip
    _say(f"{outcome.acknowledged:,} commands acknowledged, {outcome.verdict}")
    if outcome.problems:
        print(f"seed {plan.seed} has failed; `--seed {plan.seed}` repeats this schedule:")
        print(*plan.faults, "what is wrong:", *outcome.problems[:50], sep="\n  ", flush=True)
        if keep is not None:
            shutil.copytree(folder, keep / str(plan.seed), dirs_exist_ok=True)
    shutil.rmtree(folder)
    return outcome


def _say(what: str) -> None:
    print(f"  {what}", flush=True)


@dataclass
class _Bed:
    """Where seeds run, one after the other."""

    server: EmbeddedPostgres
    disk: Disk | None  #: the server's; None where there can be none of its own
    nodes: Nodes
    clocks: Clocks
    watch: Watch
    records: Path
    left: list[str]  #: when all has ended: what should not be there


@contextmanager
def _bed() -> Iterator[_Bed]:
    """A Ray and a PostgreSQL of the run's own, which end with it, in a folder of its own."""
    mark = secrets.token_hex(8)
    folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))  # short: Ray has sockets in it
    folder.chmod(0o711)  # root's server runs as another user, who has to get through
    records = folder / "records"
    records.mkdir(mode=0o700)
    clocks = Clocks(folder / "clocks")
    os.environ |= {MARK: mark, "TMPDIR": str(folder), **clocks.environment()}
    tempfile.tempdir = None  # what was found before TMPDIR said so
    disk = disk_of_own(folder / "disk")
    if disk is None:
        print("no disk becomes full: only root has one in memory", flush=True)
    server = EmbeddedPostgres((folder if disk is None else disk.folder) / "postgres")
    watch, left = Watch(mark, folder), list[str]()
    try:
        server.start()
        if why := impossible():
            print(f"no node is cut off, and all are on loopback: {why}", flush=True)
        network = None if why else NodeNetwork()
        nodes = Nodes(start_ray(NODES, network=network), network)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Ray has put a handler of its own
        yield _Bed(server, disk, nodes, clocks, watch, records, left)
    finally:
        end_ray()
        server.destroy()
        if disk is not None:
            disk.end()
        left += watch.left()
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
