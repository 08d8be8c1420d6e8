"""Single asks: thousands at once, and one at a time beside two plain hops through Ray."""

import asyncio
import statistics
import time
from collections.abc import Callable

from benchmarks.baselines import two_hops
from benchmarks.bed import Bed, one_value, settle
from benchmarks.devices import Meter, MeterState, TakeReading
from benchmarks.figures import Figure, Measure, at_least, require, times
from runtime.driver.ref import ActorRef

MANY, P50, P99, HOPS = "ask_per_s", "ask_p50_ms", "ask_p99_ms", "ray_two_hop_p50_ms"
BLOCKS = 20  #: asks and hops take turns in so many blocks, so that both see the same machine
READINGS = "SELECT count(*) FROM events WHERE event_type = 'reading-taken'"

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
            measured |= _one_at_a_time(refs, bed.sizes.single_asks)
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
    (event,) = await ref.ask(TakeReading(celsius=21.5, room="hall", number=number))
    return int(event.data["number"])


def _one_at_a_time(refs: Refs, asks: int) -> dict[str, float]:
    with two_hops() as hop:
        numbers = iter(range(asks + asks // 10))

        def ask() -> None:
            number = next(numbers)
            message = TakeReading(celsius=21.5, room="hall", number=number)
            (event,) = refs[number % len(refs)].ask(message).result()
            require(event.data["number"] == number, "an ask was answered with the event of another")

        _timed_ms(hop, asks // 10)
        _timed_ms(ask, asks // 10)
        hops_ms: list[float] = []
        asks_ms: list[float] = []
        for _ in range(BLOCKS):
            hops_ms += _timed_ms(hop, asks // BLOCKS)
            asks_ms += _timed_ms(ask, asks // BLOCKS)
    return {
        P50: statistics.median(asks_ms),
        P99: statistics.quantiles(asks_ms, n=100)[98],
        HOPS: statistics.median(hops_ms),
    }


def _timed_ms(call: Callable[[], object], calls: int) -> list[float]:
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
            target=times(1.6, HOPS),
            at_most=True,
        ),
        Figure(key=P99, input="the same asks", at_most=True),
        Figure(
            key=HOPS,
            input="{single_asks:,} plain calls, driver to async actor to async actor and back, "
            "in turn with the asks",
            at_most=True,
        ),
    ),
)
