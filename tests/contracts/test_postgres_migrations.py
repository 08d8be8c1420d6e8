"""Migrations of a database that is old, large, busy, or lost on the way."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from store.errors import StoreUnavailable
from store.postgres import migrations
from store.postgres.claims import Claimant
from store.postgres.migrations import Step, migrate, migration

pytestmark = pytest.mark.integration

#: As it was released: a regular expression a row.
RELEASED_0005 = """
INSERT INTO event_types (actor_type, event_type)
SELECT DISTINCT
    CASE WHEN source ~ '^[a-z][a-z0-9]*([-.][a-z0-9]+)*/'
        THEN split_part(source, '/', 1) ELSE '' END,
    event_type
FROM events;
"""
#: Of actors, of devices without an actor, and what else anybody may have published.
SOURCES = [
    "oven/1", "oven/2", "smart-meter/a/b", "a.b-c/x", "9lives/x", "Oven/1", "oven", "", "/", "/x",
    "oven-/x", "-oven/x", "o ven/x", "öfen/x", "oven/", "oven//x", "oven\n/x",
    "\noven/x", "oven/\n",
    "a..b/x", "no slash at all", "x" * 300 + "/y", "日本/x", "a/日本", "o/x", "é",
]  # fmt: skip

ONE = Claimant(holder="one", system="one", namespace="one", place="here", traces="{}")


async def fetch(database: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def filled(database: str) -> asyncpg.Connection:
    """A log of the schema before 0005."""
    connection = await asyncpg.connect(database)
    await connection.execute(migrations._TABLE)
    for number in range(1, 5):
        await connection.execute(migration(number))
        await connection.execute("INSERT INTO schema_migrations (number) VALUES ($1)", number)
    await connection.execute(
        "INSERT INTO events (id, aggregate_id, version, position, timestamp, recorded_at, kind,"
        " event_type, source, event_data, vector_clock)"
        " SELECT gen_random_uuid(), gen_random_uuid(), 1, row_number() OVER (), now(), now(),"
        " 'device', 'type-' || n, source, '{}', '{}'"
        " FROM unnest($1::text[]) AS source, generate_series(1, 3) AS n",
        SOURCES,
    )
    return connection


async def test_the_types_of_an_older_log_are_found_as_they_were_when_0005_was_released(
    database: str,
) -> None:
    connection = await filled(database)
    await connection.execute(migration(5))
    found = await connection.fetch("SELECT * FROM event_types")
    await connection.execute("TRUNCATE event_types")
    await connection.execute(RELEASED_0005)
    assert set(found) == set(await connection.fetch("SELECT * FROM event_types"))
    assert len(found) == 3 * len({"oven", "smart-meter", "a.b-c", "a", "o", "x" * 300, ""})
    await connection.close()


async def test_each_step_is_told_as_it_begins(database: str) -> None:
    told: list[Step | None] = []
    last = await migrate(database, tell=told.append)
    assert told == [Step(number, last) for number in range(1, last + 1)]
    await migrate(database, tell=told.append)
    assert len(told) == last


class Paused:
    """A migration more than there are, which makes a table and then does not come to an end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scripts = migrations._scripts()
        self.number = max(self.scripts) + 1
        self.begun = asyncio.Event()
        added = "CREATE TABLE half (); SELECT pg_advisory_xact_lock(1);"
        monkeypatch.setattr(migrations, "_scripts", lambda: {**self.scripts, self.number: added})

    def tell(self, step: Step | None) -> None:
        if step == Step(self.number, self.number):
            self.begun.set()


async def cancelled(database: str, migrating: "asyncio.Task[int]") -> None:
    """Whoever launched has given up, or his process has."""
    migrating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await migrating


async def ended(database: str, migrating: "asyncio.Task[int]") -> None:
    """The server has ended the connection, or has ended itself."""
    await fetch(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE '%CREATE TABLE half%'"
        " AND pid <> pg_backend_pid()",
    )
    with pytest.raises(StoreUnavailable):
        await migrating


@pytest.mark.parametrize("interrupted", [cancelled, ended])
async def test_a_migration_that_is_interrupted_leaves_schema_and_claim_as_they_were(
    database: str, monkeypatch: pytest.MonkeyPatch, interrupted: Callable[..., Awaitable[None]]
) -> None:
    known = await migrate(database, claimant=ONE)
    paused = Paused(monkeypatch)
    in_its_way = await asyncpg.connect(database)
    await in_its_way.execute("SELECT pg_advisory_lock(1)")
    other = Claimant(holder="other", system="o", namespace="o", place="there", traces="{}")
    migrating = asyncio.ensure_future(
        migrate(database, claimant=other, may_take=lambda _: True, tell=paused.tell)
    )
    await paused.begun.wait()
    while not await fetch(  # it has got as far as it gets
        database, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted"
    ):
        pass
    await interrupted(database, migrating)
    # Whoever comes next waits until the server has noticed, and finds all as it was.
    monkeypatch.undo()
    assert await migrate(database, claimant=ONE) == known
    assert await fetch(database, "SELECT to_regclass('half')") == [(None,)]
    assert await fetch(database, "SELECT holder FROM claim") == [("one",)]
    assert await fetch(database, "SELECT max(number) FROM schema_migrations") == [(known,)]
    await in_its_way.close()


async def test_a_limit_on_statements_is_none_on_a_migration(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = database.rsplit("/", 1)[1].partition("?")[0]
    await fetch(database, f'ALTER DATABASE "{name}" SET statement_timeout = 1000')
    slow = {**migrations._scripts()}
    slow[max(slow) + 1] = "SELECT pg_sleep(1.1)"
    monkeypatch.setattr(migrations, "_scripts", lambda: slow)
    assert await migrate(database) == max(slow)


async def test_a_lock_that_somebody_holds_ends_a_migration_and_is_not_waited_for_for_ever(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await migrate(database)
    monkeypatch.setattr(migrations, "LOCK_S", 0.05)
    blocked = {**migrations._scripts(), known + 1: "ALTER TABLE events ADD COLUMN more int"}
    monkeypatch.setattr(migrations, "_scripts", lambda: blocked)
    dump = await asyncpg.connect(database)
    async with dump.transaction():
        await dump.execute("SELECT count(*) FROM events")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await migrate(database)
    await dump.close()
    assert await migrate(database) == known + 1


async def test_whoever_waits_for_another_launch_is_told_so(database: str) -> None:
    other, told = await asyncpg.connect(database), asyncio.Event()
    await other.execute(f"SELECT pg_advisory_lock({migrations._LOCK})")
    migrating = asyncio.ensure_future(
        migrate(database, tell=lambda step: told.set() if step is None else None)
    )
    await told.wait()
    await other.close()
    assert await migrating == max(migrations._scripts())
