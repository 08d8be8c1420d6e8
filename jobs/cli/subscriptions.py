"""`thornback subscriptions`: the durable ones."""

from pathlib import Path

import click

from jobs import subscriptions
from jobs.cli import options
from runtime.settings.settings import Settings


@click.command
@click.option("--drop", metavar="NAME", help="Forget this one, with its checkpoint.")
@options.config
@options.for_programs
def command(drop: str | None, config: Path | None, for_programs: bool) -> int:
    """Show the durable subscriptions: what each selects, and how far it has come.

    The database has to run, and the system need not. `thornback verify NAME` holds one against
    the log.
    """
    settings = Settings.load(config)
    if drop is not None:
        return subscriptions.drop(settings, drop)
    return subscriptions.list_all(settings, for_programs=for_programs)
