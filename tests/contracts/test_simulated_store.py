"""The event store contract, over the database of the simulation."""

import asyncio
from typing import Any, cast

import pytest

from tests.contracts.event_store_contract import EventStoreContract
from thornback.simulation.database import Database
from thornback.simulation.scheduler import Owner, SimulatedLoop
from thornback.simulation.simulated_store import SimulatedStore


class _ThisLoop:
    """What the database needs of a simulation's loop, of the loop that a test runs in."""

    seed = 1

    def __init__(self) -> None:
        self.time = asyncio.get_running_loop().time
        self.call_at: Any = asyncio.get_running_loop().call_at


class TestSimulatedStore(EventStoreContract):
    @pytest.fixture
    async def store(self) -> SimulatedStore:
        loop = cast(SimulatedLoop, _ThisLoop())
        client = Owner(loop, "client")
        return SimulatedStore(Database(loop), client, pool_size=2, timeout_s=5.0)
