"""The databases of partitions: which log is in which, beside the first one or on other servers."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import pytest

from runtime.errors import LaunchFailed
from runtime.system import PartitionedSystem
from runtime.topology.partitions import partition_of
from store.embedded.server import EmbeddedPostgres
from store.errors import StoreUnavailable
from store.postgres.claims import Claimant
from store.postgres.migrations import migrate
from store.postgres.partition_database import PartitionDatabase, ensure_database, note_database
from tests.integration.devices import Add, Counter
from tests.integration.systems import Launcher, log_of
from thornback.testing.databases import create_database, drop_database, query

pytestmark = pytest.mark.integration

TIMEOUT_S = 10.0


async def claimed(database: PartitionDatabase) -> bool:
    """As a directory claims it; did the first one have to be told of it?"""
    unknown = await ensure_database(database, TIMEOUT_S)
    who = Claimant(
        holder="a", system="a", namespace="a", place="here", traces="{}",
        partition=database.partition, partitions=2,
    )  # fmt: skip
    await migrate(database.url, claimant=who)
    if unknown:
        await note_database(database, TIMEOUT_S)
    return unknown


async def both(first: str, second: PartitionDatabase) -> None:
    await claimed(PartitionDatabase(first, 0, ""))
    await claimed(second)


@pytest.fixture
def first(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def second(first: str, new_database: Callable[[], str]) -> PartitionDatabase:
    """That of partition 1, by its URL; both are claimed."""
    database = PartitionDatabase(new_database(), 1, first)
    asyncio.run(both(first, database))
    return database


def beside(url: str) -> PartitionDatabase:
    return PartitionDatabase(url + "_partition_1", 1, "")


def test_which_log_it_is_is_told_once(second: PartitionDatabase) -> None:
    assert not asyncio.run(claimed(second))


def test_one_beside_the_first_is_made_once_and_never_anew(first: str) -> None:
    asyncio.run(both(first, beside(first)))
    drop_database(beside(first).url)
    with pytest.raises(StoreUnavailable, match="is gone: restore it, or its actors would begin"):
        asyncio.run(claimed(beside(first)))


def test_an_empty_database_is_not_taken_for_the_one_that_was_there(
    second: PartitionDatabase, new_database: Callable[[], str]
) -> None:
    with pytest.raises(StoreUnavailable, match="is gone: restore it"):
        asyncio.run(claimed(second._replace(url=new_database())))


def test_the_log_of_another_system_is_not_taken_for_it(
    second: PartitionDatabase, new_database: Callable[[], str]
) -> None:
    other = PartitionDatabase(new_database(), 1, new_database())
    asyncio.run(both(other.first_url, other))
    with pytest.raises(StoreUnavailable, match="another log than that of partition 1"):
        asyncio.run(claimed(second._replace(url=other.url)))
    query(second.first_url, "UPDATE partition_databases SET log = NULL WHERE number = 1")
    assert asyncio.run(claimed(second._replace(url=other.url)))  # as the error says


def test_a_partition_whose_own_server_is_there_needs_no_other_one(
    second: PartitionDatabase,
) -> None:
    away = urlunsplit(urlsplit(second.first_url)._replace(netloc="nobody@127.0.0.1:1"))
    assert not asyncio.run(claimed(second._replace(first_url=away)))
    with pytest.raises(StoreUnavailable):
        asyncio.run(ensure_database(PartitionDatabase(away, 1, away), TIMEOUT_S))


def test_partitions_on_two_servers(
    launch: Launcher, new_database: Callable[[], str], server: EmbeddedPostgres
) -> None:
    here, there = new_database(), create_database(server.url)
    store = {"partitions": 2, "connection_string": here, "partition_urls": [there]}
    settings = launch.settings(actor_system={"hosts": 2}, event_store=store)
    system = launch.run(settings)
    assert isinstance(system, PartitionedSystem)
    refs = [system.actor(Counter, f"c-{number}") for number in range(20)]
    for ref in refs:
        ref.ask(Add()).result()
    urls = (here, there)
    for number, part in enumerate(system.parts):
        theirs = {row["source"] for row in query(urls[number], "SELECT source FROM events")}
        assert {partition_of(source, 2) for source in theirs} == {number}
        assert {row["source"] for row in log_of(part, "SELECT source FROM events")} == theirs
    launch.drain(system)

    swapped = {**store, "connection_string": there, "partition_urls": [here]}
    namespace = settings.actor_system.namespace
    section = {"hosts": 2, "namespace": namespace}
    with pytest.raises(LaunchFailed, match=r"partition 0: .*1 of 2"):
        launch.run(launch.settings(actor_system=section, event_store=swapped))
    other = {**store, "partition_urls": [create_database(server.url)]}
    with pytest.raises(LaunchFailed, match=r"partition 1: .*is gone: restore it"):
        launch.run(launch.settings(actor_system=section, event_store=other))

    again = launch.run(settings)
    assert [again.actor(Counter, f"c-{n}").state().result().total for n in range(20)] == [1] * 20
