"""`thornback explain`: why an event is in the log."""

from pathlib import Path
from uuid import UUID

import click

from jobs import explain
from jobs.cli import options
from runtime.settings.settings import Settings
from store.causality import LARGEST_LIMIT, LIMIT


@click.command
@click.argument("event_id", type=click.UUID)
@click.option(
    "--limit", type=click.IntRange(1, LARGEST_LIMIT), default=LIMIT, show_default=True, metavar="N",
    help="Effects, causes and events of the correlation at most.",
)  # fmt: skip
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write it as a picture instead.",
)  # fmt: skip
@options.config
@options.for_programs
def command(
    event_id: UUID, limit: int, svg: Path | None, config: Path | None, for_programs: bool
) -> int:
    """Show what has caused an event, and what it has caused, as a tree.

    EVENT_ID is the id of an event, or of a command, which stands for its first event (`thornback
    history SOURCE --json` and `thornback tail --json` show ids). Other events of the same
    correlation are shown with how they stand in time: earlier, later, or concurrent. What is left
    out is said on standard error. The database has to run, and the system need not.
    """
    return explain.explain_event(
        Settings.load(config), event_id, limit=limit, svg=svg, for_programs=for_programs
    )
