"""`thornback as-of`: every actor of a type, as it was."""

from pathlib import Path

import click

from jobs import as_of
from jobs.cli import options
from runtime.driver.as_of import AsOf


@click.command
@click.option("--type", "actor_type", required=True, metavar="TYPE", help="The actor type.")
@click.option("--time", metavar="T", help="Up to when, like 2013-02-08T12:00; UTC without a zone.")
@click.option("--position", type=click.IntRange(0), metavar="N", help="Or up to which position.")
@click.option(
    "--module", metavar="MODULE",
    help="Where the actor class is, like chargers.charger. [default: actor_system.actor_modules]",
)  # fmt: skip
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.parquet",
    help="Write a Parquet file instead.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(1), default=as_of.ROWS, show_default=True, metavar="N",
    help="Rows of the table.",
)  # fmt: skip
@options.config
@options.for_programs
def command(
    actor_type: str,
    time: str | None,
    position: int | None,
    module: str | None,
    to: Path | None,
    limit: int,
    config: Path | None,
    for_programs: bool,
) -> int:
    """Show every actor of a type in the state that it had at some time.

    Its events that happened up to then are folded again, whenever they were recorded, in parallel
    over Ray; with --position those that stand in the log up to there, which is what was known then.
    The exit code is 1 where some could not be folded.
    """
    try:
        when = None if time is None else as_of.moment_of_text(time)
        moment = AsOf.of(when, position)
    except ValueError as error:
        said = str(error).replace("when=", "--time").replace("position=", "--position")
        raise click.UsageError(said) from error
    return as_of.as_of(
        config, actor_type, moment, module=module, to=to, limit=limit, for_programs=for_programs
    )
