"""The gateway's way to the event store: opened when it is first needed, and with a time limit.

A gateway has to answer also while the database is away: that it is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runtime.driver.connection import Connection
from runtime.errors import HostUnavailable, SystemNotFound
from store.errors import StoreUnavailable
from store.event_store import EventStore

T = TypeVar("T")


class LogStore:
    """Asks the event store. Lives in one event loop."""

    #: How long opening the store and one question to it may take.
    LIMIT_S = 5.0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._store: EventStore | None = None
        self._opening = asyncio.Lock()

    async def ask(
        self, question: Callable[[EventStore], Awaitable[T]], limit_s: float | None = None
    ) -> T:
        """The answer to a question. Raises StoreUnavailable, also where none comes in time."""
        limit_s = self.LIMIT_S if limit_s is None else limit_s
        try:
            async with asyncio.timeout(limit_s):
                return await question(await self._opened())
        except TimeoutError as error:
            raise StoreUnavailable("the log", f"no answer within {limit_s:g} s") from error

    async def close(self) -> None:
        """Give back what was opened."""
        store, self._store = self._store, None
        if store is not None:
            await store.close()

    async def _opened(self) -> EventStore:
        async with self._opening:
            if self._store is None:
                try:  # of another partition it is not known yet where its log is
                    await self._connection.rejoining.ensure()
                except (SystemNotFound, HostUnavailable) as error:
                    raise StoreUnavailable("the log", str(error)) from error
                self._store = await self._connection.open_store()
            return self._store
