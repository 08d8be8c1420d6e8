"""Many subscriptions that catch up share their driver's few connections of the database."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from runtime.partition.feed import Feed
from runtime.partition.log_access import LogAccess
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.wire.polls import Polled, pack_polled
from store.postgres.event_store import PostgresEventStore
from store.postgres.migrations import migrate
from store.selection import EVERYTHING
from tests.contracts.appending import Log, made_event
from tests.unit.feeding import ReadFeed, fed

pytestmark = pytest.mark.integration

MANY, EVENTS = 190, 30


class Behind(World):
    """A world whose bus has nothing buffered, over a real PostgreSQL."""

    async def caller(self, name: str) -> Any:
        return _Empty()


class _Empty:
    async def call(self, method: str, request: bytes) -> bytes:
        return pack_polled(Polled(EVENTS, False, b"")) if method == "poll" else b""

    def look_again(self) -> None:
        """It is where it was."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresEventStore]:
    await migrate(database)
    opened = await PostgresEventStore.connect(database, pool_size=1)
    log = await Log.open(opened)
    await log.append(*(made_event("device/one", n + 1) for n in range(EVENTS)))
    yield opened
    await opened.close()


async def test_many_subscriptions_that_catch_up_take_no_more_than_a_pool_s_connections(
    store: PostgresEventStore, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load(
        None,
        environ={},
        event_store={"connection_string": database, "connection_pool_size": 3},
    )
    monkeypatch.setattr(Feed, "FIRST_PAGE", 1)
    monkeypatch.setattr(Feed, "PAGE", 1)
    access = LogAccess(Behind("test"), settings)
    feeds = [ReadFeed(access, EVERYTHING, 0) for _ in range(MANY)]
    watching = asyncio.ensure_future(_most_connections(database))
    try:
        for read in await asyncio.gather(*(fed(feed, EVENTS) for feed in feeds)):
            assert read == list(range(1, EVENTS + 1))
    finally:
        watching.cancel()
        most = await watching
        await access.close()
    assert 1 <= most <= 3 + 1  # the pool's, and the one that appended


async def _most_connections(url: str) -> int:
    """The most connections to the database that were seen, beside the one that looks."""
    most = 0
    connection = await asyncpg.connect(url)
    try:
        while True:
            most = max(most, await connection.fetchval(_CONNECTIONS))
            await asyncio.sleep(0)
    except asyncio.CancelledError:
        return most
    finally:
        await connection.close()


#: Those of clients: the server vacuums the same database with workers of its own.
_CONNECTIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
"""
