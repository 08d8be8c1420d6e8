"""`thornback export`: the log as Parquet files."""

from pathlib import Path

import click

from jobs import export
from jobs.cli import options


@click.command
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--type", "types", multiple=True, metavar="PATTERN", help="Of which event types.")
@click.option("--source", "sources", multiple=True, metavar="PATTERN", help="Of which sources.")
@click.option("--since", metavar="T", help="That happened from then on; UTC without a zone.")
@click.option("--until", metavar="T", help="And before then.")
@click.option("--columns", is_flag=True, help="With columns of what events say.")
@click.option("--everywhere", is_flag=True, help="On all machines, which have to see that folder.")
@options.config
def command(
    folder: Path,
    types: tuple[str, ...],
    sources: tuple[str, ...],
    since: str | None,
    until: str | None,
    columns: bool,
    everywhere: bool,
    config: Path | None,
) -> int:
    """Write the log, or a slice of it, to Parquet files in FOLDER, which is new or empty.

    Each file has a stretch of positions, and they are written in parallel over Ray. A file is there
    whole or not at all; `export.json` is there when all of them are. `thornback ingest FOLDER`
    reads a whole log back into a database that has none.
    """
    try:
        wanted = export.Slice.of(types, sources, since, until)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return export.export(config, folder, wanted, columns=columns, everywhere=everywhere)
