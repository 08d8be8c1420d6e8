"""`thornback verify`: a durable subscription against the log."""

from pathlib import Path

import click

from jobs import verify
from jobs.cli import options
from runtime.settings.settings import Settings


@click.command
@click.argument("name")
@options.config
@options.for_programs
def command(name: str, config: Path | None, for_programs: bool) -> int:
    """Check that the durable subscription NAME skipped nothing, and counted nothing twice.

    Its receipt is computed again from the log. The exit code is 1 where they do not agree. The
    database has to run, and the system may run meanwhile.
    """
    return verify.verify(Settings.load(config), name, for_programs=for_programs)
