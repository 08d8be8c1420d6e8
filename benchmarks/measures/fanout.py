"""Fan-out: what subscribers in processes of their own get, and what they cost those who commit."""

import statistics
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from uuid import uuid4

import ray

from actors.event import Event
from benchmarks.bed import Bed, settle
from benchmarks.bytewax_baseline import bytewax_window_events_per_s
from benchmarks.devices import Meter, ReadingTaken
from benchmarks.figures import Figure, Measure, times
from benchmarks.measures.asks import P50
from benchmarks.measures.commands import LIMIT_S, all_told, readings
from benchmarks.measures.programs import TOGETHER
from benchmarks.nats_baseline import SUBSCRIBERS, nats_core_deliveries_per_s
from benchmarks.sizes import require
from benchmarks.subscriber import start_watcher, stop_watcher
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem

NONE, FOUR = "fanout_0_commands_per_s", "fanout_4_commands_per_s"
LATENCY = "publish_to_delivery_p50_ms"
DELIVERED, NATS = "fanout_deliveries_per_s", "nats_core_deliveries_per_s"
BYTEWAX = "bytewax_window_events_per_s"
#: What an event of this measure has in bytes, as a row of the log.
MESSAGE_BYTES = 300


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """See the figures below."""
    measured: dict[str, float] = {}
    with bed.database() as url, bed.system(url) as system:
        refs: list[ActorRef[object]] = [
            system.actor(Meter.actor_type, f"{number:04}") for number in range(bed.sizes.actors)
        ]
        warm_up = bed.sizes.fanned_out // 10
        all_told(system.tell_many(readings(refs, warm_up)), warm_up)
        for key, watchers in ((NONE, 0), (FOUR, SUBSCRIBERS)):
            if key in wanted or (watchers and DELIVERED in wanted):
                settle(url)
                rate, delivered = _past(system, refs, watchers, bed.sizes.fanned_out)
                measured |= {key: rate} | ({DELIVERED: delivered} if watchers else {})
        if LATENCY in wanted:
            settle(url)
            measured[LATENCY] = _latency_ms(system, bed.sizes.single_published)
    return {key: measured[key] for key in wanted}


def _past(
    system: ActorSystem, refs: list[ActorRef[object]], watchers: int, count: int
) -> tuple[float, float]:
    """Commands a second until all are acknowledged, and deliveries a second until all are there."""
    with ExitStack() as stack:
        watching = []
        for _ in range(watchers):
            watching.append(start_watcher(system.namespace))
            stack.callback(stop_watcher, watching[-1])
        seen = [watcher.until.remote(count) for watcher in watching]
        started_s = time.perf_counter()
        all_told(system.tell_many(readings(refs, count)), count)
        told_s = time.perf_counter() - started_s
        for each in ray.get(seen, timeout=LIMIT_S):
            require(
                (each.events, each.numbers) == (count, sum(range(count))),
                f"a subscriber saw {each.events:,} events, or others",
            )
        return count / told_s, watchers * count / (time.perf_counter() - started_s)


def _latency_ms(system: ActorSystem, count: int) -> float:
    """The median from publishing an event to having it in another process, one after the other."""
    watcher = start_watcher(system.namespace)
    try:
        there = watcher.arrivals.remote(count)
        sent = []
        for number in range(count):
            event = Event.of(
                ReadingTaken(celsius=21.5, room="hall", number=number),
                source=f"outside/{number % 100:02}", id=uuid4(), timestamp=datetime.now(UTC),
            )  # fmt: skip
            sent.append(time.monotonic())
            system.publish(event).result(timeout_s=LIMIT_S)
        arrived: list[float] = ray.get(there, timeout=LIMIT_S)
    finally:
        stop_watcher(watcher)
    return (
        statistics.median(there - begun for begun, there in zip(sent, arrived, strict=True)) * 1e3
    )


def nats(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """A NATS core server, which keeps nothing."""
    return {NATS: nats_core_deliveries_per_s(bed.sizes.fanned_out, MESSAGE_BYTES)}


def bytewax(bed: Bed, _wanted: frozenset[str]) -> dict[str, float]:
    """The windows of our own measure in the library bytewax."""
    sizes = bed.sizes
    return {BYTEWAX: bytewax_window_events_per_s(sizes.processed, sizes.actors, TOGETHER)}


_PAST = "{fanned_out:,} commands by tell_many to {actors:,} actors, past "

MEASURES = (
    Measure(
        run,
        (
            Figure(key=NONE, input=_PAST + "no subscriber: commands a second"),
            Figure(
                key=FOUR,
                input=_PAST + "four subscribers to all, each a process that decodes every event",
                target=times(0.75, NONE),
            ),
            Figure(
                key=DELIVERED,
                input="what these four had a second, until the last had the last event",
                target=times(1.0, NATS, or_at_least=165_000),
            ),
            Figure(
                key=LATENCY,
                input="{single_published:,} events published one after the other, from the call "
                "to a live subscriber in another process",
                target=times(1.5, P50),
                at_most=True,
            ),
        ),
    ),
    Measure(
        nats,
        (
            Figure(
                key=NATS,
                input="{fanned_out:,} messages of 300 bytes through a NATS core server, which "
                "keeps none, to four clients in Python, which do not decode them",
            ),
        ),
    ),
    Measure(
        bytewax,
        (
            Figure(
                key=BYTEWAX,
                input="{processed:,} events of {actors:,} keys, from memory, the same windows in "
                "the library bytewax, its recovery store on, results counted and thrown away",
            ),
        ),
    ),
)
