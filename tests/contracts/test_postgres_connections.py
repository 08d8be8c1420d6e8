"""The pool on a real PostgreSQL: which connection whoever comes next gets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from store.errors import StoreUnavailable
from store.postgres.connections import Connections
from store.postgres.moving_address import MovingAddress
from tests.forked import forked

pytestmark = pytest.mark.integration

_WHO = "SELECT pg_backend_pid()"


@pytest.fixture
async def connections(database: str) -> AsyncIterator[Connections]:
    opened = await Connections.open(MovingAddress(database, None), pool_size=1, timeout_s=5.0)
    yield opened
    opened.close()


async def who(connections: Connections) -> Any:
    [row] = await connections.fetch(_WHO)
    return row[0]


async def test_whoever_comes_next_has_the_connection_used_last_without_a_turn_of_the_loop(
    connections: Connections,
) -> None:
    first = await who(connections)
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    async with connections.use():
        pass
    async with connections.use():
        assert not turns
    assert not turns
    assert await who(connections) == first


async def test_all_who_wait_for_the_only_connection_get_it(connections: Connections) -> None:
    async with asyncio.timeout(30):
        assert len(set(await asyncio.gather(*(who(connections) for _ in range(10))))) == 1
        assert len(set(await asyncio.gather(*(who(connections) for _ in range(10))))) == 1


async def test_a_kept_connection_that_was_ended_meanwhile_is_none(
    connections: Connections,
) -> None:
    first = await who(connections)
    async with connections.use() as connection:
        ended = connection._con
    ended.terminate()
    assert await who(connections) != first


async def test_what_failed_or_was_given_up_goes_on_nowhere(connections: Connections) -> None:
    with pytest.raises(StoreUnavailable):
        await connections.fetch("SELECT 1 / 0")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):  # its caller leaves in the middle
            await connections.fetch("SELECT pg_sleep(60)")
    async with asyncio.timeout(30):
        assert await who(connections)


async def test_the_kept_connection_is_closed_with_the_pool(connections: Connections) -> None:
    async with connections.use() as connection:
        kept = connection._con
    connections.close()
    assert kept.is_closed()
    with pytest.raises((StoreUnavailable, asyncpg.InterfaceError)):
        await who(connections)


async def test_the_server_hears_of_the_end_although_a_process_lives_that_was_forked(
    connections: Connections, database: str
) -> None:
    """Or it would keep what the ended one had locked."""
    ended = await who(connections)
    async with connections.use() as connection:
        transport = connection._con._transport
    with forked():
        transport.abort()  # as where a process is killed: nobody says goodbye
        looking: Any = await asyncpg.connect(database)
        async with asyncio.timeout(30):
            while await looking.fetchval("SELECT pid FROM pg_stat_activity WHERE pid = $1", ended):
                pass  # the server does not say when it has let one go
        await looking.close()
