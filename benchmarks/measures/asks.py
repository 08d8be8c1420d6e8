"""Single asks: thousands at once; one at a time beside a bare commit and two hops of Ray."""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from benchmarks.baselines import two_hops
from benchmarks.bed import Bed, one_value, settle
from benchmarks.devices import Meter, MeterState
from benchmarks.figures import Figure, Measure, at_least, times
from benchmarks.measures.commands import READINGS, check_own, reading
from benchmarks.schema import schema
from benchmarks.sizes import require
from runtime.driver.ref import ActorRef

MANY, P50, P99 = "ask_per_s", "ask_p50_ms", "ask_p99_ms"
FLOOR, HOPS = "commit_floor_p50_ms", "ray_two_hop_p50_ms"
BLOCKS = 20  #: asks, commits and hops take turns in blocks, so that all see the same machine

Refs = list[ActorRef[MeterState]]


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """See the figures below."""
    measured: dict[str, float] = {}
    asked = 0
    with bed.database() as url, bed.system(url) as system:
        refs = [system.actor(Meter, f"{number:04}") for number in range(bed.sizes.actors)]
        if MANY in wanted:
            measured[MANY] = asyncio.run(_bursts(refs, bed, url))
            asked += (bed.sizes.bursts + 1) * bed.sizes.asks
        if wanted - {MANY}:
            measured |= _one_at_a_time(refs, bed.sizes.single_asks, url)
            asked += bed.sizes.single_asks + bed.sizes.single_asks // 10
        stored = one_value(url, READINGS)
        require(stored == asked, f"{stored:,} events for {asked:,} asks")
    return {key: measured[key] for key in wanted}


async def _bursts(refs: Refs, bed: Bed, url: str) -> float:
    asks, bursts = bed.sizes.asks, bed.sizes.bursts
    await _burst(refs, asks)  # warms up
    settle(url)
    started_s = time.perf_counter()
    for _ in range(bursts):
        await _burst(refs, asks)
    return bursts * asks / (time.perf_counter() - started_s)


async def _burst(refs: Refs, asks: int) -> None:
    numbers = await asyncio.gather(
        *(_ask(refs[number % len(refs)], number) for number in range(asks))
    )
    require(numbers == list(range(asks)), "an ask was answered with the event of another")


async def _ask(ref: ActorRef[MeterState], number: int) -> int:
    (event,) = await ref.ask(reading(number))
    return int(event.data["number"])


def _one_at_a_time(refs: Refs, asks: int, url: str) -> dict[str, float]:
    with two_hops() as hop, _bare_commit(url) as commit:
        numbers = iter(range(asks + asks // 10))

        def ask() -> None:
            number = next(numbers)
            check_own(refs[number % len(refs)].ask(reading(number)).result(), number)

        calls: dict[str, Callable[[], object]] = {HOPS: hop, FLOOR: commit, P50: ask}
        for call in calls.values():
            timed_ms(call, asks // 10)  # warms up
        took_ms: dict[str, list[float]] = {key: [] for key in calls}
        for _ in range(BLOCKS):
            for key, call in calls.items():
                took_ms[key] += timed_ms(call, asks // BLOCKS)
    return {
        **{key: statistics.median(each) for key, each in took_ms.items()},
        P99: statistics.quantiles(took_ms[P50], n=100)[98],
    }


@contextmanager
def _bare_commit(url: str) -> Iterator[Callable[[], object]]:
    """One row of one number, inserted and committed by a prepared statement: the floor
    under whatever is durable before it answers."""
    with schema(url, "floor"), psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE floor.commits (number bigint NOT NULL)")
        yield lambda: connection.execute("INSERT INTO floor.commits VALUES (1)", prepare=True)


def timed_ms(call: Callable[[], object], calls: int) -> list[float]:
    """How long each of so many calls took."""
    took_ms = []
    for _ in range(calls):
        started_s = time.perf_counter()
        call()
        took_ms.append((time.perf_counter() - started_s) * 1_000)
    return took_ms


MEASURE = Measure(
    run,
    (
        Figure(
            key=MANY,
            input="{bursts} bursts of {asks:,} concurrent asks to {actors:,} actors from one "
            "asyncio loop; warmed up by one more",
            target=at_least(20_000),
        ),
        Figure(
            key=P50,
            input="{single_asks:,} asks one at a time, ask(...).result()",
            target=times(3, FLOOR),
            at_most=True,
        ),
        Figure(key=P99, input="the same asks", target=times(3, P50), at_most=True),
        Figure(
            key=FLOOR,
            input="{single_asks:,} commits of one row by one prepared statement, on the same "
            "server and in turn with the asks",
            at_most=True,
        ),
        Figure(
            key=HOPS,
            input="{single_asks:,} plain calls, driver to async actor to async actor and back, "
            "in turn with the asks",
            at_most=True,
        ),
    ),
)
