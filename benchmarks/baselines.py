"""What a user would write instead of Thornback, measured on the same machine and database.

Each function builds its rival, warms it up, counts what is really in Postgres, and leaves
nothing behind: its actors are killed, its schema `baseline_<name>` is dropped. Starting
actors and connections is never timed.

The caller has initialised Ray, and `url` is a plain `postgresql://` one. Ray runs its
actors at nice 15: whatever else the machine does slows a Ray figure more than the others.
"""

import asyncio
import json
import multiprocessing
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.synchronize import Barrier
from typing import Any, NamedTuple

import asyncpg
import psycopg
import ray
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

CELSIUS = 21.5  #: every event of every rival carries this one reading

Handle = Any  #: Ray makes the methods of an actor handle up as they are asked for

# -- Ray alone: an actor a device, an INSERT an event -----------------------------------

NAIVE_TABLE = """
    CREATE TABLE baseline_naive.naive_events (
        id           uuid        PRIMARY KEY,
        aggregate_id uuid        NOT NULL,
        version      bigint      NOT NULL,
        event_type   text        NOT NULL,
        data         jsonb       NOT NULL,
        recorded_at  timestamptz NOT NULL DEFAULT now(),
        UNIQUE (aggregate_id, version)
    )
"""


@ray.remote(num_cpus=0)
class NaiveDevice:
    """One device, one process, one connection. An INSERT outside a transaction block
    commits by itself, so the reply leaves after the commit."""

    INSERT = """
        INSERT INTO baseline_naive.naive_events (id, aggregate_id, version, event_type, data)
        VALUES ($1, $2, $3, 'temperature-reported', $4)
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._id = uuid.uuid4()
        self._version = 0
        self._one_at_a_time = asyncio.Lock()  # a connection runs one statement at a time

    async def connect(self) -> None:
        self._connection = await asyncpg.connect(self._url)

    async def report(self, celsius: float) -> int:
        async with self._one_at_a_time:
            version = self._version + 1
            data = json.dumps({"celsius": celsius})
            await self._connection.execute(self.INSERT, uuid.uuid4(), self._id, version, data)
            self._version = version
            return version


def naive_ray_per_s(
    url: str, *, devices: int = 20, commands: int = 4_000, limit_s: float = 5.0
) -> float:
    """Durable commands per second, from one driver with many calls under way.

    The timed part ends after `commands` or `limit_s`; starting the actors adds some 0.5 s
    each. Fewer devices or more calls under way did not make it faster on 2 cores: the
    processor time of a Ray call is the limit, not the commit.
    """
    with _schema(url, "baseline_naive"):
        _execute(url, NAIVE_TABLE)
        actors = [_start(NaiveDevice, url) for _ in range(devices)]
        try:
            ray.get([actor.connect.remote() for actor in actors])
            ray.get([actor.report.remote(CELSIUS) for actor in actors])
            started = time.perf_counter()
            done = _drive(actors, commands, started + limit_s)
            elapsed_s = time.perf_counter() - started
        finally:
            for actor in actors:
                ray.kill(actor)
        _require_stored(url, "baseline_naive", "naive_events", done + devices)
    return done / elapsed_s


def _drive(actors: list[Handle], commands: int, deadline: float) -> int:
    """Report to the devices in turn, ten calls a device under way; count the replies.

    One `ray.get` answers half of them: a `ray.wait` a call would make the driver the
    bottleneck, and waiting for all ten would leave the devices idle.
    """
    targets = islice(cycle(actors), commands)
    half = 5 * len(actors)
    older = [actor.report.remote(CELSIUS) for actor in islice(targets, half)]
    done = 0
    while older:
        more = half if time.perf_counter() < deadline else 0
        newer = [actor.report.remote(CELSIUS) for actor in islice(targets, more)]
        done += len(ray.get(older))
        older = newer
    return done


# -- the library eventsourcing with its Postgres module ---------------------------------

WARM_UP_SAVES = 5  #: one for each connection of the library's pool, which takes turns
_start_together: Barrier  # put here in each process by _share


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
    with _schema(load.url, load.schema):
        Application[uuid.UUID](_settings(load)).close()  # makes the table
        with ProcessPoolExecutor(processes, context, _share, (start,)) as pool:
            runs = list(pool.map(_save_on, [load] * processes))
        done = sum(run.done for run in runs)
        before = processes * (load.devices + WARM_UP_SAVES * load.per_save)
        _require_stored(load.url, load.schema, "application_events", before + done)
    return done / (max(run.ended_s for run in runs) - min(run.started_s for run in runs))


class Run(NamedTuple):
    done: int
    started_s: float  #: on the monotonic clock, which all processes share
    ended_s: float


def _share(start: Barrier) -> None:
    global _start_together
    _start_together = start


def _save_on(load: Load) -> Run:
    # CREATE_TABLE: the library's CREATE OR REPLACE fails when two processes run it at once.
    with Application[uuid.UUID](_settings(load) | {"CREATE_TABLE": "n"}) as app:
        thermostats = [Thermostat() for _ in range(load.devices)]
        app.save(*thermostats)
        targets = cycle(thermostats)
        for _ in range(WARM_UP_SAVES):
            _report_and_save(app, targets, load.per_save)
        _start_together.wait(timeout=60)
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


# -- Ray's own latency ------------------------------------------------------------------


class HopsP50(NamedTuple):
    two_hops_ms: float  #: driver -> relay -> echo and back
    one_hop_ms: float  #: driver -> echo and back


@ray.remote(num_cpus=0)
class Echo:
    async def echo(self, payload: bytes) -> bytes:
        return payload


@ray.remote(num_cpus=0)
class Relay:
    def __init__(self, echo: Handle) -> None:
        self._echo = echo

    async def relay(self, payload: bytes) -> bytes:
        answer: bytes = await self._echo.echo.remote(payload)
        return answer


def ray_two_hop_p50_ms(*, calls: int = 500, warm_up: int = 100) -> HopsP50:
    """Round trips to async actors, one call at a time, carrying four bytes: the floor under
    any command that passes a host and a writer.
    """
    echo = _start(Echo)
    relay = _start(Relay, echo)
    try:
        two = _p50_ms(lambda: ray.get(relay.relay.remote(b"21.5")), calls, warm_up)
        one = _p50_ms(lambda: ray.get(echo.echo.remote(b"21.5")), calls, warm_up)
    finally:
        ray.kill(relay)
        ray.kill(echo)
    return HopsP50(two_hops_ms=two, one_hop_ms=one)


def _p50_ms(call: Callable[[], bytes], calls: int, warm_up: int) -> float:
    took_ms = []
    for _ in range(warm_up + calls):
        started = time.perf_counter()
        call()
        took_ms.append((time.perf_counter() - started) * 1_000)
    return statistics.median(took_ms[warm_up:])


# -- actors, and a schema of one's own --------------------------------------------------


def _start(actor_class: Any, *arguments: object) -> Handle:
    """`actor_class` is what `ray.remote` made of a class; mypy still sees the class."""
    return actor_class.remote(*arguments)


@contextmanager
def _schema(url: str, name: str) -> Iterator[None]:
    """A fresh, empty schema, dropped afterwards; a killed run's leftovers go first."""
    drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name))
    _execute(url, drop)
    _execute(url, sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    try:
        yield
    finally:
        _execute(url, drop)


def _execute(url: str, statement: psycopg.abc.Query) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _require_stored(url: str, schema: str, table: str, acknowledged: int) -> None:
    """A figure counts only if the events behind it are there."""
    count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
    with psycopg.connect(url) as connection:
        row = connection.execute(count).fetchone()
    if row != (acknowledged,):
        raise RuntimeError(f"{schema}: {acknowledged} events acknowledged, {row} stored")
