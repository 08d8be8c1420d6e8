"""The library eventsourcing with its Postgres module, on the same machine and database.

Two figures: one save an event, and its best case of many aggregates in one save. What is
really in Postgres is counted, the schema `baseline_eventsourcing_...` is dropped, and
starting processes and connections is never timed. `url` is a plain `postgresql://` one.
"""

import multiprocessing
import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict

from benchmarks.schema import require_stored, schema

CELSIUS = 21.5  #: the one reading of every event, as in baselines.py

WARM_UP_SAVES = 5  #: one for each connection of the library's pool, which takes turns
_start_together: list[Barrier] = []  # the one, put here in each process by _share


class Thermostat(Aggregate):
    """The rival's device: the same one reading an event."""

    def __init__(self) -> None:
        self.celsius = 0.0

    @event("TemperatureReported")
    def report(self, celsius: float) -> None:
        self.celsius = celsius


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one process saves, until `commands` or `limit_s`."""

    url: str
    schema: str
    devices: int
    per_save: int
    commands: int
    limit_s: float


def eventsourcing_single_per_s(
    url: str, *, devices: int = 20, commands: int = 3_000, limit_s: float = 5.0
) -> float:
    """Durable events per second, one `save` an event, the aggregates already in memory.

    One thread: the library locks its table until the commit, so no two of its commits
    share an fsync, and four threads measured between 0.9 and 1.3 times this.
    """
    schema = "baseline_eventsourcing_single"
    return _eventsourcing_per_s(
        1,
        Load(
            url=url, schema=schema, devices=devices, per_save=1, commands=commands, limit_s=limit_s
        ),
    )


def eventsourcing_batched_per_s(
    url: str,
    *,
    processes: int = 2,
    batch: int = 1_000,
    commands: int = 50_000,
    limit_s: float = 5.0,
) -> float:
    """Durable events per second, `batch` aggregates with one new event each in one `save`.

    The library's best case: its time goes into Python (protocol checks, JSON, psycopg's
    composite values), so on 2 cores two processes were 1.6 to 1.8 times as fast as one.
    Batches of 200 and 5,000, a second thread and psycopg's compiled build changed some 10 %.
    """
    schema = "baseline_eventsourcing_batched"
    return _eventsourcing_per_s(
        processes,
        Load(
            url=url,
            schema=schema,
            devices=batch,
            per_save=batch,
            commands=commands // processes,
            limit_s=limit_s,
        ),
    )


def _eventsourcing_per_s(processes: int, load: Load) -> float:
    """Several processes on one table, each with devices of its own, timed together."""
    context = multiprocessing.get_context("spawn")  # a forked Ray driver could hang
    start = context.Barrier(processes)
    with schema(load.url, load.schema):
        Application[uuid.UUID](_settings(load)).close()  # makes the table
        with ProcessPoolExecutor(processes, context, _share, (start,)) as pool:
            with _ctrl_c_ignored():  # which the processes inherit: it is for their parent
                under_way = pool.map(_save_on, [load] * processes)
            runs = list(under_way)
        done = sum(run.done for run in runs)
        before = processes * (load.devices + WARM_UP_SAVES * load.per_save)
        require_stored(load.url, load.schema, "application_events", before + done)
    return done / (max(run.ended_s for run in runs) - min(run.started_s for run in runs))


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Run(NamedTuple):
    done: int
    started_s: float  #: on the monotonic clock, which all processes share
    ended_s: float


def _share(start: Barrier) -> None:
    _start_together.append(start)


def _save_on(load: Load) -> Run:
    # CREATE_TABLE: the library's CREATE OR REPLACE fails when two processes run it at once.
    with Application[uuid.UUID](_settings(load) | {"CREATE_TABLE": "n"}) as app:
        thermostats = [Thermostat() for _ in range(load.devices)]
        app.save(*thermostats)
        targets = cycle(thermostats)
        for _ in range(WARM_UP_SAVES):
            _report_and_save(app, targets, load.per_save)
        _start_together[0].wait(timeout=60)
        done, started_s = 0, time.monotonic()
        while done < load.commands and time.monotonic() < started_s + load.limit_s:
            _report_and_save(app, targets, load.per_save)
            done += load.per_save
        return Run(done, started_s, time.monotonic())


def _report_and_save(
    app: Application[uuid.UUID], targets: Iterator[Thermostat], count: int
) -> None:
    chosen = list(islice(targets, count))
    for thermostat in chosen:
        thermostat.report(CELSIUS)
    app.save(*chosen)


def _settings(load: Load) -> dict[str, str]:
    """The defaults (JSON, no compression, no cipher, no ping before use), and inserting by
    the library's own database function: off by default, and twice as fast for one event.
    """
    parts = conninfo_to_dict(load.url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts.get("host") or "127.0.0.1"),
        "POSTGRES_PORT": str(parts.get("port") or 5432),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": str(parts.get("password") or ""),
        "POSTGRES_SCHEMA": load.schema,
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
    }
