"""The way of one process to the simulated database: a pool of connections."""

from asyncio import Future, Semaphore, get_running_loop
from collections.abc import Callable, Iterable
from typing import Any

from thornback.simulation.database import Database, gone
from thornback.simulation.database_requests import ClientRequest
from thornback.simulation.draws import latency_s, stream
from thornback.simulation.scheduler import Owner


class DatabaseLink:
    """That of one process, through which it asks for everything."""

    def __init__(
        self,
        database: Database,
        client: Owner,
        *,
        pool_size: int,
        timeout_s: float,
        system: str | None = None,
    ) -> None:
        self._database = database
        self._client = client
        self._pool = Semaphore(pool_size)
        self._timeout_s = timeout_s
        self._system = system  # whose claim epochs are opened under
        self._draw = stream(database.loop.seed, "store", self._client)
        self._closed = False

    async def close(self) -> None:
        self._closed = True

    async def ask(
        self,
        work: Callable[[], Any],
        names: Iterable[str] = (),
        *,
        commits: bool = False,
        opens: bool = False,
        gives_up: bool = False,
        moves: bool = False,
        saves: bool = False,
        ready: Callable[[], bool] | None = None,
        holds_s: float = 0.0,
    ) -> Any:
        """Have the database do something, in its time; where that has to be `ready`, it waits for
        that for a while, with its locks held."""
        if self._closed:
            raise gone("the pool is closed")
        async with self._pool:
            future: Future[Any] = get_running_loop().create_future()
            request = ClientRequest(
                self._client,
                frozenset(names),
                work,
                self._heard(future),
                commits=commits,
                opens=opens,
                gives_up=gives_up,
                moves=moves,
                saves=saves,
                ready=ready,
                holds_s=holds_s,
            )
            self._database.server.later(latency_s(self._draw), self._database.ask, request)
            given_up = get_running_loop().call_later(
                self._timeout_s + holds_s, _settle, future, None, gone("no answer in time")
            )
            try:
                return await future
            finally:
                request.open = False
                given_up.cancel()

    def _heard(self, future: "Future[Any]") -> Callable[[Any, Exception | None], None]:
        def heard(result: Any, error: Exception | None) -> None:
            self._client.later(latency_s(self._draw), _settle, future, result, error)

        return heard


def _settle(future: "Future[Any]", result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
