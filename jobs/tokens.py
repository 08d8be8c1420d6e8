"""Tokens of clients: make one, list them, revoke one. Needs the database, and no Ray.

The text of a token is printed once, when it is made, and is nowhere afterwards. A gateway takes a
new one at once, and a revoked one a few seconds longer at most.
"""

import argparse
import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from rich.markup import escape
from rich.table import Table

from gateways.tokens import InvalidToken, checked_prefix, checked_scopes, new_token, presented
from jobs.databases import address_of, check_partition
from jobs.terminal import UNWELL, as_json, problems, run, show
from runtime.errors import NotPossible
from runtime.settings.settings import Settings
from store.errors import SchemaMismatch, StoreUnavailable
from store.postgres.connections import Connections
from store.postgres.migrations import check_schema
from store.postgres.moving_address import MovingAddress
from store.postgres.tokens import PostgresTokens
from store.tokens import NewToken, Token, TokenTable

T = TypeVar("T")

#: Between two looks whether there is a token: nobody who makes one says so.
_AGAIN_S = 2.0
_UNITS_S = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_S = 100 * 365 * 86400.0
SCOPE_HELP = (
    "what it allows: read, command, command:TYPE, publish, observe or admin; may be given again"
)
PREFIX_HELP = "it is for sources that begin so, like thermostat/site-7-, and for no others"
LASTS_HELP = "how long it may be used, like 90d, 12h or 30m; without it for ever"


class NoSchema(NotPossible):
    """The database has no place for tokens yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A token as it is asked for."""

    name: str
    scopes: Sequence[str]
    prefix: str = ""
    lasts: str | None = None


def create(settings: Settings, wanted: Wanted, *, for_programs: bool = False) -> int:
    """Make a token and print it; the exit code. Raises InvalidToken, TokenNameTaken, NoDatabase,
    NoSchema and StoreUnavailable."""
    text = new_token(os.urandom)
    shown = presented(text)
    assert shown is not None
    token = NewToken(
        id=shown.id,
        name=_checked_name(wanted.name),
        hash=shown.hash,
        scopes=checked_scopes(wanted.scopes),
        prefix=checked_prefix(wanted.prefix),
        lasts_s=None if wanted.lasts is None else seconds_of(wanted.lasts),
    )
    made = asyncio.run(_asked(settings, lambda table: table.add(token)))
    if for_programs:
        print(as_json({**asdict(made), "token": text}))
        return 0
    print(text)
    problems.print(
        f"token {made.id} ({made.name!r}) may {', '.join(made.scopes)}{_narrowed(made)}. It is "
        "shown this once. From now on every gateway of this database asks for a token.",
        markup=False,
    )
    return 0


def list_all(settings: Settings, *, for_programs: bool = False) -> int:
    """Show every token that there ever was, without its text; the exit code."""
    tokens = asyncio.run(_asked(settings, lambda table: table.all()))
    if for_programs:
        for token in tokens:
            print(as_json(asdict(token)))
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("id", "name", "scopes", "sources", "created", "used", "state"):
        table.add_column(column, overflow="fold")
    for token in tokens:
        table.add_row(
            token.id, escape(token.name), escape(", ".join(token.scopes)),
            escape(f"{token.prefix}*"), _moment(token.created_at), _moment(token.used_at),
            _state(token),
        )  # fmt: skip
    show(table)
    return 0


def revoke(settings: Settings, id_or_name: str, *, for_programs: bool = False) -> int:
    """Revoke a token; the exit code, which says whether there is such a one."""
    found = asyncio.run(_asked(settings, lambda table: table.revoke(id_or_name)))
    if found is None:
        problems.print("there is no such token that is not revoked: `tokens list` has their names")
        return UNWELL
    if for_programs:
        print(as_json(asdict(found)))
    else:
        problems.print(f"token {found.id} ({found.name!r}) is revoked", markup=False)
    return 0


def wait_for_one(settings: Settings) -> None:
    """Wait until there is a token that may be used; until then the gateway would not start where
    other machines reach it. Raises NoDatabase, where none is named."""
    said = ""
    while (problem := asyncio.run(_lacking(settings))) is not None:
        if problem != said:
            problems.print(
                f"waiting for the first token: {problem}. To make it, where the database is "
                "reached: python -m jobs.tokens create NAME --scope admin",
                markup=False,
            )
        said = problem
        time.sleep(_AGAIN_S)


async def _lacking(settings: Settings) -> str | None:
    try:
        live = await _asked(settings, lambda table: table.any_live())
    except (NoSchema, StoreUnavailable) as error:
        return str(error)
    return None if live else "there is none that may be used"


def seconds_of(text: str) -> float:
    """How long 90d, 12h or 30m is. Raises InvalidToken."""
    found = re.fullmatch(r"(\d{1,9})([mhd])", text)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if not 0 < seconds <= _LONGEST_S:
        raise InvalidToken(f"{text!r} is no time that a token could last: say 90d, 12h or 30m")
    return seconds


def _checked_name(name: str) -> str:
    if re.fullmatch(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,100}", name) is None:
        raise InvalidToken("the name of a token has 1 to 100 letters, and no space")
    if presented(name) is not None:
        raise InvalidToken("a token is no name for a token: everybody may see that")
    return name


async def _asked(settings: Settings, question: Callable[[TokenTable], Awaitable[T]]) -> T:
    timeout_s = settings.actor_system.actor_timeout_ms / 1000
    where = MovingAddress(address_of(settings))
    connections = await Connections.open(where, pool_size=1, timeout_s=timeout_s)
    try:
        async with connections.use() as connection:
            try:
                await check_schema(connection)
            except SchemaMismatch as error:
                raise NoSchema(
                    f"{error}; where nothing may be launched yet: python -m jobs.migrate"
                ) from error
            await check_partition(connection, settings)
        return await question(PostgresTokens(connections))
    finally:
        connections.close()


def _narrowed(token: Token) -> str:
    until = "" if token.expires_at is None else f", until {_moment(token.expires_at)}"
    return (f", for {token.prefix}* alone" if token.prefix else "") + until


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return f"[red]revoked[/] {_moment(token.revoked_at)}"
    if not token.live:
        return f"[yellow]expired[/] {_moment(token.expires_at)}"
    return "live" + (f" until {_moment(token.expires_at)}" if token.expires_at else "")


def _moment(when: datetime | None) -> str:
    return "-" if when is None else when.strftime("%Y-%m-%d %H:%M")


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    what = options.add_subparsers(required=True, metavar="create | list | revoke")
    creating = what.add_parser("create", help="make a token, and print it once")
    creating.add_argument("name", help="whose it is")
    creating.add_argument("--scope", action="append", default=[], metavar="S", help=SCOPE_HELP)
    creating.add_argument("--prefix", default="", metavar="P", help=PREFIX_HELP)
    creating.add_argument("--lasts", metavar="TIME", help=LASTS_HELP)
    creating.set_defaults(work=lambda given, settings: create(
        settings,
        Wanted(name=given.name, scopes=given.scope, prefix=given.prefix, lasts=given.lasts),
        for_programs=given.json,
    ))  # fmt: skip
    listing = what.add_parser("list", help="show all, without what one would need to use them")
    listing.set_defaults(work=lambda given, settings: list_all(settings, for_programs=given.json))
    revoking = what.add_parser("revoke", help="have one be refused")
    revoking.add_argument("token", help="its id, or its name")
    revoking.set_defaults(
        work=lambda given, settings: revoke(settings, given.token, for_programs=given.json)
    )
    for each in (creating, listing, revoking):
        each.add_argument("--config", type=Path, help="settings file")
        each.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments: Any = options.parse_args()
    code: int = arguments.work(arguments, Settings.load(arguments.config))
    return code


if __name__ == "__main__":
    run(main)
