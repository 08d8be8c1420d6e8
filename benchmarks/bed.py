"""Where everything is measured: one Ray, one PostgreSQL, and for each measure a database
and a system of its own, drained and dropped afterwards.

The settings are the project's own, so everything is on: dedupe, clocks, metrics, the bus
and its subscriptions. PostgreSQL has fsync on, or nothing is measured.
"""

import fcntl
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from benchmarks import machine
from benchmarks.sizes import Sizes, require
from runtime.cluster.ray_session import end_ray, start_ray, uninterrupted
from runtime.settings.settings import Settings
from runtime.system import ActorSystem
from store.embedded.server import EmbeddedPostgres
from store.postgres.partition_database import url_of_partition

BUILD = Path(__file__).resolve().parent.parent / "build"
DRAIN_S = 30.0
PATIENCE_MS = 60_000  #: a slow machine shall get a slow figure, not a timeout


class BenchRuns(Exception):
    """Another bench of this checkout is under way."""

    def __str__(self) -> str:
        return "another bench runs here: two at a time would measure each other"


class Bed:
    """Makes databases and systems to measure, one at a time."""

    def __init__(self, url: str, sizes: Sizes) -> None:
        self.url = url
        self.sizes = sizes
        self._token = secrets.token_hex(3)  # tells it from others on the same server
        self._numbers = count(1)

    @contextmanager
    def database(self, partitions: int = 1) -> Iterator[str]:
        """The URL of an empty database, dropped afterwards; with those beside it that a launch of
        so many partitions makes."""
        name = f"thornback_bench_{self._token}_{next(self._numbers)}"
        run_sql(self.url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = urlsplit(self.url)._replace(path=f"/{name}").geturl()
        try:
            yield url
        finally:
            for each in urls_of(url, partitions):
                dropped = sql.Identifier(urlsplit(each).path.removeprefix("/"))
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                run_sql(self.url, drop.format(dropped))

    @contextmanager
    def system(
        self,
        url: str,
        *,
        max_actors: int | None = None,
        hosts: int | None = None,
        partitions: int = 1,
        spares: int = 0,
        gateway: bool = False,
    ) -> Iterator[ActorSystem]:
        """A freshly launched system on that database, drained afterwards; with room for
        the default number of resident actors in each host, or for `max_actors`; with as many pooled
        hosts as by default, or so many, in one partition or several; with spare processes or a
        gateway where these count."""
        given = {"max_actors": max_actors, "hosts": hosts, "spare_processes": spares}
        chosen = {name: value for name, value in given.items() if value is not None}
        settings = self._settings(url, chosen, partitions=partitions, gateway=gateway)
        require(settings.event_bus.metrics_enabled, "metrics are switched off")
        require(settings.event_store.type == "postgres", "the log is not in PostgreSQL")
        settle(url)
        system = ActorSystem.launch(settings)
        try:
            yield system
        finally:
            system.drain(timeout_s=DRAIN_S).result()

    def _settings(
        self, url: str, chosen: Mapping[str, int], *, partitions: int, gateway: bool
    ) -> Settings:
        namespace = f"bench-{self._token}-{next(self._numbers)}"
        return Settings.load(
            event_store={"connection_string": url, "partitions": partitions},
            actor_system={
                "namespace": namespace,
                "actor_modules": ["benchmarks.devices"],
                "actor_timeout_ms": PATIENCE_MS,
                "process_restarts": 1_000,  # some are killed on purpose
                "process_backoff_ms": 0,
                **chosen,
            },
            metrics={"port": _free_ports(partitions)},
            gateway={"enabled": gateway, "port": 0},
        )


@contextmanager
def opened(sizes: Sizes) -> Iterator[Bed]:
    """Start Ray and PostgreSQL (or take the one that DATABASE_URL names); stop them in the
    end. Raises BenchRuns."""
    BUILD.mkdir(exist_ok=True)
    with _alone(BUILD / "bench.lock"), _postgres(BUILD / "bench-postgres") as url:
        facts = machine.facts(url)
        for name in machine.DURABLE:
            value = facts[f"postgres_{name}"]
            require(value == "on", f"PostgreSQL's {name} is {value}: commits are not durable")
        try:
            with uninterrupted():
                start_ray()
            yield Bed(url, sizes)
        finally:
            end_ray()


def run_sql(url: str, statement: psycopg.abc.Query) -> None:
    """Run one statement, outside a transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def one_value(url: str, query: psycopg.abc.Query) -> Any:
    """The one value that a query comes to."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None, "the query has a row"
    return row[0]


def urls_of(url: str, partitions: int) -> list[str]:
    """Those of the databases of all partitions, by that of the system."""
    return [url, *(url_of_partition(url, each) for each in range(1, partitions))]


def settle(url: str) -> None:
    """A checkpoint: what is measured next does not pay for what was written before."""
    try:
        run_sql(url, "CHECKPOINT")
    except psycopg.errors.InsufficientPrivilege:
        return  # somebody else's server: it checkpoints when it sees fit


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    given = Settings.load().event_store.connection_string.get_secret_value()
    if given:
        yield given
        return
    server = EmbeddedPostgres(folder)
    server.destroy()  # of a bench that was killed
    try:
        yield server.start()
    finally:
        server.destroy()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BenchRuns from error
        yield


def _free_ports(count: int) -> int:
    """The first of so many ports that are free, one behind another."""
    while True:
        with ExitStack() as probes:
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
            with suppress(OSError, OverflowError):  # one is taken, or there is none: again
                for port in range(first + 1, first + count):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
                return first
