"""The event store contract, in memory."""

import pytest

from store.memory import MemoryEventStore
from tests.contracts.event_store_contract import EventStoreContract


class TestMemoryEventStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> MemoryEventStore:
        return MemoryEventStore()
