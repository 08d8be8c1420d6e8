"""`thornback replay`: the air traffic of 2013."""

from pathlib import Path

import click

from jobs.cli import options
from jobs.command_line import connected_by
from jobs.replay import replay
from jobs.terminal import UNWELL


@click.command
@click.option(
    "--days", type=click.IntRange(1, 365), metavar="N", help="Only the first N days of 2013."
)
@click.option(
    "--patience", type=float, default=120.0, show_default=True, metavar="S",
    help="Seconds that hosts or database may be away before commands fail.",
)  # fmt: skip
@click.option(
    "--streams/--no-streams", default=False, show_default=True,
    help="Have pipelines compute over the events, and prove their results.",
)  # fmt: skip
@options.config
def command(days: int | None, patience: float, streams: bool, config: Path | None) -> int:
    """Replay the air traffic of New York in 2013 into the running system.

    Every aircraft and weather station is a device. A second replay changes nothing. The exit code
    is 1 when the log is not what was expected.
    """
    with connected_by(config) as system:
        return 0 if replay(system, days, patience, streams=streams) else UNWELL
