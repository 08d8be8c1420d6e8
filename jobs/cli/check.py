"""`thornback check`: this code against a log, before it is deployed."""

from pathlib import Path

import click

from jobs import check
from jobs.cli import options
from runtime.settings.settings import Settings


@click.command
@click.argument("actor_types", nargs=-1, metavar="[TYPE]...")
@click.option("--against", metavar="URL", help="Of the database. [default: that of the settings]")
@click.option(
    "--module", "modules", multiple=True, metavar="MODULE",
    help="Where actor classes are, like chargers.charger; as often as there are such modules. "
    "[default: actor_system.actor_modules]",
)  # fmt: skip
@click.option(
    "--sample", type=click.IntRange(0), default=check.SAMPLE, show_default=True, metavar="N",
    help="Actors of each type that are folded; 0: all.",
)  # fmt: skip
@options.config
@options.for_programs
def command(
    actor_types: tuple[str, ...],
    against: str | None,
    modules: tuple[str, ...],
    sample: int,
    config: Path | None,
    for_programs: bool,
) -> int:
    """Fold a sample of the stored history through the code that is here, before it is deployed.

    Each TYPE of actors, or all that the log has. What the classes here cannot read or apply is
    said, each event type and schema with an example; the exit code is 1 then. Nothing of the
    database is changed, and the system may run meanwhile.
    """
    return check.check(
        Settings.load(config), against=against, actor_types=actor_types, modules=modules,
        sample=sample, for_programs=for_programs,
    )  # fmt: skip
