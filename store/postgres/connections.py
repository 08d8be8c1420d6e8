"""Connections to PostgreSQL: a pool of them, how long they may take, and what unreachable means.

A server that vanishes without a word (a pulled cable, a machine that is gone) ends no
connection. Three things do: both ends probe the connection and give it up when nothing
comes back, every operation has a time limit, and a connection whose operation took too
long is ended, so that what it was doing is in doubt and never goes on unseen.
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import asyncpg

from store.errors import StoreError, StoreUnavailable
from store.own_sockets import descriptors_of, keep_from_children
from store.postgres.moving_address import UNREACHABLE, MovingAddress
from store.postgres.queries import QUERIES
from store.rows.layout import COPY_TRAILER

#: An operation may take this long, and so much longer for what it writes. A server that is
#: slower than that is as good as away.
OPERATION_S = 30.0
SLOWEST_BYTES_PER_S = 1024 * 1024

#: A question that somebody asks of the whole log may take this long.
REPORT_S = 3600.0

#: The probing of a connection on which nothing comes.
PROBE_AFTER_S = 5
PROBE_EVERY_S = 2
PROBES = 3


class Connections:
    """A pool of connections to one database."""

    def __init__(
        self, where: MovingAddress, pool: "asyncpg.Pool[asyncpg.Record]", operation_s: float
    ) -> None:
        self._where = where
        self._pool = pool
        self._operation_s = operation_s
        #: The one used last, ready for whoever comes next: giving it back to the pool and
        #: taking it out again costs a task and several turns of the loop each time.
        self._kept: Any = None
        self._waiting = 0  #: for a connection of the pool: while anybody is, none is kept

    def __str__(self) -> str:
        return str(self._where)

    @classmethod
    async def open(
        cls,
        where: MovingAddress,
        *,
        pool_size: int,
        timeout_s: float,
        operation_s: float = OPERATION_S,
        read_only: bool = False,
    ) -> "Connections":
        """Up to `pool_size` connections, each opened within `timeout_s`; `read_only`: the server
        refuses whatever would change anything. Raises StoreUnavailable."""

        async def begin_session(connection: Any) -> None:
            probe(connection, timeout_s)
            keep_from_children(connection, lambda one: descriptors_of(one._transport))
            settings = session_settings(timeout_s, operation_s)
            if read_only:
                settings["default_transaction_read_only"] = "on"
            await connection.fetch(QUERIES["begin_session"], list(settings), [*settings.values()])

        connect: Any = where.connect  # asyncpg's protocol has names for what only it passes
        try:
            pool = await asyncpg.create_pool(
                init_size=1,  # or nobody would hear now that there is no server
                min_size=0,  # or each pool would knock at a server that has ended, and log it
                max_size=pool_size,
                timeout=timeout_s,
                command_timeout=operation_s,
                connect=connect,
                init=begin_session,
                reset=_keep_session,
            )
        except (*UNREACHABLE, asyncpg.PostgresError, ValueError) as error:
            raise StoreUnavailable(str(where), reason_of(error)) from error
        return cls(where, pool, operation_s)

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Any]:
        """A connection. What goes wrong on it becomes StoreUnavailable."""
        try:
            connection = await self._taken()
            try:
                yield connection
            except UNREACHABLE:
                # Not given back as it is: what it was doing could still go on.
                connection.terminate()
                await self._pool.release(connection)
                raise
            except BaseException:
                await self._pool.release(connection)
                raise
            await self._give_back(connection)
        except StoreError:
            raise
        except (*UNREACHABLE, asyncpg.PostgresError) as error:
            # Also a full disk or a missing table: somebody has to look after the database.
            raise StoreUnavailable(str(self._where), reason_of(error)) from error

    async def _taken(self) -> Any:
        connection, self._kept = self._kept, None
        if connection is not None and _stands(connection):
            return connection
        self._waiting += 1
        try:
            return await self._pool.acquire()
        finally:
            self._waiting -= 1

    async def _give_back(self, connection: Any) -> None:
        """Unhurt: whatever it was used for has ended well."""
        if self._kept is None and not self._waiting and _stands(connection):
            self._kept = connection
        else:
            await self._pool.release(connection)

    async def fetch(self, query: str, *arguments: Any) -> "list[asyncpg.Record]":
        """The rows of a query."""
        async with self.use() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return rows

    async def report(self, query: str, *arguments: Any) -> "list[asyncpg.Record]":
        """The rows of a query that may take its time, up to an hour."""
        async with self.use() as connection:
            await connection.execute("SET statement_timeout = 0")
            try:
                rows: list[asyncpg.Record] = await connection.fetch(
                    query, *arguments, timeout=REPORT_S
                )
            except BaseException:
                connection.terminate()  # with its setting
                raise
            limit = session_settings(0, self._operation_s)["statement_timeout"]
            await connection.execute(f"SET statement_timeout = {limit}")
            return rows

    async def copy_out(self, query: str, max_bytes: int) -> "CopiedOut":
        """The rows of a query in COPY's binary format, as many as fit into `max_bytes`, but
        at least one."""
        output, last = BytesIO(), b""

        async def receive(data: bytes) -> None:
            # In whole rows: the server sends one a message, and a message is never cut.
            nonlocal last
            output.write(data)
            last = data
            if output.tell() > max_bytes:
                raise _Enough

        async with self.use() as connection:
            try:
                await connection.copy_from_query(query, output=receive, format="binary")
            except _Enough:
                output.write(COPY_TRAILER)
                return CopiedOut(output.getvalue(), last)
        return CopiedOut(output.getvalue(), None)

    def time_for(self, size: int) -> float:
        """How long an operation may take that writes so many bytes."""
        return self._operation_s + size / SLOWEST_BYTES_PER_S

    def close(self) -> None:
        """End all connections."""
        # Not Pool.close(): it waits without bound for a server that does not answer.
        self._pool.terminate()


def _stands(connection: Any) -> bool:
    """Can it be used? The pool takes back by itself what was ended."""
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False


class CopiedOut:
    """What `copy_out` brought. `cut` is the last piece of it where there would have been
    more: whole rows, the last of which is where to go on behind."""

    __slots__ = ("cut", "rows")

    def __init__(self, rows: bytes, cut: bytes | None) -> None:
        self.rows = rows
        self.cut = cut


class _Enough(Exception):
    """No more rows are wanted."""


@asynccontextmanager
async def transaction(connection: Any) -> AsyncIterator[None]:
    """One transaction. Unlike asyncpg's own it does not wait for a connection whose operation
    took too long: that is ended, and the server rolls back what it has of it."""
    await connection.execute("BEGIN")
    try:
        yield
    except (StoreError, asyncpg.PostgresError):
        await connection.execute("ROLLBACK")
        raise
    except BaseException:
        connection.terminate()
        raise
    await connection.execute("COMMIT")


def probe(connection: Any, timeout_s: float) -> None:
    """Have the operating system end the connection when its other end is gone."""
    transport = connection._transport  # asyncpg tells nobody else where the socket is
    plain: Any = transport.get_extra_info("socket")
    if plain is None or plain.family == getattr(socket, "AF_UNIX", None):
        return
    options = {
        "TCP_KEEPIDLE": PROBE_AFTER_S,  # Linux
        "TCP_KEEPALIVE": PROBE_AFTER_S,  # macOS' name of it
        "TCP_KEEPINTVL": PROBE_EVERY_S,
        "TCP_KEEPCNT": PROBES,
        "TCP_USER_TIMEOUT": int(timeout_s * 1000),  # how long what was sent may go unanswered
    }
    with socket.socket(fileno=os.dup(plain.fileno())) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if (option := getattr(socket, name, None)) is not None:
                ours.setsockopt(socket.IPPROTO_TCP, option, value)


def session_settings(timeout_s: float, operation_s: float) -> dict[str, str]:
    """The server's part: it gives up a client that is gone, and what nobody waits for."""
    milliseconds = {
        "tcp_user_timeout": timeout_s,
        "client_connection_check_interval": PROBE_AFTER_S,  # PostgreSQL 14
        "idle_in_transaction_session_timeout": operation_s,
        # The client gives up first, so that it is never told of a limit it does not know.
        "statement_timeout": operation_s + PROBE_AFTER_S,
    }
    return {
        "tcp_keepalives_idle": str(PROBE_AFTER_S),
        "tcp_keepalives_interval": str(PROBE_EVERY_S),
        "tcp_keepalives_count": str(PROBES),
        **{name: str(int(seconds * 1000)) for name, seconds in milliseconds.items()},
    }


async def _keep_session(_connection: Any) -> None:
    """Nobody leaves session state changed, so none is reset: that saves a round trip."""


def reason_of(error: BaseException) -> str:
    """What to say of an error, also of one without a text."""
    return str(error) or type(error).__name__
