"""A migration apart from a launch: `python -m jobs.migrate`."""

from typing import Any

import asyncpg
import pytest

from jobs.migrate import migrate_alone
from runtime.settings.settings import ConfigurationError, Settings
from store.errors import DatabaseClaimed
from store.postgres import migrations
from store.postgres.claims import Claimant
from store.postgres.migrations import migrate
from store.postgres.queries import QUERIES

pytestmark = pytest.mark.integration

SYSTEM = Claimant(holder="one", system="one", namespace="one", place="here", traces="{}")
HELD = "SELECT given_up_at IS NULL FROM claim"


async def asked(database: str, query: str, *arguments: object) -> Any:
    connection = await asyncpg.connect(database)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


def settings_for(url: str, **store: str) -> Settings:
    return Settings.load(environ={}, event_store={"connection_string": url, **store})


@pytest.fixture
def newer_release(monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of a migration that this release does not have."""
    scripts = migrations._scripts()
    number = max(scripts) + 1
    added = {**scripts, number: "CREATE TABLE added ()"}
    monkeypatch.setattr(migrations, "_scripts", lambda: added)
    return number


async def test_an_empty_database_gets_the_schema_and_is_free_afterwards(database: str) -> None:
    assert await migrate_alone(settings_for(database))
    assert not await asked(database, HELD)
    assert not await migrate_alone(settings_for(database))


async def test_nothing_is_touched_where_the_schema_is_up_to_date_and_a_system_has_the_database(
    database: str,
) -> None:
    await migrate(database, claimant=SYSTEM)
    assert not await migrate_alone(settings_for(database))
    assert await asked(database, "SELECT holder FROM claim") == "one"
    assert await asked(database, HELD)


async def test_a_system_that_has_the_database_keeps_its_schema(
    database: str, request: pytest.FixtureRequest
) -> None:
    known = await migrate(database, claimant=SYSTEM)
    request.getfixturevalue("newer_release")
    with pytest.raises(DatabaseClaimed, match="system 'one'"):
        await migrate_alone(settings_for(database))
    assert await asked(database, "SELECT max(number) FROM schema_migrations") == known


async def test_the_database_of_a_drained_system_is_migrated(
    database: str, request: pytest.FixtureRequest
) -> None:
    await migrate(database, claimant=SYSTEM)
    await asked(database, QUERIES["give_up_claim"], SYSTEM.holder)
    number = request.getfixturevalue("newer_release")
    assert await migrate_alone(settings_for(database))
    assert await asked(database, "SELECT max(number) FROM schema_migrations") == number
    assert not await asked(database, HELD)


@pytest.mark.parametrize(("url", "store"), [("", "postgres"), ("postgres://h/d", "memory")])
async def test_what_is_no_database_yet_is_said(url: str, store: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL"):
        await migrate_alone(settings_for(url, type=store))
