"""Numbered SQL files, applied once each, in order, under a lock, by whoever launches a system.

All others find the schema as it is, and say so when it is not theirs.
"""

from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple

import asyncpg

from store.errors import SchemaMismatch, StoreUnavailable
from store.postgres.claims import Claimant, MayTake, hold, take
from store.postgres.connections import (
    OPERATION_S,
    probe,
    reason_of,
    session_settings,
    transaction,
)
from store.postgres.moving_address import UNREACHABLE, address_of
from store.postgres.queries import QUERIES

#: Any number will do that no other program takes as its advisory lock.
_LOCK = 0x7_4862_4B43

_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        number     integer     PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""
_DONE = "SELECT coalesce(max(number), 0) FROM schema_migrations"

#: A migration takes the time that it takes, but so much at the most until it has a lock that
#: somebody else holds: a dump of the log, say, which all who come later would wait behind.
LOCK_S = 30.0


class Step(NamedTuple):
    """How far it has come: this migration is under way, and up to that one there are."""

    number: int
    last: int


#: Hears of each step as it begins; None where another process is at it, and is waited for.
Telling = Callable[[Step | None], None]


def _silently(_: Step | None) -> None:
    pass


async def migrate(
    url: str,
    *,
    timeout_s: float = 10.0,
    claimant: Claimant | None = None,
    may_take: MayTake = lambda _: False,
    tell: Telling = _silently,
) -> int:
    """Bring a database to this release's schema; return its number. For a `claimant`: and claim
    it, before anything of it is changed.

    Everything or nothing: it is one transaction, so whoever is interrupted leaves schema, data and
    claim as they were. One process at a time; it takes the time that it takes, whatever the
    server's or the role's own limit on statements, and `tell` hears of each step. Raises
    StoreUnavailable, also where a lock that a migration needs is not to be had within LOCK_S,
    SchemaMismatch when the database has been migrated further than this release knows,
    DatabaseClaimed when somebody else has it and it may not be taken, and AnotherPartition.
    """
    try:
        connection: Any = await asyncpg.connect(url, timeout=timeout_s)
        try:
            probe(connection, timeout_s)
            async with transaction(connection):
                limits = _limits(timeout_s)
                await connection.fetch(QUERIES["begin_migration"], [*limits], [*limits.values()])
                return await _migrate(connection, claimant, may_take, tell)
        finally:
            connection.terminate()
    except (*UNREACHABLE, asyncpg.PostgresError, ValueError) as error:
        raise StoreUnavailable(address_of(url), reason_of(error)) from error


def _limits(timeout_s: float) -> dict[str, str]:
    """What the server has to know of the transaction: it ends with its client, and not before."""
    return {
        **session_settings(timeout_s, OPERATION_S),
        "statement_timeout": "0",
        "transaction_timeout": "0",  # PostgreSQL 17
        "lock_timeout": "0",
        "client_min_messages": "warning",
    }


async def check_schema(connection: Any, *, older: bool = False) -> None:
    """Raises SchemaMismatch unless the database has this release's schema; or `older`: that of an
    earlier one, which has a log."""
    known = max(_scripts())
    try:
        done = await connection.fetchval(_DONE)
    except asyncpg.UndefinedTableError:
        done = 0
    if done != known and not (older and 0 < done < known):
        raise SchemaMismatch(done, known)


async def _migrate(
    connection: Any, claimant: Claimant | None, may_take: MayTake, tell: Telling
) -> int:
    scripts = _scripts()
    last = max(scripts)
    if not await connection.fetchval(f"SELECT pg_try_advisory_xact_lock({_LOCK})"):
        tell(None)
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
    await connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_S * 1000)}")
    await connection.execute(_TABLE)
    done = await connection.fetchval(_DONE)
    if done > last:
        raise SchemaMismatch(done, last)
    if claimant is not None:
        await take(connection, claimant, may_take, done)
    for number in sorted(number for number in scripts if number > done):
        tell(Step(number, last))
        await connection.execute(scripts[number])
        await connection.execute("INSERT INTO schema_migrations (number) VALUES ($1)", number)
    if claimant is not None:
        await hold(connection, claimant)
    return last


def migration(number: int) -> str:
    """The SQL of one migration. What it does never changes once it is released."""
    return _scripts()[number]


def _scripts() -> dict[int, str]:
    folder = files("store.postgres") / "sql"
    return {
        int(script.name.partition("_")[0]): script.read_text()
        for script in folder.iterdir()
        if script.name[:4].isdigit() and script.name.endswith(".sql")
    }
