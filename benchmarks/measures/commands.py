"""Bulk commands made durable; then the same rows copied bare, and the same log caught up.

The first figure is the whole path: driver, hosts, writer, commit, bus, and a subscriber in
a process of its own that turns every row into an Event: its type, source, version, position
and data are decoded, its ids, moment and clock are checked, and made when somebody asks, which
this one does not. The run ends when every command is
acknowledged and the subscriber has seen the last event.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import asyncpg
import ray

from actors.event import Event
from benchmarks.bed import Bed, one_value, settle
from benchmarks.devices import Meter, TakeReading
from benchmarks.figures import Figure, Measure, at_least, times
from benchmarks.sizes import require
from benchmarks.subscriber import start_watcher, stop_watcher
from jobs.flights.report import GAPS
from runtime.driver.bulk import BulkResult
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from runtime.topology.placement import shard_of
from store.postgres.migrations import migration

READINGS = "SELECT count(*) FROM events WHERE event_type = 'reading-taken'"
DURABLE, CEILING, CATCH_UP = (
    "durable_commands_per_s", "copy_ceiling_rows_per_s", "catch_up_events_per_s",
)  # fmt: skip
#: The columns of the table that the ceiling is measured with: that of the first migration,
#: whatever the log's own has become, so that our changes do not move what they are held to.
REFERENCE = {
    "id": "uuid", "aggregate_id": "uuid", "version": "bigint", "timestamp": "timestamptz",
    "recorded_at": "timestamptz", "position": "bigint", "event_type": "text", "kind": "text",
    "source": "text", "event_data": "jsonb", "vector_clock": "jsonb", "correlation_id": "uuid",
    "causation_id": "uuid", "metadata": "jsonb",
}  # fmt: skip
#: No run waits longer than this for its last event.
LIMIT_S = 120.0


def readings(
    refs: list[ActorRef[object]], count: int
) -> Iterator[tuple[ActorRef[object], TakeReading]]:
    """So many readings, to the actors in turn, numbered from 0."""
    for number in range(count):
        ref = refs[number % len(refs)]
        yield ref, TakeReading(celsius=number / 8, room="room 101, second floor", number=number)


def reading(number: int) -> TakeReading:
    """One reading, of that number."""
    return TakeReading(celsius=21.5, room="hall", number=number)


def check_own(events: Sequence[Event], number: int) -> None:
    """The answer to a reading is its own event, and that alone."""
    (event,) = events
    require(event.data["number"] == number, "an ask was answered with the event of another")


def meters(count: int, belongs: Callable[[int], bool]) -> list[str]:
    """The names of so many meters whose shard belongs."""
    names = (f"{number:x}" for number in itertools.count())
    mine = (name for name in names if belongs(shard_of(f"meter/{name}")))
    return list(itertools.islice(mine, count))


def all_told(told: BulkResult, count: int) -> None:
    """Every command led to one new event."""
    require(
        (told.events, told.repeats, told.failed) == (count, 0, 0),
        f"{count:,} commands: {told.events:,} events, {told.repeats:,} repeats, "
        f"{told.failed:,} failed: {told.errors[:3]}",
    )


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """See the figures below."""
    measured: dict[str, float] = {}
    with bed.database() as url:
        with bed.system(url) as system:
            measured[DURABLE] = _durable(system, bed, url)
            if CATCH_UP in wanted:
                measured[CATCH_UP] = _catch_up(system, url)
        if CEILING in wanted:
            with bed.database() as reference:
                measured[CEILING] = asyncio.run(_copy(url, reference, bed.sizes.chunk))
    return {key: measured[key] for key in wanted}


def _durable(system: ActorSystem, bed: Bed, url: str) -> float:
    count, warm_up = bed.sizes.commands, bed.sizes.commands // 10
    refs: list[ActorRef[object]] = [
        system.actor(Meter.actor_type, f"{number:04}") for number in range(bed.sizes.actors)
    ]
    watcher = start_watcher(system.namespace)
    try:
        all_told(system.tell_many(readings(refs, warm_up)), warm_up)
        before = ray.get(watcher.until.remote(warm_up), timeout=LIMIT_S)
        settle(url)
        started_s = time.perf_counter()
        seen = watcher.until.remote(warm_up + count)
        told = system.tell_many(readings(refs, count))
        after = ray.get(seen, timeout=LIMIT_S)
        elapsed_s = time.perf_counter() - started_s
    finally:
        stop_watcher(watcher)
    all_told(told, count)
    require(after.events - before.events == count, f"the subscriber saw {after.events:,} events")
    require(
        after.numbers - before.numbers == sum(range(count)),
        "the subscriber saw an event twice, or another one",
    )
    require(one_value(url, READINGS) == warm_up + count, "the log does not have them all")
    require(one_value(url, GAPS) == 0, "an actor's versions are not 1..n")
    return count / elapsed_s


def _catch_up(system: ActorSystem, url: str) -> float:
    """From `subscribe` to the last event of the log, decoded in this process."""
    head = one_value(url, "SELECT max(position) FROM events")
    stored = one_value(url, "SELECT count(*) FROM events")
    events = 0
    started_s = time.perf_counter()
    with system.subscribe(after=0) as subscription:
        for page in subscription.pages():
            events += len(page)
            if subscription.position >= head:
                break
        elapsed_s = time.perf_counter() - started_s
    require(events >= stored, f"{events:,} events read of {stored:,}")
    return events / elapsed_s


async def _copy(url: str, reference: str, chunk: int) -> float:
    """The log's rows into the reference table, empty and in a database of its own, and
    nothing else."""
    log = await asyncpg.connect(url)
    connection = await asyncpg.connect(reference)
    try:
        chunks = [rows async for rows in _captured(log, chunk)]
        await connection.execute(migration(1))
        settle(reference)
        started_s = time.perf_counter()
        for rows in chunks:
            async with connection.transaction():
                await connection.copy_to_table(
                    "events", source=_one(rows), columns=list(REFERENCE), format="binary"
                )
        elapsed_s = time.perf_counter() - started_s
        stored = await log.fetchval("SELECT count(*) FROM events")
        copied = await connection.fetchval("SELECT count(*) FROM events")
    finally:
        await log.close()
        await connection.close()
    require(copied == stored, f"{copied:,} rows copied of {stored:,}")
    return float(copied / elapsed_s)


async def _captured(
    connection: "asyncpg.Connection[asyncpg.Record]", chunk: int
) -> AsyncIterator[bytes]:
    """The log as binary COPY streams of `chunk` rows, in its order, with the reference's
    types: the log's own may differ by now."""
    columns = ", ".join(f"{name}::{kind}" for name, kind in REFERENCE.items())
    head = await connection.fetchval("SELECT max(position) FROM events")
    for after in range(0, head, chunk):
        rows = bytearray()

        async def collect(data: bytes, rows: bytearray = rows) -> None:
            rows += data

        await connection.copy_from_query(
            f"SELECT {columns} FROM events"
            " WHERE position > $1 AND position <= $2 ORDER BY position",
            after, after + chunk, output=collect, format="binary",
        )  # fmt: skip
        yield bytes(rows)


async def _one(rows: bytes) -> AsyncIterator[bytes]:
    yield rows


MEASURE = Measure(
    run,
    (
        Figure(
            key=DURABLE,
            input="{commands:,} typed commands to {actors:,} actors by tell_many; warmed up by a "
            "tenth; ends when a subscriber process has the last event, with type, source, version, "
            "position and data decoded",
            target=times(0.55, CEILING, or_at_least=50_000),
        ),
        Figure(
            key=CEILING,
            input="the log of that run into the empty table of the first migration, by asyncpg, "
            "{chunk:,} rows a transaction",
        ),
        Figure(
            key=CATCH_UP,
            input="the log of that run: subscribe(after=0) until the last is an Event",
            target=at_least(100_000),
        ),
    ),
)
