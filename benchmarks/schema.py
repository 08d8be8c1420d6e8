"""A schema of a rival's own in the measured database, and proof of what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql


@contextmanager
def schema(url: str, name: str) -> Iterator[None]:
    """A fresh, empty schema, dropped afterwards; a killed run's leftovers go first."""
    drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name))
    execute(url, drop)
    execute(url, sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    try:
        yield
    finally:
        execute(url, drop)


def execute(url: str, statement: psycopg.abc.Query) -> None:
    """Run one statement, outside a transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def require_stored(url: str, schema_name: str, table: str, acknowledged: int) -> None:
    """A figure counts only if the events behind it are there."""
    count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema_name, table))
    with psycopg.connect(url) as connection:
        row = connection.execute(count).fetchone()
    if row != (acknowledged,):
        raise RuntimeError(f"{schema_name}: {acknowledged} events acknowledged, {row} stored")
