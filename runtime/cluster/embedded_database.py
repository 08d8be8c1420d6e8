"""The embedded PostgreSQL of a system, kept running beside the directory."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from runtime.settings.settings import Settings
from store.embedded.server import EmbeddedPostgres
from store.errors import EmbeddedError

logger = logging.getLogger("thornback.directory")


def wanted(settings: Settings) -> bool:
    """Does the system that is set up so bring its own database?"""
    store = settings.event_store
    return store.type == "postgres" and not store.connection_string.get_secret_value()


def folder_of(settings: Settings) -> Path:
    """Where the embedded PostgreSQL of these settings has its data."""
    return settings.event_store.data_folder / "postgres"


def with_database(settings: Settings, url: str) -> Settings:
    """The settings with the address of the database that was started for them."""
    return settings.replaced("event_store", "connection_string", url, _origin(settings))


def as_launched(running: Settings) -> Settings:
    """The settings of a running system without the address of the database that was started for
    them: it is found out by each start, and nobody has set it."""
    if not _started_for(running):
        return running
    return running.replaced("event_store", "connection_string", "", "")


def has_own(settings: Settings) -> bool:
    """Has the system of these settings a database of its own, started or to be? It is reached from
    the machine of the directory alone."""
    return wanted(settings) or _started_for(settings)


def _started_for(running: Settings) -> bool:
    return running.origin("event_store", "connection_string") == _origin(running)


def _origin(settings: Settings) -> str:
    return f"the embedded PostgreSQL in {folder_of(settings)}"


class DatabaseKeeper:
    """Starts the embedded PostgreSQL, and starts it again whenever it has died.

    `moved` hears its address after every start: it is the same for as long as nobody else
    takes the port while the server is down. `trouble` says why it does not start now.
    """

    #: Between two looks: a server of another user's is not our child, so nobody tells.
    LOOK_S = 0.5

    def __init__(self, server: EmbeddedPostgres, moved: Callable[[str], None]) -> None:
        self._server, self._moved = server, moved
        self._one_at_a_time = asyncio.Lock()
        self._stopped = asyncio.Event()
        self.started = False  #: once, at least
        self.found_running = False  #: before the first start: it is somebody else's, or was left
        self.trouble: str | None = None

    async def start(self) -> None:
        """Return when the server answers. Raises an EmbeddedError that says what to do."""
        async with self._one_at_a_time:
            if self._stopped.is_set():
                return
            try:
                if not self.started:
                    self.found_running = await asyncio.to_thread(self._server.running)
                self._moved(await asyncio.to_thread(self._server.start))
            except (EmbeddedError, OSError) as error:
                self.trouble = str(error)
                raise
            self.started, self.trouble = True, None

    async def keep(self) -> None:
        """Watch it until it is stopped."""
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), self.LOOK_S)
                return
            try:
                if not await asyncio.to_thread(self._server.running):
                    logger.error("the embedded PostgreSQL is gone: starting it again")
                    await self.start()
            except (EmbeddedError, OSError) as error:
                logger.error("the embedded PostgreSQL does not start: %s", error)

    def leave(self) -> None:
        """Let it run, and look after it no more: it is somebody else's."""
        self._stopped.set()

    async def stop(self) -> None:
        """Shut it down cleanly. Raises EmbeddedError."""
        self.leave()
        async with self._one_at_a_time:
            await asyncio.to_thread(self._server.stop)
