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

take_over = click.option(
    "--take-over",
    is_flag=True,
    help="Take the database from the system that has it, which then ends.",
)

drain_timeout = click.option(
    "--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="S",
    help="Seconds each process may take to finish what it has accepted.",
)  # fmt: skip
