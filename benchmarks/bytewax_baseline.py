"""The same windows in the library bytewax, with its recovery store on.

    python -m benchmarks.bytewax_baseline EVENTS KEYS TOGETHER FOLDER

One process with one worker, as a flow is run from the command line. The events come out of memory,
which is quicker than out of a log, and what a window comes to is counted and goes nowhere; state
and place are snapshotted to the SQLite files of its recovery store once in each epoch of a second.
Prints events a second, from the first that is read to the end of the flow.
"""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as windows
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators.windowing import EventClock, TumblingWindower
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from benchmarks.sizes import NotAsExpected, require

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
EPOCH = timedelta(seconds=1)
BATCH = 500  #: events that the source hands over at a time
WAIT = timedelta(hours=6)  #: for what comes late, as our own windows do
LIMIT_S = 600.0

Reading = tuple[str, datetime, float]


def bytewax_window_events_per_s(events: int, keys: int, together: int) -> float:
    """See above; in a process of its own."""
    with TemporaryDirectory() as folder:
        arguments = [str(events), str(keys), str(together), folder]
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.bytewax_baseline", *arguments],
            check=False, capture_output=True, text=True, timeout=LIMIT_S,
        )  # fmt: skip
    if ran.returncode:
        raise NotAsExpected(f"bytewax ended with {ran.returncode}: {ran.stderr[-300:]}")
    return float(ran.stdout)


class _Readings(StatefulSourcePartition[Reading, int]):
    """Readings of so many keys in turn, of which `together` fall into each hour."""

    def __init__(self, made: list[Reading], at: int) -> None:
        self._made, self._at = made, at

    def next_batch(self) -> Iterable[Reading]:
        if self._at >= len(self._made):
            raise StopIteration
        batch = self._made[self._at : self._at + BATCH]
        self._at += BATCH
        return batch

    def snapshot(self) -> int:
        return self._at


class _Source(FixedPartitionedSource[Reading, int]):
    def __init__(self, made: list[Reading]) -> None:
        self._made = made

    def list_parts(self) -> list[str]:
        return ["readings"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> _Readings:
        return _Readings(self._made, resume_state or 0)


class _Counting(StatelessSinkPartition[Any]):
    def __init__(self, results: list[int]) -> None:
        self._results = results

    def write_batch(self, items: list[Any]) -> None:
        self._results[0] += len(items)


class _Sink(DynamicSink[Any]):
    def __init__(self, results: list[int]) -> None:
        self._results = results

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Counting:
        return _Counting(self._results)


def _made(events: int, keys: int, together: int) -> Iterator[Reading]:
    step = timedelta(hours=1) / together
    for number in range(events):
        yield f"{number % keys:04}", BEGIN + step * (number // keys), number / 8


def _flow(made: list[Reading], results: list[int]) -> Dataflow:
    flow = Dataflow("windows")
    readings = op.input("readings", flow, _Source(made))
    keyed = op.key_on("key", readings, lambda reading: reading[0])
    clock: EventClock[Reading] = EventClock(
        lambda reading: reading[1], wait_for_system_duration=WAIT
    )
    windower = TumblingWindower(length=timedelta(hours=1), align_to=BEGIN)
    folded = windows.fold_window(
        "windows", keyed, clock, windower,
        lambda: (0, 0.0),
        lambda total, reading: (total[0] + 1, total[1] + reading[2]),
        lambda one, other: (one[0] + other[0], one[1] + other[1]),
        ordered=False,
    )  # fmt: skip
    op.output("results", folded.down, _Sink(results))
    return flow


def main(events: int, keys: int, together: int, folder: Path) -> None:
    """Print the figure."""
    init_db_dir(folder, 1)  # type: ignore[no-untyped-call]
    made, results = list(_made(events, keys, together)), [0]
    flow = _flow(made, results)
    started_s = time.perf_counter()
    recovery = RecoveryConfig(str(folder))  # type: ignore[no-untyped-call]
    run_main(flow, epoch_interval=EPOCH, recovery_config=recovery)  # type: ignore[no-untyped-call]
    elapsed_s = time.perf_counter() - started_s
    require(results[0] == events // together, f"{results[0]:,} windows of {events:,} events")
    print(events / elapsed_s)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
