"""The real replay: a year of New York's air traffic, from the files to the last reply."""

import time

import psycopg

from benchmarks.bed import Bed, one_value
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.measures.commands import all_told
from benchmarks.sizes import require
from jobs.flights.air_traffic import AirTraffic
from jobs.flights.report import COUNTS, GAPS
from jobs.replay import Refs, sends

KEY = "replay_events_per_s"


def run(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """Reading and ordering the data is part of it, launching the system is not."""
    with bed.database() as url, bed.system(url) as system:
        started_s = time.perf_counter()
        traffic = AirTraffic(bed.sizes.days)
        refs: Refs = {}
        told = system.tell_many(sends(system, traffic, refs))
        elapsed_s = time.perf_counter() - started_s
        all_told(told, traffic.total)
        require(_counts(url) == traffic.expected, "the log has other events than expected")
        require(one_value(url, GAPS) == 0, "an aggregate's versions are not 1..n")
    return {KEY: traffic.total / elapsed_s}


def _counts(url: str) -> dict[str, int]:
    with psycopg.connect(url, autocommit=True) as connection:
        return dict(connection.execute(COUNTS.encode()).fetchall())


MEASURE = Measure(
    run,
    (
        Figure(
            key=KEY,
            input="{days} days of 2013, reading and ordering the files included, until "
            "every event is acknowledged",
            target=at_least(30_000),
        ),
    ),
)
