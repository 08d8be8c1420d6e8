"""The gateway: single commands, lines of commands, and events to many listeners."""

import asyncio
import json
import time

import psutil

from benchmarks.bed import Bed, one_value, settle
from benchmarks.devices import Meter
from benchmarks.figures import Figure, Measure, at_least
from benchmarks.http_client import Listening, post_all, post_lines, repeated, request
from benchmarks.measures.commands import all_told, readings
from benchmarks.sizes import require
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from runtime.topology.status import GatewayFacts, ProcessStatus

SINGLE, BULK = "http_commands_per_s", "http_bulk_commands_per_s"
SSE, IDLE = "sse_deliveries_per_s", "sse_idle_client_bytes"
CONNECTIONS = 64


def run(bed: Bed, wanted: frozenset[str]) -> dict[str, float]:
    """See the figures below. Client, gateway, hosts, writer and database share the machine."""
    measured: dict[str, float] = {}
    sizes, asked = bed.sizes, 0
    with bed.database() as url, bed.system(url, gateway=True) as system:
        address, pid = gateway_of(system)
        if IDLE in wanted:  # first: what was used before would be used again
            measured[IDLE] = asyncio.run(_weighed(address, pid, sizes.idle_clients))
        if SINGLE in wanted:
            asyncio.run(_single(address, sizes.http_commands // 10, sizes.actors))  # warms up
            settle(url)
            measured[SINGLE] = asyncio.run(_single(address, sizes.http_commands, sizes.actors))
            asked += sizes.http_commands + sizes.http_commands // 10
        if BULK in wanted:
            asyncio.run(_bulk(address, sizes.http_lines // 10, sizes.actors))  # warms up
            settle(url)
            measured[BULK] = asyncio.run(_bulk(address, sizes.http_lines, sizes.actors))
            asked += sizes.http_lines + sizes.http_lines // 10
        stored = one_value(url, "SELECT count(*) FROM events")
        require(stored == asked, f"{stored:,} events for {asked:,} commands")
        if SSE in wanted:
            measured[SSE] = asyncio.run(_delivered(system, address, bed))
    return {key: measured[key] for key in wanted}


def gateway_of(system: ActorSystem) -> tuple[str, int]:
    """Where the gateway listens, and its process."""
    for status in system.status().result():
        if isinstance(status, ProcessStatus) and isinstance(status.facts, GatewayFacts):
            return status.facts.address, status.pid
    raise LookupError("there is no gateway")


def _data(number: int) -> dict[str, object]:
    return {"celsius": 21.5, "room": "hall", "number": number}


async def _single(address: str, count: int, actors: int) -> float:
    def made(number: int) -> bytes:
        path = f"/v1/actors/meter/{number % actors:04}/take-reading"
        return request(path, json.dumps(_data(number)).encode())

    started_s = time.perf_counter()
    await post_all(address, repeated(made, count), CONNECTIONS)
    return count / (time.perf_counter() - started_s)


async def _bulk(address: str, count: int, actors: int) -> float:
    lines = [
        json.dumps(
            {
                "source": f"meter/{number % actors:04}",
                "message": "take-reading",
                "data": _data(number),
            }
        ).encode()
        + b"\n"
        for number in range(count)
    ]
    started_s = time.perf_counter()
    good = await post_lines(address, lines)
    require(good == count, f"of {count:,} lines {good:,} were answered well")
    return count / (time.perf_counter() - started_s)


async def _delivered(system: ActorSystem, address: str, bed: Bed) -> float:
    sizes = bed.sizes
    refs: list[ActorRef[object]] = [
        system.actor(Meter.actor_type, f"{number:04}") for number in range(sizes.actors)
    ]
    listening = Listening(address, "?types=reading-taken")
    await listening.begin(sizes.http_listeners)
    started_s = time.perf_counter()
    heard = asyncio.ensure_future(listening.until(sizes.http_heard))
    told = await asyncio.to_thread(system.tell_many, readings(refs, sizes.http_heard))
    seen = await heard
    elapsed_s = time.perf_counter() - started_s
    all_told(told, sizes.http_heard)
    require(seen == sizes.http_heard * sizes.http_listeners, f"{seen:,} events were delivered")
    listening.end()
    return seen / elapsed_s


async def _weighed(address: str, pid: int, clients: int) -> float:
    gateway = psutil.Process(pid)
    warm = Listening(address, "?types=nothing")
    await warm.begin(10)
    before = gateway.memory_full_info().uss
    listening = Listening(address, "?types=nothing")
    await listening.begin(clients)
    grown = gateway.memory_full_info().uss - before
    listening.end()
    warm.end()
    return grown / clients


MEASURE = Measure(
    run,
    (
        Figure(
            key=SINGLE,
            input="{http_commands:,} POSTs of one command to {actors:,} actors over "
            f"{CONNECTIONS} keep-alive connections, client included",
            target=at_least(6_000),
        ),
        Figure(
            key=BULK,
            input="{http_lines:,} lines to {actors:,} actors in one POST, answered with their "
            "events, client included",
            target=at_least(25_000),
        ),
        Figure(
            key=SSE,
            input="{http_heard:,} events to each of {http_listeners} listening clients, while "
            "they are made, client included",
        ),
        Figure(
            key=IDLE,
            input="{idle_clients:,} clients that listen and hear nothing: private memory of the "
            "gateway for each",
            at_most=True,
        ),
    ),
)
