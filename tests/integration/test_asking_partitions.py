"""Commands that ask databases, and the partition that a log is of."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs import tokens
from jobs.check import check
from jobs.cli import sql
from jobs.subscriptions import asked, asked_each
from runtime.errors import NotPossible
from runtime.settings.settings import Settings
from store.event_store import EventStore
from store.postgres.claims import Claimant
from store.postgres.migrations import migrate

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the project has settings of its own."""
    monkeypatch.chdir(tmp_path)


async def launched(database: str, partition: int, partitions: int) -> None:
    """As a launch leaves it."""
    who = Claimant(
        holder="a", system="a", namespace="a", place="here", traces="{}",
        partition=partition, partitions=partitions,
    )  # fmt: skip
    await migrate(database, claimant=who)


def settings(database: str, **store: int) -> Settings:
    """Those of a shell with so many of the settings of the event store."""
    given = {f"THORNBACK_EVENT_STORE__{key.upper()}": str(value) for key, value in store.items()}
    return Settings.load(
        None, environ={"DATABASE_URL": database, **given}, actor_system={"hosts": 2}
    )


async def head(store: EventStore) -> int:
    return await store.head()


def test_who_knows_of_one_partition_is_not_told_of_one_of_two(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(launched(database, 0, 2))
    here, said = settings(database), r"is partition 0 of 2, .*THORNBACK_EVENT_STORE__PARTITIONS=2"
    with pytest.raises(NotPossible, match=said):
        asked_each(here, head)
    with pytest.raises(NotPossible, match=said):
        asked(here, head)
    with pytest.raises(NotPossible, match=said):
        tokens.list_all(here)
    with pytest.raises(NotPossible, match=said):
        check(here)
    monkeypatch.setenv("DATABASE_URL", database)
    with pytest.raises(NotPossible, match=said):
        CliRunner().invoke(sql.command, ["SELECT 1"], standalone_mode=False, catch_exceptions=False)


def test_one_partition_is_asked_alone_where_somebody_says_which(database: str) -> None:
    asyncio.run(launched(database, 1, 2))
    alone = settings(database, partition=1, partitions=2)
    assert asked_each(alone, head) == [asked(alone, head)] == [0]
    with pytest.raises(NotPossible, match=r"is partition 1 of 2, and the settings here .* 0 of 2"):
        asked_each(settings(database, partition=0, partitions=2), head)
    with pytest.raises(NotPossible, match=r"is partition 1 of 2, and the settings here .* 0 of 2"):
        asked_each(settings(database, partitions=2), head)  # it is in the place of the first one


def test_a_log_that_says_nothing_is_of_one_partition(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)
    query = ["SELECT 1 AS one"]
    for _ in range(2):  # without the table, and without the row
        done = CliRunner().invoke(sql.command, query, standalone_mode=False, catch_exceptions=False)
        assert done.return_value == 0
        asyncio.run(migrate(database))
    assert asked_each(settings(database), head) == [0]
    with pytest.raises(NotPossible, match="is partition 0 of 1"):
        asked_each(settings(database, partitions=2), head)
