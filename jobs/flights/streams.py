"""What stream programs make of the replay: three pipelines, their results, and proofs by SQL.

Each proof computes in plain SQL, from the flights alone, what the pipeline's last revisions have to
be, and counts the rows in which the two differ. Only windows that are over count.
"""

import time
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from runtime.errors import NotPossible
from runtime.system import ActorSystem
from runtime.topology.status import ProcessStatus, WorkerFacts
from store.postgres.event_store import PostgresEventStore
from store.slots import SLOTS
from streams.examples.air_traffic import AIRCRAFT_DAYS, AIRPORT_DELAYS, CARRIER_DELAYS
from streams.pipeline import EventPipeline

#: The last result of each window that nothing has replaced, in columns.
_LAST = """
    WITH results AS (
        SELECT split_part(source, '/', 2) AS key, event_data AS data,
            (event_data->'window'->>'start')::timestamptz AS start,
            (event_data->'window'->>'end')::timestamptz AS until,
            (event_data->>'revision')::int AS revision
        FROM events WHERE source LIKE '{program}/%'
    ), replaced AS (
        SELECT key, (each->>'start')::timestamptz AS start, (each->>'end')::timestamptz AS until,
            (each->>'revision')::int AS revision
        FROM results, jsonb_array_elements(data->'replaces') AS each
    ), last AS (
        SELECT * FROM results
        WHERE NOT EXISTS (SELECT 1 FROM replaced WHERE replaced.key = results.key
            AND replaced.start = results.start AND replaced.until = results.until
            AND replaced.revision = results.revision)
    )
"""
#: Rows that are in the one and not in the other, either way.
_DIFFERENCES = """
    SELECT (SELECT count(*) FROM expected), (SELECT count(*) FROM found),
        (SELECT count(*) FROM (TABLE expected EXCEPT ALL TABLE found) AS missing)
            + (SELECT count(*) FROM (TABLE found EXCEPT ALL TABLE expected) AS excess)
"""
_CARRIERS = """
    , departures AS (
        SELECT event_data->>'carrier' AS key, (event_data->>'delay_min')::int AS delay,
            timestamp AS at, date_bin('1 hour', timestamp, timestamptz '1970-01-01 00:00Z') AS start
        FROM events WHERE event_type = 'flight-departed' AND source LIKE 'aircraft/%'
    ), expected AS (
        SELECT key, start, count(*) AS departures, sum(delay)::float8 / count(delay) AS mean,
            max(delay) AS worst
        FROM departures GROUP BY key, start
        HAVING start + interval '1 hour' <= (SELECT max(at) FROM departures) - {disorder}
    ), found AS (
        SELECT key, start, (data->>'departures')::bigint, (data->>'mean_delay_min')::float8,
            (data->>'worst_delay_min')::int FROM last
    )
"""
_AIRPORTS = """
    , departures AS (
        SELECT event_data->>'origin' AS key, (event_data->>'delay_min')::int AS delay,
            timestamp AS at FROM events
        WHERE event_type = 'flight-departed' AND source LIKE 'aircraft/%'
    ), selected AS (
        SELECT max(timestamp) AS watermark FROM events
        WHERE event_type IN ('flight-departed', 'weather-observed')
    ), rolling AS (
        SELECT key, date_bin('10 minutes', at, timestamptz '1970-01-01 00:00Z')
            - each * interval '10 minutes' AS start, count(*) AS departures,
            sum(delay)::float8 / count(delay) AS mean
        FROM departures, generate_series(0, 5) AS each GROUP BY 1, 2
    ), expected AS (
        SELECT * FROM rolling
        WHERE start + interval '1 hour' <= (SELECT watermark FROM selected) - {disorder}
    ), found AS (
        SELECT key, start, (data->>'departures')::bigint, (data->>'mean_delay_min')::float8
        FROM last WHERE (data->>'departures')::bigint > 0
    )
"""
_AIRCRAFT = """
    , moves AS (
        SELECT split_part(source, '/', 2) AS key, event_type, timestamp AS at,
            timestamp - lag(timestamp) OVER (PARTITION BY source ORDER BY timestamp) AS rest
        FROM events
        WHERE event_type IN ('flight-departed', 'flight-arrived', 'flight-diverted')
            AND source LIKE 'aircraft/%'
    ), days AS (
        SELECT *, count(*) FILTER (WHERE rest >= interval '6 hours') OVER (
            PARTITION BY key ORDER BY at RANGE UNBOUNDED PRECEDING) AS day
        FROM moves
    ), all_of_them AS (
        SELECT key, min(at) AS start, count(*) FILTER (WHERE event_type = 'flight-departed')
            AS departures, count(*) FILTER (WHERE event_type = 'flight-arrived') AS arrivals,
            max(at) + interval '6 hours' <= (SELECT max(at) FROM moves) - {disorder} AS over
        FROM days GROUP BY key, day
    ), expected AS (
        SELECT key, start, departures, arrivals FROM all_of_them WHERE over
    ), found AS (
        -- Results that are a part of what goes on yet stand until that is over.
        SELECT key, start, (data->>'departures')::bigint, (data->>'arrivals')::bigint FROM last
        WHERE NOT EXISTS (SELECT 1 FROM all_of_them AS day
            WHERE day.key = last.key AND NOT day.over AND day.start <= last.start)
    )
"""


class _Example(NamedTuple):
    pipeline: EventPipeline
    expected: str
    says: str

    @property
    def proof(self) -> str:
        """The query that counts what is expected, what is found, and the differences."""
        disorder = f"interval '{self.pipeline.disorder_us} us'"
        query = _LAST + self.expected.replace("{disorder}", disorder) + _DIFFERENCES
        return query.replace("{program}", self.pipeline.name)


EXAMPLES = (
    _Example(CARRIER_DELAYS, _CARRIERS, "delays of carriers by the hour"),
    _Example(AIRPORT_DELAYS, _AIRPORTS, "rolling delays of airports"),
    _Example(AIRCRAFT_DAYS, _AIRCRAFT, "days of aircraft"),
)
_REACHED = """
    SELECT split_part(name, '/', 1) AS program, min(position) AS position, count(*) AS slots
    FROM subscriptions WHERE name LIKE '%/%' GROUP BY 1
"""
_WORST = """
    SELECT split_part(source, '/', 2) AS airport, event_data->'window'->>'start' AS start,
        (event_data->>'departures')::int AS departures,
        (event_data->>'mean_delay_min')::float8 AS delay,
        (event_data->>'least_visibility_mi')::float8 AS visibility
    FROM events WHERE source LIKE 'airport-delays/%' AND (event_data->>'departures')::int >= 20
    ORDER BY delay DESC, start LIMIT 3
"""
#: How often the log is asked how far they are, which nobody tells.
_LOOK_S = 0.25


class _Evidence(NamedTuple):
    differences: list[tuple[str, int, int, int]]  #: of each: what it says, expected, found, differ
    worst: list[tuple[str, str, int, float, float | None]]


def run_examples(system: ActorSystem, console: Console) -> bool:
    """Have the three run over all that is in the log by now, show what they came to, and prove it;
    does all of it hold? They go on with whatever comes then."""
    began_s = time.monotonic()
    head = system.head().result()
    for reply in [system.run(example.pipeline, workers=1) for example in EXAMPLES]:
        reply.result()
    run = system.connection.courier.run
    with console.status("computing over the streams") as status:
        while (position := run(_reached(system)).result()) < head:
            _say_trouble(system)
            status.update(f"computing over the streams: {position:,} of {head:,}")
            time.sleep(_LOOK_S)
        status.update("proving it in SQL")
        evidence = run(_evidence(system)).result()
    console.print(
        f"{len(EXAMPLES)} pipelines over {head:,} events in {time.monotonic() - began_s:,.1f} s"
    )
    table = Table(box=None, pad_edge=False)
    for column in ("airport", "hour from", "departures", "mean delay", "least visibility"):
        table.add_column(column, justify="left" if column == "airport" else "right")
    for airport, start, departures, delay, visibility in evidence.worst:
        seen = "" if visibility is None else f"{visibility:g} mi"
        table.add_row(airport, start, f"{departures}", f"{delay:.0f} min", seen)
    console.print(table)
    for says, expected, found, differ in evidence.differences:
        holds = "[green]holds[/]" if differ == 0 else "[red]FAILS[/]"
        console.print(
            f"{holds}  {says}: {found:,} results, which are those of plain SQL"
            + ("" if differ == 0 else f" ({expected:,} of them) but for {differ:,}"),
            soft_wrap=True,
        )
    return all(differ == 0 for _, _, _, differ in evidence.differences)


def _say_trouble(system: ActorSystem) -> None:
    """One that stands never comes to the end."""
    for status in system.status().result():
        facts = status.facts if isinstance(status, ProcessStatus) else None
        if isinstance(facts, WorkerFacts) and facts.paused:
            raise NotPossible(f"{facts.program} {facts.trouble}")


async def _reached(system: ActorSystem) -> int:
    """Up to where all three are."""
    store = await _store(system)
    try:
        rows = {row["program"]: row for row in await store.fetch(_REACHED)}
    finally:
        await store.close()
    found = [rows.get(example.pipeline.name) for example in EXAMPLES]
    return min(row["position"] if row and row["slots"] == SLOTS else 0 for row in found)


async def _evidence(system: ActorSystem) -> _Evidence:
    store = await _store(system)
    try:
        differences = []
        for example in EXAMPLES:
            [row] = await store.fetch(example.proof)
            differences.append((example.says, *row))
        worst = [tuple(row) for row in await store.fetch(_WORST)]
    finally:
        await store.close()
    return _Evidence(differences, worst)


async def _store(system: ActorSystem) -> PostgresEventStore:
    store = await system.open_store()
    assert isinstance(store, PostgresEventStore), "the proofs are SQL: use a Postgres store"
    return store
