"""The database of a partition: beside that of the system, on the same server, with its name and the
number of the partition."""

from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

from store.errors import StoreUnavailable
from store.postgres.connections import reason_of
from store.postgres.moving_address import UNREACHABLE, address_of


def url_of_partition(url: str, partition: int) -> str:
    """The URL of the database of a partition, by that of the system's, which is that of partition
    0. Raises ValueError for one that names no database."""
    parts = urlsplit(url)
    name = unquote(parts.path.removeprefix("/"))
    if not name:
        raise ValueError(f"{address_of(url)} names no database: postgresql://HOST/NAME")
    return urlunsplit(parts._replace(path="/" + quote(name + _suffix(partition), safe="")))


async def ensure_database(url: str, partition: int, timeout_s: float) -> None:
    """Have the database of a partition be there, which is made where it is not, by a connection to
    that of the system. Any other URL is left alone. Raises StoreUnavailable, with what to do where
    the role may make none, and where it was made and is gone."""
    parts = urlsplit(url)
    name = unquote(parts.path.removeprefix("/"))
    if not partition or not name.endswith(_suffix(partition)):
        return
    of_system = quote(name.removesuffix(_suffix(partition)), safe="")
    try:
        connection: Any = await asyncpg.connect(
            urlunsplit(parts._replace(path=f"/{of_system}")), timeout=timeout_s
        )
        try:
            known = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name)
            made = "SELECT 1 FROM partition_databases WHERE number = $1"
            if not known and await connection.fetchval(made, partition):
                problem = (
                    f"the database of partition {partition}, {name!r}, is gone: restore it, or its "
                    "actors would begin anew"
                )
                raise StoreUnavailable(address_of(url), problem)
            if not known:
                quoted = '"' + name.replace('"', '""') + '"'
                with suppress(asyncpg.DuplicateDatabaseError):  # another launch was quicker
                    await connection.execute(f"CREATE DATABASE {quoted}")
            noted = "INSERT INTO partition_databases VALUES ($1) ON CONFLICT DO NOTHING"
            await connection.execute(noted, partition)
        except asyncpg.InsufficientPrivilegeError as error:
            problem = (
                f"partition {partition} has its own database, {name!r}, which is not there, and "
                "this role may make none: have it made (CREATE DATABASE), with this role as owner"
            )
            raise StoreUnavailable(address_of(url), problem) from error
        finally:
            connection.terminate()
    except (*UNREACHABLE, asyncpg.PostgresError) as error:
        raise StoreUnavailable(address_of(url), reason_of(error)) from error


def _suffix(partition: int) -> str:
    return f"_partition_{partition}"
