"""Comparing two vector clocks, as Thornback's original measures it."""

import statistics
import time

from actors.clock import VectorClock
from benchmarks.bed import Bed
from benchmarks.figures import Figure, Measure
from benchmarks.sizes import require

KEY = "clock_compare_ns"
RUNS = 5


def run(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """`happens_before` of a clock of node0 to node9 and of one of node1 to node10, each of
    one tick: the middle of five runs."""
    first = second = VectorClock()
    for number in range(10):
        first = first.tick(f"node{number}")
        second = second.tick(f"node{number + 1}")
    require(first.concurrent_with(second), "the clocks are not concurrent")
    return {
        KEY: statistics.median(_took_ns(first, second, bed.sizes.comparisons) for _ in range(RUNS))
    }


def _took_ns(first: VectorClock, second: VectorClock, comparisons: int) -> float:
    compare = first.happens_before
    started_ns = time.perf_counter_ns()
    for _ in range(comparisons):
        compare(second)
    return (time.perf_counter_ns() - started_ns) / comparisons


MEASURE = Measure(
    run,
    (
        Figure(
            key=KEY,
            input="{comparisons:,} times happens_before of two clocks of ten nodes, nine of "
            "them shared",
            at_most=True,
        ),
    ),
)
