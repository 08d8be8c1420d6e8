"""The options that many commands have."""

from pathlib import Path

import click


class Verbs(click.Group):
    """A command that does several things: whoever leaves out which is told what there is."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        told = not ctx.resilient_parsing  # else a shell asks, and nobody reads
        if told and args[0] not in self.commands and not args[0].startswith("-"):
            *most, last = self.list_commands(ctx)
            ctx.fail(f"it is one of {', '.join(most)} and {last}, and {args[0]!r} is none of them")
        return super().resolve_command(ctx, args)


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
