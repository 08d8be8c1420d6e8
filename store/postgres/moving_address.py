"""Where a database is, what unreachable means, and a server that may move.

An embedded server comes back on another port when somebody else has taken its own while it
was down. Whoever cannot reach it then asks where it is now, and remembers that.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg

#: What asyncpg and the operating system raise when the server is not there (any more).
UNREACHABLE = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    # Of a connection that broke between two messages: asyncpg finds it still busy with the first.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)

#: Tells the server's URL as it is now.
Whereabouts = Callable[[], Awaitable[str]]


class MovingAddress:
    """The `connect` of a pool. It knows where the server was reached last."""

    def __init__(self, url: str, whereabouts: Whereabouts | None = None) -> None:
        self._url = url
        self._whereabouts = whereabouts

    def __str__(self) -> str:
        return address_of(self._url)

    async def connect(self, *_: str, **options: Any) -> Any:
        """A connection to the server, wherever it is. Raises what asyncpg raises."""
        try:
            return await asyncpg.connect(self._url, **options)
        except UNREACHABLE:
            if self._whereabouts is None:
                raise
            now = await self._whereabouts()
            if now == self._url:
                raise
            self._url = now
        return await asyncpg.connect(self._url, **options)


def address_of(url: str) -> str:
    """Where a connection string leads, without its secrets."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
    except ValueError:
        return "an address that is not a URL"
