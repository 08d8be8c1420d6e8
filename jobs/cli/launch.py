"""`thornback launch`: a system on a Ray of one's own."""

from pathlib import Path

import click

from jobs.cli import options
from jobs.launch import TIMEOUT_HELP, TIMEOUT_S, Launching, launch_there
from runtime.settings.settings import Settings

launch_timeout = click.option(
    "--timeout", type=click.FloatRange(min=0), default=TIMEOUT_S, show_default=True, metavar="S",
    help=f"{TIMEOUT_HELP.capitalize()}.",
)  # fmt: skip


@click.command
@options.take_over
@launch_timeout
@options.config
@options.for_programs
def command(take_over: bool, timeout: float, config: Path | None, for_programs: bool) -> int:
    """Start a system on the Ray that RAY_ADDRESS names, like 10.0.0.7:6379; auto is the one that
    `ray start` has started on this machine. It outlives this command; `thornback drain` ends it.

    Launching twice is harmless: what runs already is left alone. As a job: `ray job submit --
    thornback launch`. For a system on this machine alone, `thornback up` brings a Ray of its own.
    """
    how = Launching(take_over=take_over, timeout_s=timeout)
    return launch_there(Settings.load(config), how, for_programs=for_programs)
