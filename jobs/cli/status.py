"""`thornback status`: every process of the running system."""

from pathlib import Path

import click

from jobs.cli import options
from jobs.command_line import connected_by
from jobs.status import show_statuses, well
from jobs.terminal import UNWELL


@click.command
@options.config
@options.for_programs
def command(config: Path | None, for_programs: bool) -> int:
    """Show every process of the running system: its memory, and how far it has come.

    The exit code is 1 when a process does not answer, or says that something is amiss.
    """
    with connected_by(config) as system:
        statuses = system.status().result()
    show_statuses(statuses, for_programs=for_programs)
    return 0 if all(map(well, statuses)) else UNWELL
