"""Akka's published workload, for a figure that others can hold theirs against.

Theirs: 60,000 event-sourced entities, each a digital twin, and nothing but writes of 550 bytes,
over HTTP, into PostgreSQL: 25,000 a second with 77 ms in the 99th percentile, on three machines of
8 virtual cores, a database with 8 more, and the clients beside them
(https://akka.io/akka-performance-benchmark/demo-benchmark-post-2). That is 780 a core of the 32.
Ours runs on the cores of this one machine, the clients' and the database's work included.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from random import Random

from benchmarks.bed import Bed, one_value
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.http_client import Latencies, post_all, request
from benchmarks.measures.http import CONNECTIONS, gateway_of
from benchmarks.sizes import require

RATE, P99 = "akka_workload_per_s", "akka_workload_p99_ms"
COMMAND_BYTES = 550
#: What the work of one core is to come to: more than three times theirs.
PER_CORE = 2_500


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """Commands to entities in no order, for a fixed time, each answered after its commit."""
    entities, lasts_s = bed.sizes.akka_entities, bed.sizes.akka_s
    with bed.database() as url, bed.system(url, gateway=True) as system:
        address, _ = gateway_of(system)
        latencies = Latencies()
        began_s = time.perf_counter()
        asyncio.run(
            post_all(address, _commands(entities, began_s + lasts_s), CONNECTIONS, latencies)
        )
        elapsed_s = time.perf_counter() - began_s
        stored = one_value(url, "SELECT count(*) FROM events")
        require(
            stored == len(latencies), f"{stored:,} events for {len(latencies):,} answered commands"
        )
    measured = {RATE: len(latencies) / elapsed_s, P99: latencies.percentile(99) * 1000}
    return {key: measured[key] for key in wanted}


def _commands(entities: int, until_s: float) -> Iterator[bytes]:
    draw, body = Random(60_000), _body()
    while time.perf_counter() < until_s:
        yield request(f"/v1/actors/meter/{draw.randrange(entities):05}/take-reading", body)


def _body() -> bytes:
    """A command of the size of theirs."""

    def made(room: str) -> bytes:
        return json.dumps({"celsius": 21.5, "room": room, "number": 1}).encode()

    return made("h" * (COMMAND_BYTES - len(made(""))))


MEASURE = Measure(
    run,
    (
        Figure(
            key=RATE,
            input="commands of 550 bytes to {akka_entities:,} actors in no order, for {akka_s:.0f} "
            f"s, a POST each over {CONNECTIONS} keep-alive connections, clients included",
            target=at_least(PER_CORE * (os.cpu_count() or 1)),
        ),
        Figure(key=P99, input="the same: 99 of 100 were answered within", at_most=True),
    ),
    once=True,
)
