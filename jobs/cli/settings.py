"""`thornback settings`: each value, and where it came from."""

from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from jobs.cli import options
from jobs.terminal import as_json, console, show
from runtime.cluster.embedded_database import as_launched
from runtime.settings.settings import BUILT_IN, Settings
from runtime.settings.shown import shown


@click.command
@options.config
@click.option(
    "--running", is_flag=True,
    help="Those that the running system was launched with, as its processes have them, and "
    "what of them differs from those found here.",
)  # fmt: skip
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@options.for_programs
def command(config: Path | None, running: bool, changed: bool, for_programs: bool) -> int:
    """Show each setting with its value and where that came from.

    A value comes from an environment variable (THORNBACK_SECTION__KEY, and for short NODE_ID and
    DATABASE_URL), or else from a file, or else it is the default. The file is the one that
    --config or THORNBACK_CONFIG names, or else thornback.toml or config/event_driven.toml in
    the working directory. Passwords are not shown.
    """
    here = Settings.load(config)
    settings = _of_the_system(config) if running else here
    others = _differing(here, settings) if running else {}
    rows = [
        row for row in shown(settings)
        if not changed or row[3] != BUILT_IN or row[:2] in others
    ]  # fmt: skip
    if for_programs:
        for section, key, value, origin in rows:
            print(as_json({"key": f"{section}.{key}", "value": value, "from": origin}))
        return 0
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for section, key, value, origin in rows:
        text = escape(as_json(value))
        if (section, key) in others:
            text += f" [yellow](here: {escape(as_json(others[section, key]))})[/]"
        style = "dim" if origin == BUILT_IN else ""
        table.add_row(f"{section}.{key}", text, escape(origin), style=style)
    show(table)
    if others:
        console.print("what differs takes effect when the system is launched anew")
    return 0


def _differing(here: Settings, running: Settings) -> dict[tuple[str, str], Any]:
    """The values here of the settings that the running system was launched without, by section
    and key. What it has found out by itself is none of them."""
    launched = as_launched(running)
    return {
        row[:2]: row[2]
        for row, there in zip(shown(here), shown(launched), strict=True)
        if getattr(getattr(here, row[0]), row[1]) != getattr(getattr(launched, row[0]), row[1])
    }


def _of_the_system(config: Path | None) -> Settings:
    from jobs.command_line import connected_by  # noqa: PLC0415 - the others need no Ray

    with connected_by(config) as system:
        return system.settings
