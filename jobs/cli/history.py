"""`thornback history`: all events of one device."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from actors.event import Event
from actors.naming import aggregate_id_of
from jobs.cli import options
from jobs.cli.devices import checked, unknown
from jobs.command_line import connected_by, parts_of
from jobs.event_lines import print_event
from jobs.terminal import UNWELL, problems
from runtime.system import ActorSystem


@click.command
@options.source
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the last N events.")
@options.config
@options.for_programs
def command(source: str, last: int | None, config: Path | None, for_programs: bool) -> int:
    """Show the events of one device, oldest first.

    SOURCE is its name in the log, the actor type and the device's name: `charger/c-17`. The exit
    code is 1 when the log has no event of it.
    """
    checked(source, of_an_actor=False)  # events come from other sources, too
    with connected_by(config) as system:
        events = asyncio.run(_events(parts_of(system), source))
    for event in events[-last if last else 0 :]:
        print_event(event, for_programs=for_programs, with_source=False)
    if not events:
        problems.print(unknown(source), markup=False)
    return 0 if events else UNWELL


async def _events(parts: Sequence[ActorSystem], source: str) -> list[Event]:
    """One log has those of an actor; of what each system says by itself, each has some."""
    found: list[Event] = []
    for part in parts:
        store = await part.open_store()
        try:
            found += await store.load_events(aggregate_id_of(source))
        finally:
            await store.close()
    return found
