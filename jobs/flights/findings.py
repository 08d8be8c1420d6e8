"""What stream programs and airports have found in the replay, to be looked at."""

from datetime import datetime
from uuid import UUID

from rich.console import Console
from rich.table import Table

from actors.event import Event
from jobs.flights.proofs import Verdict, sql
from runtime.system import ActorSystem
from store.postgres.event_store import PostgresEventStore
from streams.examples import AIRPORT_DELAYS


async def show_worst_hours(store: PostgresEventStore, console: Console) -> None:
    """What the pipeline of airports found: the hours in which flights left latest."""
    table = _table("airport", "hour from", "departures", "mean delay", "least visibility")
    last = sql("last_revisions").format(program=AIRPORT_DELAYS.name)
    for airport, start, departures, delay_min, visibility_mi in await store.fetch(
        f"WITH {last} {sql('worst_hours')}"
    ):
        seen = "" if visibility_mi is None else f"{visibility_mi:g} mi"
        table.add_row(airport, start, f"{departures}", f"{delay_min:.0f} min", seen)
    console.print(table)


async def show_congestions(store: PostgresEventStore, console: Console) -> None:
    """What the airports have said."""
    table = _table("airport", "times congested", "in bad weather", "for at most")
    for airport, times, in_weather, longest_h in await store.fetch(sql("congestions")):
        longest = "" if longest_h is None else f"{longest_h:.1f} h"
        table.add_row(airport, f"{times:,}", f"{in_weather:,}", longest)
    console.print(table)


async def worst_congestion(store: PostgresEventStore) -> UUID | None:
    """The id of the event of the worst one, if there was any."""
    for row in await store.fetch(sql("worst_congestion")):
        return UUID(bytes=row["id"].bytes)
    return None


def show_why(system: ActorSystem, congestion: UUID | None, console: Console) -> None:
    """Of one congestion what it follows from, and how more is asked."""
    if congestion is None:
        console.print("no airport was congested")
        return
    found = system.explain(congestion).result()
    event = found.event
    airport, data = event.source.partition("/")[2], event.data
    lines = [
        f"why was {airport} congested at {_minute(event.timestamp)}? thornback explain {event.id}",
        f"  {data['departures']} departures of an hour were {data['mean_delay_min']:.0f} min late "
        "on average" + "".join(f"; {each}" for each in data["contributing"]),
        *(f"  because of {_said(ancestor)}" for ancestor in reversed(found.ancestors)),
    ]
    if found.origin is not None:
        lines.append(f"  because of the command {found.origin}")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


async def show_busiest_route(store: PostgresEventStore, console: Console) -> None:
    """What the projection has in its table."""
    for row in await store.fetch(sql("busiest_route")):
        late = "late" if row["mean_delay_min"] >= 0 else "early"
        console.print(
            f"of {row['routes']:,} routes {row['key']} has most flights: "
            f"{row['arrived']:,} arrived, "
            f"{row['cancelled']:,} cancelled, {row['diverted']:,} diverted, "
            f"{abs(row['mean_delay_min']):.0f} min {late} on average",
            soft_wrap=True,
        )


def show_verdict(verdict: Verdict, console: Console) -> None:
    """What a proof has come to, on a line."""
    holds = "[green]holds[/]" if verdict.holds else "[red]FAILS[/]"
    but = "" if verdict.holds else f" ({verdict.expected:,} of them) but for {verdict.differ:,}"
    found = f"{verdict.found:,} results, which are those of plain SQL{but}"
    if not verdict.found and not verdict.expected:
        found = "there is none, and plain SQL has none either"
    console.print(f"{holds}  {verdict.says}: {found}", soft_wrap=True)


def _said(event: Event) -> str:
    data = event.data
    told = f" {data['flight']}, {data['delay_min']} min late" if "delay_min" in data else ""
    return f"{event.event_type} of {event.source} at {_minute(event.timestamp)}{told}"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column == "airport" else "right")
    return table
