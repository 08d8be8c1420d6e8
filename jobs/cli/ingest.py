"""`thornback ingest`: device data in the shape of CloudEvents."""

from pathlib import Path

import click

from jobs.cli import options
from jobs.ingest import ingest


@click.command
@click.argument("file", metavar="FILE|FOLDER|-")
@click.option(
    "--rejects", type=click.Path(path_type=Path, dir_okay=False), metavar="PATH",
    help="File for the lines that are no good: replaced, or with standard input added to. "
    "[default: FILE.rejects or stdin.rejects]",
)  # fmt: skip
@click.option(
    "--patience", type=float, default=120.0, show_default=True, metavar="S",
    help="Seconds that hosts or database may be away before the run ends.",
)  # fmt: skip
@options.config
def command(file: str, rejects: Path | None, patience: float, config: Path | None) -> int:
    """Ingest CloudEvents, a JSON line each, from FILE or standard input (-) into device twins.

    Each source is a device (device-twin/<source>), each event a durable event of it, known by its
    source and id: ingesting the same again changes nothing. The exit code is 1 when there were
    rejects, 2 when the run could not go on.

    A folder that `thornback export` has written, or one of its files (.parquet), becomes the log of
    the database of the settings again. It has to have none, and no system; afterwards one may be
    launched.
    """
    return ingest(config, file, rejects, patience)
