"""Numbered SQL files, applied once each, in order, under a lock, by whoever launches a system.

All others find the schema as it is, and say so when it is not theirs.
"""

from importlib.resources import files
from typing import Any

import asyncpg

from store.errors import SchemaMismatch, StoreUnavailable
from store.postgres.claims import Claimant, MayTake, hold, take
from store.postgres.connections import probe, reason_of
from store.postgres.moving_address import UNREACHABLE, address_of

#: Any number will do that no other program takes as its advisory lock.
_LOCK = 0x7_4862_4B43

_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        number     integer     PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""
_DONE = "SELECT coalesce(max(number), 0) FROM schema_migrations"


async def migrate(
    url: str,
    *,
    timeout_s: float = 10.0,
    claimant: Claimant | None = None,
    may_take: MayTake = lambda _: False,
) -> int:
    """Bring a database to this release's schema; return its number. For a `claimant`: and claim
    it, before anything of it is changed.

    Everything or nothing, and one process at a time; it takes the time that it takes. Raises
    StoreUnavailable, SchemaMismatch when the database has been migrated further than this
    release knows, and DatabaseClaimed when somebody else has it and it may not be taken.
    """
    try:
        connection: Any = await asyncpg.connect(url, timeout=timeout_s)
        try:
            probe(connection, timeout_s)
            async with connection.transaction():
                return await _migrate(connection, claimant, may_take)
        finally:
            connection.terminate()
    except (*UNREACHABLE, asyncpg.PostgresError, ValueError) as error:
        raise StoreUnavailable(address_of(url), reason_of(error)) from error


async def check_schema(connection: Any) -> None:
    """Raises SchemaMismatch unless the database has this release's schema."""
    known = max(_scripts())
    try:
        done = await connection.fetchval(_DONE)
    except asyncpg.UndefinedTableError:
        done = 0
    if done != known:
        raise SchemaMismatch(done, known)


async def _migrate(connection: Any, claimant: Claimant | None, may_take: MayTake) -> int:
    scripts = _scripts()
    await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
    await connection.execute("SET LOCAL client_min_messages = warning")
    await connection.execute(_TABLE)
    done = await connection.fetchval(_DONE)
    if done > max(scripts):
        raise SchemaMismatch(done, max(scripts))
    if claimant is not None:
        await take(connection, claimant, may_take, done)
    for number in sorted(number for number in scripts if number > done):
        await connection.execute(scripts[number])
        await connection.execute("INSERT INTO schema_migrations (number) VALUES ($1)", number)
    if claimant is not None:
        await hold(connection, claimant)
    return max(scripts)


def migration(number: int) -> str:
    """The SQL of one migration. It never changes once it is released."""
    return _scripts()[number]


def _scripts() -> dict[int, str]:
    folder = files("store.postgres") / "sql"
    return {
        int(script.name.partition("_")[0]): script.read_text()
        for script in folder.iterdir()
        if script.name[:4].isdigit() and script.name.endswith(".sql")
    }
