"""`thornback dead-letters`: events that stream programs could not process."""

from pathlib import Path

import click

from jobs import dead_letters
from jobs.cli import options
from jobs.command_line import connected_by
from runtime.settings.settings import Settings

_key = click.option("--key", metavar="KEY", help="Of this key of the program.")
_source = click.option(
    "--source", metavar="SOURCE", help="Of this source: the program failed before it had a key."
)
_program = click.argument("program", metavar="PROGRAM")


@click.group(cls=options.Verbs)
def command() -> None:
    """Show, replay or drop what stream programs have parked.

    A program that fails at an event parks its key: the event is a dead letter, and later events of
    the key queue behind it. All but `replay` needs the database alone.
    """


@command.command("list")
@click.option("--program", metavar="PROGRAM", help="Of this program alone.")
@options.config
@options.for_programs
def list_(program: str | None, config: Path | None, for_programs: bool) -> int:
    """Show what is parked, why, and how many events wait. The exit code is 1 where there is any."""
    return dead_letters.list_all(Settings.load(config), program, for_programs=for_programs)


@command.command
@_program
@_key
@_source
@options.config
@options.for_programs
def show(
    program: str, key: str | None, source: str | None, config: Path | None, for_programs: bool
) -> int:
    """Show the events that wait for a key, with their data, from the one that failed on."""
    settings = Settings.load(config)
    return dead_letters.show_one(settings, program, key, source, for_programs=for_programs)


@command.command
@_program
@_key
@_source
@options.config
@options.for_programs
def replay(
    program: str, key: str | None, source: str | None, config: Path | None, for_programs: bool
) -> int:
    """Have PROGRAM, which has to run, process what it has parked: all, or one key or source.

    Each in its order, as far as it comes. The exit code is 1 where some of it is parked still.
    """
    with connected_by(config) as system:
        return dead_letters.replay(system, program, key, source, for_programs=for_programs)


@command.command
@_program
@_key
@_source
@options.config
def drop(program: str, key: str | None, source: str | None, config: Path | None) -> int:
    """Forget what PROGRAM has parked: all, or one key or source. These events never take effect."""
    return dead_letters.drop(Settings.load(config), program, key, source)
