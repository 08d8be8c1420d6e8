"""`thornback programs`: the stream programs that run."""

from pathlib import Path

import click

from jobs import programs
from jobs.cli import options
from jobs.command_line import connected_by


@click.command
@click.option("--stop", metavar="NAME", help="End the workers of this one; its checkpoints stay.")
@click.option("--resume", metavar="NAME", help="Have this one go on where it stands.")
@click.option("--skip", is_flag=True, help="With --resume: pass over the event at which it stands.")
@options.config
@options.for_programs
def command(
    stop: str | None, resume: str | None, skip: bool, config: Path | None, for_programs: bool
) -> int:
    """Show the stream programs that run: how far each has come, and where one stands.

    A program stands at an event at which its code fails. The exit code is 1 when one does, or when
    a worker does not answer. Their checkpoints and receipts: `thornback subscriptions`.
    """
    with connected_by(config) as system:
        if stop is not None:
            return programs.stop(system, stop)
        if resume is not None:
            return programs.resume(system, resume, skip=skip)
        return programs.list_all(system, for_programs=for_programs)
