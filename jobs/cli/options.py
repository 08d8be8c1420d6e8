"""The options that many commands have."""

from pathlib import Path

import click

config = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file. [default: what THORNBACK_CONFIG names, thornback.toml, or "
    "config/event_driven.toml]",
)

for_programs = click.option(
    "--json", "for_programs", is_flag=True, help="Print JSON, for programs."
)

source = click.argument("source", metavar="SOURCE")
