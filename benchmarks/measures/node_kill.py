"""From the kill of a node until its actors answer elsewhere, by two health checks of Ray's head."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.bed import Bed, settle
from benchmarks.figures import Figure, Measure
from benchmarks.sizes import require

SHORTENED, DEFAULT = "node_kill_recovery_s", "node_kill_recovery_default_s"
ROOT = Path(__file__).parents[2]
_LIMIT_S = 600.0


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """Each in a Ray, and a database, of its own."""
    return {key: _one(bed, key) for key in (SHORTENED, DEFAULT) if key in wanted}


def _one(bed: Bed, key: str) -> float:
    check = "SHORTENED" if key == SHORTENED else "DEFAULT"
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with bed.database() as url:
        settle(url)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.node_kill", str(bed.sizes.killed), check],
            cwd=ROOT, env={**own, "DATABASE_URL": url}, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_LIMIT_S,
        )  # fmt: skip
    require(done.returncode == 0, f"the kill of a node ended with {done.returncode}")
    return float(done.stdout.split()[-1])


_INPUT = (
    "kill -9 of one of three Ray nodes of this machine, with a third of {killed:,} resident "
    "actors, under load, until every one has answered; "
)

MEASURE = Measure(
    run,
    (
        Figure(
            key=SHORTENED,
            input=_INPUT + "Ray asks nodes every second, and takes 5 answers in vain for a death",
            at_most=True,
        ),
        Figure(key=DEFAULT, input=_INPUT + "Ray's own health check", at_most=True),
    ),
    once=True,
)
