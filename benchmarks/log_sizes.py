"""Does a log that is ten times as long cost anything? Append, rehydrate, catch up, and plans.

    python -m benchmarks.log_sizes [EVENTS ...]

Fills a database of its own for each of these numbers of events, a million and ten million unless
given, by commands to a hundredth as many meters; so each meter has as many events as in the other
log. Then, three rounds each: commands made durable in bulk; meters folded by hosts that have just
started; the end of the log handed to a subscription. The table shows medians, with the ratio to the
first log; the aim is 0.9 and more. In the end every query of the hot paths is explained on the
longest log, and the exit code is 1 if one reads the table of events from end to end.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from statistics import median
from typing import Any

import asyncpg

from actors.ids import event_id
from actors.naming import aggregate_key_of
from benchmarks.bed import Bed, one_value, opened, run_sql
from benchmarks.devices import Meter, TakeReading
from benchmarks.measures.commands import READINGS, all_told, readings
from benchmarks.sizes import FULL, require
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from store.postgres.queries import (
    QUERIES,
    rows_between,
    rows_of_aggregates,
    rows_of_causes,
    rows_of_correlation,
    rows_of_history,
    rows_of_ids,
)
from store.selection import EVERYTHING, Selection

LOGS = (1_000_000, 10_000_000)
ROUNDS = 3
EACH = 100  #: events of one meter
APPENDED, ASKED, READ = 200_000, 1_000, 500_000
APPEND, REHYDRATE, CATCH_UP = "append_per_s", "rehydrate_events_per_s", "catch_up_events_per_s"

Refs = list[ActorRef[Any]]


def measured(bed: Bed, url: str, events: int) -> dict[str, float]:
    """Fill a database, and measure on it."""
    found: dict[str, list[float]] = {APPEND: [], REHYDRATE: [], CATCH_UP: []}
    with bed.system(url, max_actors=events // EACH) as system:
        meters = _meters(system, events)
        began_s = time.perf_counter()
        all_told(system.tell_many(readings(meters, events)), events)
        print(f"{events:>12,} events, in {time.perf_counter() - began_s:.0f} s", flush=True)
    run_sql(url, "VACUUM (ANALYZE) events")  # as autovacuum would have, soon
    run_sql(url, "CHECKPOINT")
    with bed.system(url, max_actors=events // EACH) as system:
        meters = _meters(system, events)
        for warm in range(8):  # one of them meets each host
            system.actor(Meter, f"warm-{warm}").state().result()
        step = len(meters) // ASKED
        for number in range(ROUNDS):  # others each time, from all over the log
            found[REHYDRATE].append(_rehydrated(meters[number::step][:ASKED]))
        head = one_value(url, "SELECT max(position) FROM events")
        found[CATCH_UP] = [_caught_up(system, head) for _ in range(ROUNDS)]
        found[APPEND] = [_appended(system, meters) for _ in range(ROUNDS)]
    stored = one_value(url, READINGS)
    require(stored == events + ROUNDS * APPENDED, f"the log has {stored:,} readings")
    return {key: median(values) for key, values in found.items()}


def _meters(system: ActorSystem, events: int) -> Refs:
    return [system.actor(Meter, f"{number:06}") for number in range(events // EACH)]


def _rehydrated(meters: Refs) -> float:
    began_s = time.perf_counter()
    replies = [meter.state() for meter in meters]
    folded: int = sum(reply.result().readings for reply in replies)
    took_s = time.perf_counter() - began_s
    require(folded == len(meters) * EACH, f"{folded:,} events were folded")
    return folded / took_s


def _caught_up(system: ActorSystem, head: int) -> float:
    read = min(READ, head)
    seen, began_s = 0, time.perf_counter()
    with system.subscribe(after=head - read) as subscription:
        for page in subscription.pages():
            seen += len(page)
            if subscription.position >= head:
                break
    took_s = time.perf_counter() - began_s
    require(seen == read, f"{seen:,} events were read")
    return seen / took_s


def _appended(system: ActorSystem, meters: Refs) -> float:
    few = meters[:: len(meters) // ASKED][:ASKED]
    sent: Iterator[tuple[ActorRef[Any], TakeReading]] = readings(few, APPENDED)
    began_s = time.perf_counter()
    all_told(system.tell_many(islice(sent, APPENDED)), APPENDED)
    return APPENDED / (time.perf_counter() - began_s)


def hot_queries(head: int, command: bytes) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """What is asked of the table of events while a system runs, as it is asked."""
    sources = [f"meter/{number * 7:06}" for number in range(500)]
    aggregates = {aggregate_key_of(source): 0 for source in sources}
    one = next(iter(aggregates))
    ids = [event_id(command, number) for number in range(200)]
    some = Selection(event_types=("reading-taken",), sources=("meter/0000*",))
    keys = [key.hex() for key in aggregates]
    return {
        "a page of the log": (rows_between(head - 5_000, head, EVERYTHING), ()),
        "a page, selected": (rows_between(head - 5_000, head, some), ()),
        "many actors are loaded": (rows_of_aggregates(aggregates), ()),
        "many actors, behind snapshots": (rows_of_aggregates(dict.fromkeys(aggregates, 50)), ()),
        "the history of one": (rows_of_history(one, 10, 100), ()),
        "events by their ids": (rows_of_ids(ids), ()),
        "which commands took effect": (QUERIES["find_ids"], ([i.hex() for i in ids],)),
        "last versions": (QUERIES["last_versions"], (keys,)),
        "the actors of a type": (QUERIES["sources"], ("meter/", "meter0", "meter/05", 100)),
        "what an event has caused": (rows_of_causes(ids[:50], 1_000), ()),
        "what belongs together": (rows_of_correlation(command, 1_000), ()),
        "the log is counted": (QUERIES["count_types"], (head - 50_000, head, "")),
    }


async def plans(url: str, head: int) -> dict[str, list[str]]:
    """By query: how its plan comes at rows of the events."""
    connection = await asyncpg.connect(url)
    try:
        command = await connection.fetchval(
            "SELECT correlation_id FROM events WHERE position = $1", head // 2
        )
        found = {}
        for name, (query, arguments) in hot_queries(head, command.bytes).items():
            explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *arguments)
            found[name] = sorted(set(_scans(json.loads(explained)[0]["Plan"])))
        return found
    finally:
        await connection.close()


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    if plan.get("Relation Name") == "events" or "Bitmap" in plan["Node Type"]:
        yield plan["Node Type"]
    for below in plan.get("Plans", ()):
        yield from _scans(below)


def main() -> int:
    logs = tuple(int(text) for text in sys.argv[1:]) or LOGS
    first: dict[str, float] = {}
    explained: dict[str, list[str]] = {}
    with opened(FULL) as bed:
        for events in logs:
            with bed.database() as url:
                for key, value in measured(bed, url, events).items():
                    first.setdefault(key, value)
                    print(f"  {key:<24} {value:>10,.0f} {value / first[key]:>6.2f}", flush=True)
                if events == logs[-1]:
                    head = one_value(url, "SELECT max(position) FROM events")
                    explained = asyncio.run(plans(url, head))
    for name, scans in explained.items():
        print(f"  {name:<30} {', '.join(scans)}")
    return 1 if any("Seq Scan" in scans for scans in explained.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
