"""What costs as much in a large log as in a small one: plans and buffers, not seconds."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from store.event_store import WRITER, CounterMove
from store.postgres.event_store import PostgresEventStore
from store.postgres.fence import Fence
from store.postgres.migrations import migrate
from store.postgres.queries import (
    QUERIES,
    rows_between,
    rows_of_aggregates,
    rows_of_causes,
    rows_of_correlation,
    rows_of_history,
    rows_of_ids,
)
from store.rows.decoding import Decoder
from store.selection import EVERYTHING, Selection, after_all_of
from tests.contracts.appending import NODE, Log, made_event

pytestmark = pytest.mark.integration

ROWS = 200_000
AGGREGATES = 10_000

#: Enough of a log for reading all of it to be a bad plan. At 10,000,000 rows the same
#: statements have the same plans: a scan only becomes more expensive (docs/performance.md).
FILL = f"""
    INSERT INTO events (
        id, aggregate_id, version, position, timestamp, recorded_at, kind, event_type, source,
        event_data, vector_clock
    )
    SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n % {AGGREGATES}), 32, '0')::uuid,
        n / {AGGREGATES} + 1, n + 1, now(), now(), 'device', 'value-read',
        'device/' || n % {AGGREGATES}, '{{"celsius": 21.5}}', '{{"host-a": 1}}'
    FROM generate_series(0, {ROWS - 1}) n
"""


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresEventStore]:
    await migrate(database)
    opened = await PostgresEventStore.connect(database, pool_size=2)
    yield opened
    await opened.close()


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


async def plan_of(store: PostgresEventStore, query: str, *arguments: Any) -> list[tuple[str, str]]:
    """How a query gets at the log: (kind of scan, index) of each scan of it."""
    [[found]] = await store.fetch(f"EXPLAIN (FORMAT JSON) {query}", *arguments)
    scans: list[tuple[str, str]] = []
    for node in _nodes(json.loads(found)[0]["Plan"]):
        if node.get("Relation Name") == "events" and node["Node Type"] != "Bitmap Heap Scan":
            scans.append((node["Node Type"], node.get("Index Name", "")))
        elif node["Node Type"] == "Bitmap Index Scan":
            scans.append(("Index Scan", node["Index Name"]))
    return scans


def key(number: int) -> bytes:
    """The id of an event, or of an aggregate."""
    return UUID(int=number).bytes


async def test_a_large_log_is_read_by_its_indexes(store: PostgresEventStore) -> None:
    await store.fetch(FILL)
    await store.fetch("VACUUM ANALYZE events")
    by_version = [("Index Scan", "events_aggregate_id_version_key")]
    for count in (1, 100, 2_000):
        wanted = {key(number): number % 3 for number in range(count)}
        assert await plan_of(store, rows_of_aggregates(wanted)) == by_version, count
    by_id = [("Index Scan", "events_pkey")]
    for count in (1, 100, 8_000):
        ids = [key(number * 7) for number in range(count)]
        assert await plan_of(store, rows_of_ids(ids)) == by_id, count
    assert await plan_of(store, QUERIES["find_ids"], [UUID(int=7)]) in (
        by_id, [("Index Only Scan", "events_pkey")]
    )  # fmt: skip
    assert await plan_of(store, rows_of_history(key(7), 3, 100)) == by_version
    asked = (("device/", "", 101), ("device/", "device/5000", 1_001), ("device/50", "", 101))
    for prefix, behind, limit in asked:
        end = after_all_of(prefix)
        plan = await plan_of(store, QUERIES["sources"], prefix, end, behind, limit)
        (first, then) = plan
        assert first == ("Index Scan", "events_first_idx"), plan
        assert then[1] == "events_aggregate_id_version_key", plan
    by_position = [("Index Scan", "events_position_idx")]
    selections = [
        EVERYTHING,
        Selection(event_types=("value-*",)),
        Selection(sources=("device/1*", "device/22"), event_types=("value-read",)),
    ]
    for selection in selections:
        for after in (0, ROWS // 2, ROWS - 10):
            query = rows_between(after, after + 10_000, selection)
            assert await plan_of(store, query) == by_position, (selection, after)


#: Of half of the log nearly all events began by themselves; those of version 2 follow each from the
#: event before it. The other half names no causes.
CAUSES = """
    UPDATE events SET (causation_id, correlation_id) = (SELECT
        CASE WHEN version = 2 THEN lpad(to_hex(n - 1), 32, '0')::uuid ELSE command END, command
        FROM (SELECT position - 1 AS n, encode(
            set_byte(uuid_send(id), 15, 255 - get_byte(uuid_send(id), 15)), 'hex'
        )::uuid AS command) AS own
    ) WHERE position <= 100000
"""


async def test_causes_are_found_by_their_indexes_which_leave_out_what_began_by_itself(
    store: PostgresEventStore,
) -> None:
    await store.fetch(FILL)
    await store.fetch(CAUSES)
    await store.fetch("VACUUM ANALYZE events")
    for count in (1, 100, 2_000):
        plan = await plan_of(store, rows_of_causes([key(n) for n in range(count)], 1_001))
        assert sorted({index for _, index in plan}) == [
            "events_causation_idx", "events_pkey"
        ], (count, plan)  # fmt: skip
    plan = await plan_of(store, rows_of_correlation(key(10_006), 1_001))
    assert sorted({index for _, index in plan}) == [
        "events_aggregate_id_version_key", "events_correlation_idx", "events_pkey"
    ], plan  # fmt: skip
    for name in ("events_causation_idx", "events_correlation_idx"):
        [[entries]] = await store.fetch(
            "SELECT reltuples::bigint FROM pg_class WHERE relname = $1", name
        )
        # Those of one version of 10,000 sources; it is an estimate.
        assert 9_000 < entries < 11_000
    [caused] = Decoder().events((await store.find_caused([key(10_006)], 10)).rows)
    assert caused.position == 10_008


async def pages_of(store: PostgresEventStore, log: Log, fence: Fence) -> int:
    """How many pages a fence looks at that knows what this one does."""
    moves = fence.moves(
        CounterMove(name=WRITER, epoch=log.writer.number, counter=log.head),
        [CounterMove(name=NODE, epoch=log.node.number, counter=log.ticks)],
        count=0,
        attempt=0,
    )
    query = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT move_counters($1)"
    [[found]] = await store.fetch(query, moves)
    plan = json.loads(found)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_commits_behind_a_long_snapshot_cost_what_they_cost_before(
    store: PostgresEventStore, database: str
) -> None:
    """The snapshot keeps every dead version of the fence's rows, and an index leads through
    all of them to the live one."""
    log = await Log.open(store)
    reader = await asyncpg.connect(database)
    try:
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await reader.fetch("SELECT count(*) FROM events")
        for number in range(1_500):
            await log.append(made_event(f"device/{number}"))
        assert await pages_of(store, log, store.fence) < 15
        assert await pages_of(store, log, Fence()) > 30, "for one who knows nothing it is far"
        await log.append(made_event("device/last"))  # they have moved meanwhile
        assert await pages_of(store, log, store.fence) < 15
    finally:
        await reader.close()
