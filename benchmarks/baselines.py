"""What a user would write instead of Thornback, measured on the same machine and database.

Each function builds its rival, warms it up, counts what is really in Postgres, and leaves
nothing behind: its actors are killed, its schema `baseline_<name>` is dropped. Starting
actors and connections is never timed.

The caller has initialised Ray, and `url` is a plain `postgresql://` one. Ray runs its
actors at nice 15: whatever else the machine does slows a Ray figure more than the others.
"""

import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
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


class BaselineError(Exception):
    """A rival acknowledged more or fewer events than it stored: its figure is void."""

    def __init__(self, schema: str, acknowledged: int, stored: int) -> None:
        super().__init__(schema, acknowledged, stored)
        self.schema, self.acknowledged, self.stored = schema, acknowledged, stored

    def __str__(self) -> str:
        return f"{self.schema}: {self.acknowledged} events acknowledged, {self.stored} stored"


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
    url: str,
    *,
    devices: int = 20,
    commands: int = 4_000,
    in_flight_per_device: int = 10,
    limit_s: float = 5.0,
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
            done = _drive(actors, commands, in_flight_per_device * devices, started + limit_s)
            elapsed_s = time.perf_counter() - started
        finally:
            for actor in actors:
                ray.kill(actor)
        _require_stored(url, "baseline_naive", "naive_events", done + devices)
    return done / elapsed_s


def _drive(actors: list[Handle], commands: int, in_flight: int, deadline: float) -> int:
    """Report to the devices in turn, keeping `in_flight` calls under way; count the replies.

    One `ray.get` answers half a window: a `ray.wait` a call would make the driver the
    bottleneck, and emptying the whole window would leave the devices idle.
    """
    targets = islice(cycle(actors), commands)
    half = max(1, in_flight // 2)
    older = [actor.report.remote(CELSIUS) for actor in islice(targets, half)]
    done = 0
    while older:
        more = half if time.perf_counter() < deadline else 0
        newer = [actor.report.remote(CELSIUS) for actor in islice(targets, more)]
        done += len(ray.get(older))
        older = newer
    return done


# -- the library eventsourcing with its Postgres module ---------------------------------

WARM_UP_SAVES = 5  #: psycopg prepares a statement at its fifth use


class Thermostat(Aggregate):
    """The rival's device: the same one reading an event."""

    def __init__(self) -> None:
        self.celsius = 0.0

    @event("TemperatureReported")
    def report(self, celsius: float) -> None:
        self.celsius = celsius


def eventsourcing_single_per_s(
    url: str, *, devices: int = 20, commands: int = 3_000, limit_s: float = 5.0
) -> float:
    """Durable events per second, one `save` an event, the aggregates already in memory.

    One thread: the library locks its table until the commit, so no two of its commits
    share an fsync, and four threads measured between 0.9 and 1.3 times this.
    """
    return _eventsourcing_per_s(
        url, "single", devices=devices, per_save=1, commands=commands, limit_s=limit_s
    )


def eventsourcing_batched_per_s(
    url: str, *, batch: int = 1_000, commands: int = 30_000, limit_s: float = 5.0
) -> float:
    """Durable events per second, `batch` aggregates with one new event each in one `save`.

    The library's best case. Batches of 200 and 5,000, a second thread and psycopg's
    compiled build each measured within 10 % of this, which is noise: the time goes into
    Python, most of it in turning events into psycopg's composite values.
    """
    return _eventsourcing_per_s(
        url, "batched", devices=batch, per_save=batch, commands=commands, limit_s=limit_s
    )


def _eventsourcing_per_s(
    url: str, name: str, *, devices: int, per_save: int, commands: int, limit_s: float
) -> float:
    schema = f"baseline_eventsourcing_{name}"
    with _schema(url, schema), Application[uuid.UUID](_settings(url, schema)) as app:
        thermostats = [Thermostat() for _ in range(devices)]
        app.save(*thermostats)
        targets = cycle(thermostats)
        for _ in range(WARM_UP_SAVES):
            _report_and_save(app, targets, per_save)
        done, started, elapsed_s = 0, time.perf_counter(), 0.0
        while done < commands and elapsed_s < limit_s:
            _report_and_save(app, targets, per_save)
            done += per_save
            elapsed_s = time.perf_counter() - started
        before = devices + WARM_UP_SAVES * per_save
        _require_stored(url, schema, "application_events", before + done)
    return done / elapsed_s


def _report_and_save(
    app: Application[uuid.UUID], targets: Iterator[Thermostat], count: int
) -> None:
    chosen = list(islice(targets, count))
    for thermostat in chosen:
        thermostat.report(CELSIUS)
    app.save(*chosen)


def _settings(url: str, schema: str) -> dict[str, str]:
    """The defaults (JSON, no compression, no cipher, no ping before use), and inserting by
    the library's own database function: off by default, and twice as fast for one event.
    """
    parts = conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts.get("host") or "127.0.0.1"),
        "POSTGRES_PORT": str(parts.get("port") or 5432),
        "POSTGRES_USER": str(parts["user"]),
        "POSTGRES_PASSWORD": str(parts.get("password") or ""),
        "POSTGRES_SCHEMA": schema,
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
    }


# -- Ray's own latency ------------------------------------------------------------------


class HopsP50(NamedTuple):
    """Median round trips."""

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
    count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
    with psycopg.connect(url) as connection:
        row = connection.execute(count).fetchone()
    stored = row[0] if row else 0
    if stored != acknowledged:
        raise BaselineError(schema, acknowledged, stored)
