"""`thornback sql`: the log in SQL."""

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

import asyncpg
import click
from rich.markup import escape
from rich.table import Table

from actors.errors import ThornbackError
from jobs.cli import options
from jobs.databases import NoDatabase, address_of, check_partition
from jobs.terminal import as_json, console, problems, show
from runtime.settings.settings import Settings, redacted_url
from store.embedded.binaries import chosen_binaries


class QueryFailed(ThornbackError):
    """The database does not answer a query."""

    def __init__(self, problem: str, hint: str | None) -> None:
        super().__init__(problem, hint)
        self.problem, self.hint = problem, hint

    def __str__(self) -> str:
        return f"{self.problem} ({self.hint})" if self.hint else self.problem


@click.command
@click.argument("query", required=False)
@click.option(
    "--file",
    type=click.File("r"),
    metavar="FILE",
    help="A file with the query; - is standard input.",
)
@click.option(
    "--limit", type=click.IntRange(1), default=1000, show_default=True, metavar="N",
    help="Rows to show at most.",
)  # fmt: skip
@click.option(
    "--url", is_flag=True,
    help="Print the database's address, with its password, for another program.",
)  # fmt: skip
@options.config
@options.for_programs
def command(
    query: str | None,
    file: Any,
    limit: int,
    url: bool,
    config: Path | None,
    for_programs: bool,
) -> int:
    """Ask the log in SQL; without a query, open psql on it.

    The database is the one of the settings: PostgreSQL of your own, or the embedded one while it
    runs. The views `log_events` and `actor_snapshots` are there to be asked, and keep their names
    and columns; docs/howto/query-the-log.md has examples. Nothing can be changed here: the log
    is read only.
    """
    if query is not None and file is not None:
        raise click.UsageError("QUERY and --file are both a query: give one")
    settings = Settings.load(config)
    address = address_of(settings)
    if url:
        print(address)
        return 0
    if file is not None:
        query = file.read()
    if query is None:
        asyncio.run(_check(address, settings))
        _open_psql(address)
    asyncio.run(_ask(address, settings, query, limit, for_programs))
    return 0


async def _check(address: str, settings: Settings) -> None:
    connection = await _connected(address)
    try:
        await check_partition(connection, settings)
    finally:
        connection.terminate()


async def _connected(address: str) -> Any:
    try:
        return await asyncpg.connect(
            address, timeout=10, server_settings={"default_transaction_read_only": "on"}
        )
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        problem = f"{redacted_url(address)} does not answer: {type(error).__name__}: {error}"
        raise NoDatabase(problem) from error


async def _ask(
    address: str, settings: Settings, query: str, limit: int, for_programs: bool
) -> None:
    connection = await _connected(address)
    try:
        await check_partition(connection, settings)
        for kind in ("json", "jsonb"):
            await connection.set_type_codec(
                kind, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
            )
        async with connection.transaction():
            prepared = await connection.prepare(query.strip().rstrip(";"))
            rows = await (await prepared.cursor()).fetch(limit + 1)
        columns = [each.name for each in prepared.get_attributes()]
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        said = str(error).partition("\n")[0]
        raise QueryFailed(said, getattr(error, "hint", None) or _hint(error)) from error
    finally:
        connection.terminate()
    if for_programs:
        for row in rows[:limit]:
            print(as_json(dict(zip(columns, row.values(), strict=True))))
    else:
        _show(columns, [tuple(row.values()) for row in rows[:limit]])
    if len(rows) > limit:
        problems.print(f"there are more rows: --limit shows more than {limit:,}")


def _hint(error: Exception) -> str | None:
    if isinstance(error, asyncpg.UndefinedTableError):
        return "the views are log_events and actor_snapshots"
    if "multiple commands" in str(error):
        return "one query at a time; psql, which `thornback sql` opens, takes more"
    return None


def _show(columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    table = Table(*map(escape, columns), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(_text(value)) for value in row))
    show(table)
    console.print(f"({len(rows):,} row{'s' if len(rows) != 1 else ''})", style="dim")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return as_json(value) if isinstance(value, Mapping | list) else str(value)


def _open_psql(address: str) -> NoReturn:
    """Become psql. The password goes by the environment: arguments can be read by others."""
    program = shutil.which("psql") or str(chosen_binaries(Path("/nowhere"), where=Path()) / "psql")
    parts = urlsplit(address)
    plain = parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@")).geturl()
    os.putenv("PGPASSWORD", unquote(parts.password or ""))
    os.putenv("PGOPTIONS", "-c default_transaction_read_only=on")
    os.execv(program, [program, plain])
