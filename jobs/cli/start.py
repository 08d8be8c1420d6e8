"""`thornback start`: have a device that was stopped, or erased, take commands again."""

from pathlib import Path

import click

from jobs.cli import options
from jobs.cli.devices import checked, ref_of
from jobs.command_line import connected_by
from jobs.event_lines import print_event
from jobs.terminal import console


@click.command
@options.source
@click.option(
    "--reason", default="", metavar="TEXT", help="Why: its event actor-started keeps that."
)
@options.config
@options.for_programs
def command(source: str, reason: str, config: Path | None, for_programs: bool) -> int:
    """Have the device SOURCE (TYPE/NAME) take commands again that its supervisor, or somebody, has
    stopped, or that was erased.

    Its event actor-started is shown. Where it was not stopped nothing changes, and that is said.
    """
    checked(source)  # before anything is connected to
    with connected_by(config) as system:
        events = system.start(ref_of(system, source), reason=reason).result()
    for event in events:
        print_event(event, for_programs=for_programs)
    if not events and not for_programs:
        console.print(f"{source} was not stopped: nothing was done", markup=False)
    return 0
