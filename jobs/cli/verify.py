"""`thornback verify`: a durable subscription against the log, or the receipt of an erasure."""

from pathlib import Path

import click

from jobs import verify
from jobs.cli import options
from jobs.verify_erased import verify_receipt
from runtime.settings.settings import Settings


@click.command
@click.argument("name", required=False)
@click.option(
    "--receipt", type=click.Path(path_type=Path, dir_okay=False),
    help="In the place of NAME: check this receipt of `thornback erase`.",
)  # fmt: skip
@options.config
@options.for_programs
def command(name: str | None, receipt: Path | None, config: Path | None, for_programs: bool) -> int:
    """Check that the durable subscription NAME skipped nothing, and counted nothing twice; or that
    nothing is left of a device that was erased.

    Of a subscription the receipt is computed again from the log; of an erasure every table is
    searched. The exit code is 1 where they do not agree. The database has to run, and the system
    may run meanwhile.
    """
    settings = Settings.load(config)
    if receipt is not None and name is None:
        return verify_receipt(settings, receipt, for_programs=for_programs)
    if name is None or receipt is not None:
        raise click.UsageError("either NAME, or --receipt FILE")
    return verify.verify(settings, name, for_programs=for_programs)
