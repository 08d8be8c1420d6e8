"""Numbered SQL files, applied once each, in order, under a lock."""

from importlib.resources import files
from typing import Any

from store.errors import SchemaMismatch

#: Any number will do that no other program takes as its advisory lock.
_LOCK = 0x7_4862_4B43

_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        number     integer     PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


async def migrate(connection: Any) -> int:
    """Bring the database to this release's schema; return its number.

    Everything or nothing, and one process at a time. Raises SchemaMismatch when the
    database has been migrated further than this release knows.
    """
    scripts = _scripts()
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await connection.execute("SET LOCAL client_min_messages = warning")
        await connection.execute(_TABLE)
        done = await connection.fetchval("SELECT coalesce(max(number), 0) FROM schema_migrations")
        if done > max(scripts):
            raise SchemaMismatch(done, max(scripts))
        for number in sorted(number for number in scripts if number > done):
            await connection.execute(scripts[number])
            await connection.execute("INSERT INTO schema_migrations (number) VALUES ($1)", number)
    return max(scripts)


def migration(number: int) -> str:
    """The SQL of one migration. It never changes once it is released."""
    return _scripts()[number]


def _scripts() -> dict[int, str]:
    folder = files("store.postgres") / "sql"
    return {
        int(script.name.partition("_")[0]): script.read_text()
        for script in folder.iterdir()
        if script.name.endswith(".sql")
    }
