"""The contract of tokens, on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from store.postgres.event_store import PostgresEventStore
from store.postgres.migrations import migrate
from store.postgres.tokens import PostgresTokens
from tests.contracts.tokens_contract import ONE, TokenTableContract

pytestmark = pytest.mark.integration


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresEventStore]:
    await migrate(database)
    opened = await PostgresEventStore.connect(database, pool_size=2)
    yield opened
    await opened.close()


class TestPostgresTokens(TokenTableContract):
    @pytest.fixture
    def table(self, store: PostgresEventStore) -> PostgresTokens:
        return store.tokens


async def test_a_token_in_use_is_written_once_a_minute(store: PostgresEventStore) -> None:
    await store.tokens.add(ONE)
    await store.tokens.note_used(["one"])
    [first] = await store.tokens.all()
    await store.tokens.note_used(["one"])
    assert await store.tokens.all() == [first]
    await store.fetch("UPDATE tokens SET used_at = used_at - interval '2 minutes'")
    await store.tokens.note_used(["one"])
    [now] = await store.tokens.all()
    assert now.used_at is not None
    assert first.used_at is not None
    assert now.used_at > first.used_at


async def test_the_view_shows_nothing_that_one_would_need(store: PostgresEventStore) -> None:
    await store.tokens.add(ONE)
    [row] = await store.fetch("SELECT * FROM access_tokens")
    assert dict(row).keys() == {
        "token_id", "name", "scopes", "source_prefix", "created_at", "expires_at", "used_at",
        "revoked_at",
    }  # fmt: skip
    assert ONE.hash not in dict(row).values()
