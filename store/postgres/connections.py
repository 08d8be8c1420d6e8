"""Connections to PostgreSQL: what unreachable means, and how it is said."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import asyncpg

#: What asyncpg and the operating system raise when the server is not there (any more).
UNREACHABLE = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


async def keep_session(_connection: Any) -> None:
    """No session state is ever changed here, so none is reset: that saves a round trip."""


def address_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
    except ValueError:
        return "an address that is not a URL"


def reason_of(error: BaseException) -> str:
    return str(error) or type(error).__name__
