"""`thornback erase`: a device's data, removed for good."""

from pathlib import Path

import click

from jobs import erase
from jobs.cli import options
from jobs.cli.devices import checked, ref_of
from jobs.command_line import connected_by
from jobs.terminal import UNWELL, problems


@click.command
@options.source
@click.option("--reason", required=True, metavar="TEXT", help="Why: the log keeps that.")
@click.option(
    "--key", "keys", multiple=True, metavar="KEY",
    help="Another key under which programs and projections keep it. May be repeated.",
)  # fmt: skip
@click.option(
    "--receipt", "receipt_file", type=click.Path(path_type=Path, dir_okay=False),
    help="Write the receipt to this file.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.config
@options.for_programs
def command(
    source: str,
    reason: str,
    keys: tuple[str, ...],
    receipt_file: Path | None,
    yes: bool,
    config: Path | None,
    for_programs: bool,
) -> int:
    """Remove the data of the device SOURCE (TYPE/NAME) for good.

    Its events become tombstones: positions, versions, ids, types and moments stay. Its snapshot,
    timers and dead letters go, and what programs and projections keep under its source. From then
    on it takes nothing, until system.start() lets it begin anew. Run again it does what is left to
    do. `thornback verify --receipt FILE` proves that nothing of it is left.
    """
    checked(source)  # before it is asked for, and typed again
    if not yes and not erase.confirmed(source):
        problems.print("nothing was done", markup=False)
        return UNWELL
    with connected_by(config) as system:
        return erase.erase(
            system, ref_of(system, source), reason, keys, receipt_file, for_programs=for_programs
        )
