"""Whose database it is: who may claim it, and what becomes of whoever had it."""

import asyncio

import asyncpg
import pytest

from store.errors import DatabaseClaimed, SystemReplaced
from store.event_store import WRITER
from store.postgres.claims import Claimant, Sign, find
from store.postgres.event_store import PostgresEventStore
from store.postgres.migrations import migrate
from store.postgres.queries import QUERIES
from tests.contracts.appending import Log, made_event

pytestmark = pytest.mark.integration


def claimant(name: str) -> Claimant:
    """A system of this name."""
    return Claimant(holder=name, system=name, namespace=name, place="here", traces="{}")


async def fetch(database: str, query: str, *arguments: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


async def test_a_database_has_one_system_until_it_is_given_up(database: str) -> None:
    await migrate(database, claimant=claimant("one"))
    with pytest.raises(DatabaseClaimed, match="in use by system 'one' in namespace 'one'"):
        await migrate(database, claimant=claimant("other"))
    await migrate(database, claimant=claimant("one"))  # its own restart is never refused
    await fetch(database, QUERIES["give_up_claim"], "other")  # which is not for it to do
    with pytest.raises(DatabaseClaimed):
        await migrate(database, claimant=claimant("other"))
    await fetch(database, QUERIES["give_up_claim"], "one")
    connection = await asyncpg.connect(database)
    found = await find(connection)
    await connection.close()
    assert found is not None
    assert (found.given_up, found.holder) == (True, "one")
    assert await fetch(database, QUERIES["renew_claim"], "one") == []  # it is to be claimed again
    await migrate(database, claimant=claimant("other"), may_take=lambda found: found.given_up)
    assert await fetch(database, QUERIES["renew_claim"], "one") == []
    assert len(await fetch(database, QUERIES["renew_claim"], "other")) == 1


async def test_of_two_that_claim_at_once_one_has_it(database: str) -> None:
    outcomes = await asyncio.gather(
        *(migrate(database, claimant=claimant(name)) for name in "abcd"), return_exceptions=True
    )
    assert [type(one) for one in outcomes if isinstance(one, Exception)] == [DatabaseClaimed] * 3


async def test_a_beat_and_a_commit_are_signs_and_no_time_that_was_written_down_is_one(
    database: str,
) -> None:
    """Also an event of the future, as a writer stamps it whose clock is ahead, is but one sign."""
    await migrate(database, claimant=claimant("one"))
    store = await PostgresEventStore.connect(database, pool_size=1, system="one")
    log = await Log.open(store)
    connection = await asyncpg.connect(database)

    async def sign() -> Sign:
        found = await find(connection)
        assert found is not None
        return found.sign

    assert await sign() == await sign()
    signs = [await sign()]
    await connection.execute(QUERIES["renew_claim"], "one")
    signs.append(await sign())
    await log.append(made_event())
    await connection.execute("UPDATE events SET recorded_at = now() + interval '1 day'")
    signs.append(await sign())
    assert len(set(signs)) == 3
    assert await sign() == signs[-1]
    await connection.close()
    await store.close()


async def test_whoever_lost_the_claim_opens_no_epoch_and_is_told_who_has_it(database: str) -> None:
    await migrate(database, claimant=claimant("old"))
    old = await PostgresEventStore.connect(database, pool_size=1, system="old")
    first = await old.open_epoch(WRITER)
    await migrate(database, claimant=claimant("new"), may_take=lambda _: True)
    with pytest.raises(SystemReplaced, match="system 'new' in namespace 'new'"):
        await old.open_epoch(WRITER)
    new = await PostgresEventStore.connect(database, pool_size=1, system="new")
    assert (await new.open_epoch(WRITER)).number == first.number + 1
    await new.close()
    await old.close()
