"""How long anybody waits for an answer while a shard moves to another host and back, under load."""

import asyncio
import itertools
import statistics
import time

from benchmarks.bed import Bed, one_value
from benchmarks.devices import Meter, MeterState
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.measures.commands import READINGS, check_own, meters, reading
from benchmarks.sizes import require
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem

PAUSE, MOVE = "shard_move_pause_ms", "shard_move_p50_ms"
SHARD = 0
BESIDE = 100  #: actors of other shards, as many of them as of the shard that moves are asked
CALLERS = 20  #: each with one ask under way at a time
APART_S = 0.05  #: from one move to the next

Refs = list[ActorRef[MeterState]]


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """See the figures below."""
    with bed.database() as url, bed.system(url) as system:
        names = meters(bed.sizes.moving, lambda shard: shard == SHARD)
        moving = [system.actor(Meter, name) for name in names]
        beside = [system.actor(Meter, f"beside-{number}") for number in range(BESIDE)]
        measured, asked = asyncio.run(_moved(system, moving, beside, bed.sizes.shard_moves))
        stored = one_value(url, READINGS)
        require(stored == asked, f"{stored:,} events for {asked:,} asks")
    return {key: measured[key] for key in wanted}


async def _moved(
    system: ActorSystem, moving: Refs, beside: Refs, times: int
) -> tuple[dict[str, float], int]:
    asks = [ref.ask(reading(0)) for ref in (*moving, *beside)]  # all are resident
    await asyncio.gather(*asks)
    waits: list[tuple[float, float]] = []  #: of each ask, from when to when
    over = asyncio.Event()
    calling = [
        asyncio.ensure_future(_call(refs, number, waits, over))
        for refs in (moving, beside)
        for number in range(CALLERS // 2)
    ]
    spans = []
    for number in range(times):
        await asyncio.sleep(APART_S)
        began_s = time.perf_counter()
        await system.move_shards([SHARD], to=f"host-{(number + 1) % 2}")
        spans.append((began_s, time.perf_counter()))
    await asyncio.sleep(APART_S)
    over.set()
    await asyncio.gather(*calling)
    longest_ms = [
        1_000 * max(to - since for since, to in waits if since <= ends and to >= begins)
        for begins, ends in spans
    ]
    took_ms = [1_000 * (ends - begins) for begins, ends in spans]
    return {
        PAUSE: statistics.quantiles(longest_ms, n=100, method="inclusive")[98],
        MOVE: statistics.median(took_ms),
    }, len(asks) + len(waits)


async def _call(
    refs: Refs, number: int, waits: list[tuple[float, float]], over: asyncio.Event
) -> None:
    """One caller: an actor after the other, each when the one before has answered."""
    for at in itertools.count(number):
        if over.is_set():
            return
        began_s = time.perf_counter()
        events = await refs[at * CALLERS % len(refs)].ask(reading(at))
        waits.append((began_s, time.perf_counter()))
        check_own(events, at)


MEASURE = Measure(
    run,
    (
        Figure(
            key=PAUSE,
            input="a shard of {moving:,} resident actors moves to and fro between two hosts "
            "{shard_moves} times, under asks to them and to others; of each move the longest wait "
            "of any ask, and of those the 99th percentile",
            target=at_least(100),
            at_most=True,
        ),
        Figure(key=MOVE, input="the same moves, from the question to the answer", at_most=True),
    ),
)
