"""Databases of one's own on a server, each for one test."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg


def create_database(server_url: str) -> str:
    """A new, empty database; its URL."""
    name = f"test_{uuid4().hex}"
    query(server_url, f"CREATE DATABASE {name}")
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def drop_database(url: str) -> None:
    """Drop a database, whoever is still connected to it."""
    parts = urlsplit(url)
    query(
        urlunsplit(parts._replace(path="/postgres")),
        f"DROP DATABASE {parts.path.removeprefix('/')} WITH (FORCE)",
    )


def query(url: str, text: str, *arguments: Any) -> list[Any]:
    """Rows of an SQL query. It runs in a thread: a test may have an event loop of its own."""

    async def fetch() -> list[Any]:
        connection = await asyncpg.connect(url, timeout=60.0)
        try:
            return list(await connection.fetch(text, *arguments))
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, fetch()).result()
