"""`thornback`: its commands, what each is for, and where it is.

A command is a module of this package with a `command` in it, and loaded when it is used: help and
completion bring in neither Ray nor a database.
"""

import sys
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click
from click.exceptions import Exit
from click.shell_completion import CompletionItem

from jobs.terminal import INTERRUPTED, problems, run

#: By heading: each command's name and what it is for, as the help shows them.
COMMANDS = {
    "Start and end": {
        "init": "A project of your own, ready to run.",
        "up": "Start a system in this folder; it runs on.",
        "down": "End what `up` has started, and nothing else.",
    },
    "On a Ray of your own, or a cluster": {
        "launch": "Start a system on the Ray that RAY_ADDRESS names.",
        "drain": "End the system; its Ray stays.",
    },
    "Change a running system": {
        "scale": "More pooled hosts, or fewer, under traffic.",
        "promote": "A process of its own for a hot device, under traffic.",
        "demote": "And back to the others.",
        "start": "A stopped device takes commands again.",
        "erase": "A device's data, removed for good.",
    },
    "Look at a running system": {
        "status": "Every process, its memory, and how far it has come.",
        "tail": "Events as they are committed.",
        "history": "All events of one device.",
        "state": "The present state of one device.",
        "as-of": "Every device of a type, as it was.",
        "explain": "What has caused an event, and what it has caused.",
        "programs": "Stream programs, and where one stands.",
        "projections": "Tables of what is so now, and how far each is.",
        "dead-letters": "Events that a stream program could not process.",
        "subscriptions": "The durable ones, and how far each has come.",
        "verify": "That a subscription skipped nothing, or an erasure left nothing.",
        "sql": "Ask the log in SQL, or open psql on it.",
    },
    "Let clients in": {
        "tokens": "Who may speak to the gateway, and do what.",
    },
    "Bring data in, and out": {
        "ingest": "CloudEvents into device twins, or an exported log back.",
        "export": "The log, or a slice of it, as Parquet files.",
        "replay": "The air traffic of New York in 2013, as an example.",
    },
    "Find out what is wrong": {
        "logs": "What the processes say, and what handlers print.",
        "doctor": "What is wrong here, and what to do.",
        "check": "This code against a log, before it is deployed.",
        "completion": "How a shell completes these commands.",
        "settings": "Each setting, and where its value comes from.",
    },
}

_SUMMARIES = {name: text for commands in COMMANDS.values() for name, text in commands.items()}


class _Commands(click.Group):
    """The commands of the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUMMARIES:
            return None
        try:
            found: click.Command = import_module(f"jobs.cli.{_module(cmd_name)}").command
        except KeyboardInterrupt:  # it takes seconds, with Ray
            problems.print("interrupted before it began: nothing was done")
            raise Exit(INTERRUPTED) from None
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        told = not ctx.resilient_parsing  # else a shell asks, and nobody reads
        if told and args[0] not in _SUMMARIES and not args[0].startswith("-"):
            close = get_close_matches(args[0], _SUMMARIES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "--help lists them"
            ctx.fail(f"there is no command {args[0]!r}: {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, commands in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [
            CompletionItem(name, help=text)
            for name, text in _SUMMARIES.items()
            if name.startswith(incomplete)
        ]


def _module(command: str) -> str:
    return command.replace("-", "_")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="thornback", message="thornback %(version)s")
def thornback() -> None:
    """Thornback runs a fleet of devices as event-sourced actors.

    A command finds the settings, and the system that `thornback up` started, by the folder in
    which it is run. `thornback COMMAND --help` says more of each.
    """


def main() -> None:
    """The console script."""
    arguments = sys.argv[1:]
    run(lambda: _code_of(arguments), for_programs="--json" in arguments)


def _code_of(arguments: list[str]) -> int:
    try:
        code: Any = thornback.main(arguments, prog_name="thornback", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0
