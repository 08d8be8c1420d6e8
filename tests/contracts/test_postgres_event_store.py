"""The event store contract, on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from store.postgres import PostgresEventStore
from tests.contracts.event_store_contract import EventStoreContract

pytestmark = pytest.mark.integration


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresEventStore]:
    opened = await PostgresEventStore.connect(database, pool_size=2)
    yield opened
    await opened.close()


class TestPostgresEventStore(EventStoreContract):
    pass
