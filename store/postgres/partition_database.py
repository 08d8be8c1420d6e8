"""The database of a partition: beside that of the system, on the same server, with its name and the
number of the partition; or wherever its URL says.

The database of the first partition knows of each other one which log it is: one that is gone is not
made anew, and another one is not taken for it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

from store.errors import StoreUnavailable
from store.postgres.connections import reason_of
from store.postgres.moving_address import UNREACHABLE, address_of
from store.postgres.queries import QUERIES

#: PostgreSQL cuts longer names, and so would have one database in the place of two.
LONGEST_NAME = 63


class PartitionDatabase(NamedTuple):
    """Where the log of a partition is, and where that of the first one is."""

    url: str
    partition: int
    first_url: str  #: "" where it is beside the one of `url`

    @property
    def beside(self) -> bool:
        """Is it beside the first one, so that it may be made?"""
        return not self.first_url

    @property
    def knowing_url(self) -> str:
        """That of the first one. "" where nothing says it."""
        if self.first_url:
            return self.first_url
        parts, name, suffix = urlsplit(self.url), name_of(self.url), _suffix(self.partition)
        if not name.endswith(suffix):
            return ""
        first = quote(name.removesuffix(suffix), safe="")
        return urlunsplit(parts._replace(path=f"/{first}"))


def name_of(url: str) -> str:
    """The name of the database of a URL; empty where it names none."""
    return unquote(urlsplit(url).path.removeprefix("/"))


def url_of_partition(url: str, partition: int) -> str:
    """The URL of the database of a partition, by that of the system's, which is that of partition
    0. Raises ValueError for one that names no database, and for a name that is too long."""
    name = name_of(url)
    if not name:
        raise ValueError(f"{address_of(url)} names no database: postgresql://HOST/NAME")
    own = name + _suffix(partition)
    if (size := len(own.encode())) > LONGEST_NAME:
        raise ValueError(
            f"partition {partition} would have the database {own!r}, and {size} bytes are more "
            f"than the {LONGEST_NAME} that PostgreSQL keeps of a name"
        )
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(own, safe="")))


def twice_used(urls: Sequence[str]) -> tuple[int, int] | None:
    """Two partitions whose URLs name one database, as far as they show it: aliases of a server are
    found when the second one finds the claim of the first."""
    found: dict[tuple[str, int, str], int] = {}
    for partition, url in enumerate(urls):
        parts = urlsplit(url)
        place = (parts.hostname or "localhost", parts.port or 5432, name_of(url))
        if (before := found.setdefault(place, partition)) != partition:
            return before, partition
    return None


async def ensure_database(database: PartitionDatabase, timeout_s: float) -> bool:
    """Have the database of a partition be there, before it is claimed: one beside the first one is
    made where it is not. Does the one of the first one not know yet which log it is? Then it is to
    be told. Raises StoreUnavailable, with what to do where the role may make none, where it was
    made and is gone, and where another log is in its place."""
    if not database.partition or not database.knowing_url:
        return False
    try:
        async with _connected(database.knowing_url, timeout_s) as knowing:
            known = await knowing.fetch(QUERIES["known_partition"], database.partition)
            if database.beside:
                await _have_made(knowing, database, known=bool(known))
    except StoreUnavailable:
        if database.beside:
            raise
        # A launch begins with the first one. So this is a directory that starts anew, and what is
        # wrong with another server does not keep it from its own.
        async with _connected(database.url, timeout_s) as own:
            if await _log_in(own) is None:
                raise
        return False
    async with _connected(database.url, timeout_s) as own:
        found = await _log_in(own)
    _check_known(database, known[0]["log"] if known else None, found, known=bool(known))
    return not known or known[0]["log"] is None


def _check_known(
    database: PartitionDatabase, log: str | None, found: "_Log | None", *, known: bool
) -> None:
    if known and found is None:
        raise StoreUnavailable(address_of(database.url), _gone(database))
    if known and found is not None and log not in (None, found.born):
        raise StoreUnavailable(address_of(database.url), _another(database))
    if not known and found is not None and found.events:
        raise StoreUnavailable(address_of(database.url), _strange(database))


async def note_database(database: PartitionDatabase, timeout_s: float) -> None:
    """It is claimed, and has a log: have the database of the first one know which one. Raises
    StoreUnavailable."""
    async with _connected(database.url, timeout_s) as own:
        [row] = await own.fetch(QUERIES["log_born"])
    async with _connected(database.knowing_url, timeout_s) as knowing:
        noted = database.partition, str(row["applied_at"])
        await knowing.fetch(QUERIES["know_partition"], *noted)


class _Log(NamedTuple):
    born: str
    events: bool  #: are there any?


async def _log_in(connection: Any) -> _Log | None:
    """What a database has of a log; None where nobody has claimed it yet, nor filled it."""
    if await connection.fetchval("SELECT to_regclass('log_partition')") is None:
        return None
    events = await connection.fetchval("SELECT EXISTS (SELECT FROM events)")
    if not events and not await connection.fetch(QUERIES["partition_of_log"]):
        return None
    [row] = await connection.fetch(QUERIES["log_born"])
    return _Log(str(row["applied_at"]), events)


async def _have_made(connection: Any, database: PartitionDatabase, *, known: bool) -> None:
    name = name_of(database.url)
    if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        return
    if known:
        raise StoreUnavailable(address_of(database.url), _gone(database))
    quoted = '"' + name.replace('"', '""') + '"'
    try:
        with suppress(asyncpg.DuplicateDatabaseError):  # another launch was quicker
            await connection.execute(f"CREATE DATABASE {quoted}")
    except asyncpg.InsufficientPrivilegeError as error:
        problem = (
            f"partition {database.partition} has its own database, {name!r}, which is not there, "
            "and this role may make none: have it made (CREATE DATABASE), with this role as owner"
        )
        raise StoreUnavailable(address_of(database.url), problem) from error


def _gone(database: PartitionDatabase) -> str:
    return (
        f"the log of partition {database.partition}, in the database {name_of(database.url)!r}, is "
        "gone: restore it, or its actors would begin anew"
    )


def _another(database: PartitionDatabase) -> str:
    return (
        f"this is another log than that of partition {database.partition}: name its own database. "
        "If this one was made of its backup by `thornback restore`, say so in the database of "
        "partition 0: UPDATE partition_databases SET log = NULL "
        f"WHERE number = {database.partition}"
    )


def _strange(database: PartitionDatabase) -> str:
    return (
        "there are events in this log, and the database of partition 0 knows of no partition "
        f"{database.partition}: one of the two is of another system, or was lost"
    )


@asynccontextmanager
async def _connected(url: str, timeout_s: float) -> AsyncIterator[Any]:
    try:
        connection: Any = await asyncpg.connect(url, timeout=timeout_s)
        try:
            yield connection
        finally:
            connection.terminate()
    except (*UNREACHABLE, asyncpg.PostgresError, ValueError) as error:
        raise StoreUnavailable(address_of(url), reason_of(error)) from error


def _suffix(partition: int) -> str:
    return f"_partition_{partition}"
