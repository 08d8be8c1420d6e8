"""`thornback projections`: tables of what is so now."""

from pathlib import Path

import click

from jobs import projections
from jobs.cli import options
from runtime.settings.settings import Settings


@click.command
@click.option("--rebuild", metavar="NAME", help="Build this one anew, and put it in its place.")
@click.option("--workers", type=click.IntRange(1, 16), help="With --rebuild: by so many.")
@options.config
@options.for_programs
def command(
    rebuild: str | None, workers: int | None, config: Path | None, for_programs: bool
) -> int:
    """Show the projections: the view that each is read by, and how far it has come.

    --rebuild builds one anew by the code that runs, beside the one that is read, and swaps them
    when it has caught up. If it is interrupted, what is built goes on: ask again, and it is
    swapped.
    """
    if rebuild is not None:
        return projections.rebuild(config, rebuild, workers)
    return projections.list_all(Settings.load(config), for_programs=for_programs)
