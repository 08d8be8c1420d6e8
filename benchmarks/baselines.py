"""What a user of Ray would write instead of Thornback, on the same machine and database.

The rival builds what it needs, warms it up, counts what is really in Postgres, and leaves
nothing behind: its actors are killed, its schema `baseline_naive` is dropped. Starting
actors and connections is never timed. eventsourcing_baseline.py has the other rivals.

The caller has initialised Ray, and `url` is a plain `postgresql://` one. Ray runs its
actors at nice 15: whatever else the machine does slows a Ray figure more than the others.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

import asyncpg
import ray

from benchmarks.schema import execute, require_stored, schema

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
    with schema(url, "baseline_naive"):
        execute(url, NAIVE_TABLE)
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
        require_stored(url, "baseline_naive", "naive_events", done + devices)
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


# -- Ray's own latency ------------------------------------------------------------------


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


@contextmanager
def two_hops() -> Iterator[Callable[[], bytes]]:
    """A call of driver -> relay -> echo and back, to async actors, carrying four bytes: the
    floor under any command that passes a host and a writer.
    """
    echo = _start(Echo)
    relay = _start(Relay, echo)
    try:
        yield lambda: ray.get(relay.relay.remote(b"21.5"))
    finally:
        ray.kill(relay)
        ray.kill(echo)


def _start(actor_class: Any, *arguments: object) -> Handle:
    """`actor_class` is what `ray.remote` made of a class; mypy still sees the class."""
    return actor_class.remote(*arguments)
