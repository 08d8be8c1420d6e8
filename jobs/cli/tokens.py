"""`thornback tokens`: who may speak to the gateway."""

from pathlib import Path

import click

from jobs import tokens
from jobs.cli import options
from runtime.settings.settings import Settings


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


@click.group(cls=options.Verbs)
def command() -> None:
    """Who may speak to the gateway: tokens are made, listed and revoked here.

    As long as there never was one, the gateway listens on this machine alone and asks nobody. From
    the first one on it asks everybody. The database has to run, and the system need not.
    """


@command.command
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, metavar="S",
    help=_sentence(tokens.SCOPE_HELP),
)  # fmt: skip
@click.option("--prefix", default="", metavar="P", help=_sentence(tokens.PREFIX_HELP))
@click.option("--lasts", metavar="TIME", help=_sentence(tokens.LASTS_HELP))
@options.config
@options.for_programs
def create(
    name: str,
    scopes: tuple[str, ...],
    prefix: str,
    lasts: str | None,
    config: Path | None,
    for_programs: bool,
) -> int:
    """Make a token for NAME and print it, this once: it is kept nowhere."""
    wanted = tokens.Wanted(name=name, scopes=scopes, prefix=prefix, lasts=lasts)
    return tokens.create(Settings.load(config), wanted, for_programs=for_programs)


@command.command("list")
@options.config
@options.for_programs
def list_all(config: Path | None, for_programs: bool) -> int:
    """Show every token that there ever was: what it allows, and when it was used last."""
    return tokens.list_all(Settings.load(config), for_programs=for_programs)


@command.command
@click.argument("token")
@options.config
@options.for_programs
def revoke(token: str, config: Path | None, for_programs: bool) -> int:
    """Have TOKEN, an id or a name, be refused from now on; it takes a few seconds at most.

    The exit code is 1 where there is no such token.
    """
    return tokens.revoke(Settings.load(config), token, for_programs=for_programs)
