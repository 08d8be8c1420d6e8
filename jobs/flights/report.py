"""What a replay comes to: counts beside the expected ones, and two proofs by SQL."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from rich.console import Console
from rich.table import Table

from actors.devices import Aircraft, AircraftState
from actors.ids import event_id, uuid_of
from actors.naming import source_of
from jobs.flights.air_traffic import AirTraffic
from runtime.driver.bulk import BulkResult
from runtime.driver.ref import ActorRef
from runtime.system import ActorSystem
from runtime.topology.status import HostFacts, ProcessStatus, Status
from store.postgres.event_store import PostgresEventStore

COUNTS = """
    SELECT event_type, count(*) FROM events
    WHERE source LIKE 'aircraft/%' OR source LIKE 'weather-station/%' GROUP BY event_type
"""
#: Of those alone that a replay leads to: the log may hold more days, or what somebody else has
#: sent to the same aircraft.
COUNTS_BY_ID = """
    SELECT event_type, count(*) FROM events WHERE id = ANY($1::uuid[]) GROUP BY event_type
"""
#: Ids in one question.
AT_A_TIME = 50_000
#: Every aggregate's versions are 1..n: as many as the highest, none twice, from 1.
GAPS = """
    SELECT count(*) FROM (
        SELECT 1 FROM events GROUP BY aggregate_id
        HAVING min(version) <> 1 OR max(version) <> count(*)
            OR count(DISTINCT version) <> count(*)
    ) broken
"""
AGGREGATES = "SELECT count(DISTINCT aggregate_id) FROM events"
DELAYS = """
    SELECT split_part(source, '/', 2) AS name,
           sum(greatest((event_data->>'delay_min')::int, 0)) AS minutes
    FROM events WHERE event_type = 'flight-arrived' AND source = ANY($1::text[])
    GROUP BY source ORDER BY minutes DESC, name LIMIT 10
"""

Delays = list[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the log and the actors say after a replay."""

    counts: Mapping[str, int]
    aggregates: int
    broken_aggregates: int
    delays_in_log: Delays
    delays_in_actors: Delays


async def from_log(
    store: PostgresEventStore, traffic: AirTraffic
) -> tuple[dict[str, int], int, int, Delays]:
    """What the log has of this replay: counts by type, and the ten most delayed of its
    aircraft. And of the whole log: aggregates, and those with a gap."""
    counts = {row[0]: row[1] for row in await store.fetch(COUNTS)}
    if counts != traffic.expected:
        counts = await counts_of(store, traffic)
    aggregates = (await store.fetch(AGGREGATES))[0][0]
    broken = (await store.fetch(GAPS))[0][0]
    sources = [source_of(Aircraft.actor_type, name) for name in traffic.aircraft]
    delays = [(row[0], int(row[1])) for row in await store.fetch(DELAYS, sources)]
    return counts, aggregates, broken, delays


async def counts_of(store: PostgresEventStore, traffic: AirTraffic) -> dict[str, int]:
    """The replay's own events in the log, by type. It looks for each by its id, which takes a
    few seconds for a year."""
    counts: Counter[str] = Counter()
    ids = (uuid_of(event_id(each.command_id, 0)) for each in traffic.occurrences())
    while some := list(islice(ids, AT_A_TIME)):
        counts.update({row[0]: row[1] for row in await store.fetch(COUNTS_BY_ID, some)})
    return {name: counts[name] for name in traffic.expected}


def from_actors(aircraft: Iterable[ActorRef[AircraftState]]) -> Delays:
    """The ten aircraft with the most delay, read from the states of all of them."""
    replies = [(ref.name, ref.state()) for ref in aircraft]
    delays = [(name, reply.result().arrival_delay_min) for name, reply in replies]
    return sorted(delays, key=lambda pair: (-pair[1], pair[0]))[:10]


def gather(
    system: ActorSystem, traffic: AirTraffic, aircraft: Iterable[ActorRef[AircraftState]]
) -> Evidence:
    """Ask the log and the actors."""

    async def ask_log() -> tuple[dict[str, int], int, int, Delays]:
        store = await system.open_store()
        assert isinstance(store, PostgresEventStore), "the checks are SQL: use a Postgres store"
        try:
            return await from_log(store, traffic)
        finally:
            await store.close()

    counts, aggregates, broken, in_log = system.connection.courier.run(ask_log()).result()
    return Evidence(
        counts=counts,
        aggregates=aggregates,
        broken_aggregates=broken,
        delays_in_log=in_log,
        delays_in_actors=from_actors(aircraft),
    )


def show(
    console: Console,
    expected: Mapping[str, int],
    result: BulkResult,
    seconds: float,
    evidence: Evidence,
    statuses: Iterable[Status],
) -> bool:
    """Print the summary; does all of it hold?"""
    verdicts = [_counts(console, expected, evidence.counts), _commands(console, expected, result)]
    new = result.events
    console.print(
        f"{result.commands:,} commands in {seconds:,.1f} s: {result.commands / seconds:,.0f}/s"
    )
    if not new and result.repeats:
        console.print("the log holds this replay already: nothing in it was changed")
    residents = sum(
        status.facts.residents
        for status in statuses
        if isinstance(status, ProcessStatus) and isinstance(status.facts, HostFacts)
    )
    console.print(f"{residents:,} actors resident")
    _delays(console, evidence)
    verdicts.append(_verdict(
        console, evidence.delays_in_log == evidence.delays_in_actors,
        "the ten most delayed aircraft are the same in actor state and in the log",
    ))  # fmt: skip
    verdicts.append(_verdict(
        console, evidence.broken_aggregates == 0,
        f"the versions of all {evidence.aggregates:,} aggregates are 1..n",
    ))  # fmt: skip
    return all(verdicts)


def _counts(console: Console, expected: Mapping[str, int], counts: Mapping[str, int]) -> bool:
    table = Table(box=None, pad_edge=False)
    table.add_column("event type")
    for column in ("in the log", "expected"):
        table.add_column(column, justify="right")
    for name, number in expected.items():
        table.add_row(name, f"{counts.get(name, 0):,}", f"{number:,}")
    total, wanted = sum(counts.values()), sum(expected.values())
    table.add_row("in all", f"{total:,}", f"{wanted:,}", style="bold")
    console.print(table)
    holds = all(counts.get(name, 0) == number for name, number in expected.items())
    return _verdict(console, holds, "the log has exactly the expected events")


def _commands(console: Console, expected: Mapping[str, int], result: BulkResult) -> bool:
    for source, error in result.errors[:5]:
        console.print(f"[red]{source}[/]: {error}")
    holds = not result.failed and result.events + result.repeats == sum(expected.values())
    return _verdict(
        console,
        holds,
        f"{result.events:,} events are new, {result.repeats:,} were there, "
        f"{result.failed:,} failed",
    )


def _delays(console: Console, evidence: Evidence) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("aircraft", "minutes late in actor state", "in the log"):
        table.add_column(column, justify="left" if column == "aircraft" else "right")
    for mine, theirs in zip(evidence.delays_in_actors, evidence.delays_in_log, strict=False):
        table.add_row(mine[0], f"{mine[1]:,}", f"{theirs[1]:,}" + ("" if mine == theirs else " !"))
    console.print(table)


def _verdict(console: Console, holds: bool, statement: str) -> bool:
    console.print(f"[green]holds[/]  {statement}" if holds else f"[red]FAILS[/]  {statement}")
    return holds
