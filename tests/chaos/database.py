"""The PostgreSQL of the suite, and what is done to it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil

from store.embedded.server import EmbeddedPostgres
from tests.chaos.disk import Disk
from thornback.testing.databases import create_database, drop_database

#: A server that is away, or stopped, is none whose backends can be asked for.
_ASK_S = 2.0

_BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE backend_type = 'client backend' AND datname = $1 AND pid <> pg_backend_pid() ORDER BY pid
"""


class Database:
    """One database of a server of the suite's own."""

    def __init__(self, server: EmbeddedPostgres, disk: Disk | None = None) -> None:
        self._server, self._disk = server, disk
        self.url = create_database(server.url)
        self._name = urlsplit(self.url).path.removeprefix("/")

    def drop(self) -> None:
        """Nothing is kept."""
        drop_database(self.url)

    def fetch(self, text: str, *arguments: Any, limit_s: float = 30.0) -> list[Any]:
        """Rows of a query. Raises what asyncpg does, OSError and TimeoutError."""
        return fetch(self.url, text, *arguments, limit_s=limit_s)

    def terminate_backend(self, choice: float) -> bool:
        """By the function that PostgreSQL has for it; was there one?"""
        return any(self._asked("SELECT pg_terminate_backend($1)", pid) for pid in self._pid(choice))

    def kill_backend(self, choice: float) -> bool:
        """kill -9: the postmaster ends all others, and recovers as after a crash. Was there one?"""
        postmaster = self.postmaster()
        for pid in self._pid(choice):
            with suppress(psutil.NoSuchProcess):
                backend = psutil.Process(pid)
                if postmaster is not None and backend.ppid() == postmaster.pid:
                    backend.kill()
                    return True
        return False

    def postmaster(self) -> psutil.Process | None:
        """Its first process; None while the server is down."""
        found = self._server._postmaster()
        return None if found is None else psutil.Process(found[0])

    def crash(self) -> None:
        """An immediate shutdown: no checkpoint, nobody is asked."""
        postmaster = self.postmaster()
        if postmaster is not None:
            postmaster.send_signal(signal.SIGQUIT)
            postmaster.send_signal(signal.SIGCONT)  # one that is frozen would never hear of it
            postmaster.wait(30.0)

    def stop(self) -> None:
        """A clean shutdown: who is connected is told so."""
        if (postmaster := self.postmaster()) is not None:
            postmaster.send_signal(signal.SIGCONT)
        self._server.stop()

    def start(self) -> None:
        """Have the server run, if it does not; one that is frozen would let nobody in, to say that
        it does."""
        if (postmaster := self.postmaster()) is not None:
            postmaster.send_signal(signal.SIGCONT)
        self._server.start()

    def fill(self) -> bool:
        """Leave no room on its disk; is that one of its own?"""
        if self._disk is not None:
            self._disk.fill()
        return self._disk is not None

    def free(self) -> None:
        """Room again; who has ended for want of it runs again."""
        if self._disk is not None:
            self._disk.free()
            self.start()

    def _pid(self, choice: float) -> list[int]:
        """That of one backend of this database, if there is any."""
        rows = self._asked(_BACKENDS, self._name)
        return [int(rows[int(choice * len(rows))][0])] if rows else []

    def _asked(self, text: str, *arguments: Any) -> list[Any]:
        """What the server says; nothing, where it is away just now."""
        try:
            return fetch(self._admin(), text, *arguments, limit_s=_ASK_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return []

    def _admin(self) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path="/postgres"))


def fetch(url: str, text: str, *arguments: Any, limit_s: float) -> list[Any]:
    """Rows of a query, within a bounded time."""

    async def ask() -> list[Any]:
        async with asyncio.timeout(limit_s):
            connection = await asyncpg.connect(url)
            try:
                return list(await connection.fetch(text, *arguments))
            finally:
                connection.terminate()

    return asyncio.run(ask())


@contextmanager
def database(server: EmbeddedPostgres, disk: Disk | None = None) -> Iterator[Database]:
    """One for a seed; dropped afterwards. `disk` is the server's, where it has one of its own."""
    made = Database(server, disk)
    try:
        yield made
    finally:
        made.free()
        made.start()
        made.drop()
