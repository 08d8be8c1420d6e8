"""What all tests share: one embedded PostgreSQL a session, a database a test."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import hypothesis
import pytest

from store.embedded.server import EmbeddedPostgres

# pytest explains the asserts of test modules only, unless told of others.
pytest.register_assert_rewrite("tests.contracts")

# Properties say what holds, not how fast: a busy machine fails none of them.
hypothesis.settings.register_profile(
    "project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("project")


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a server that lives as long as the session."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    try:
        yield server.start()
    finally:
        server.destroy()


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    """The connection string of an empty database, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    _execute(postgres_url, f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(url: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    # In a thread of its own: a test's event loop, if there is one, is left alone.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, execute()).result()
