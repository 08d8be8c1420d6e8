"""Dedicated hosts: found, or started when they are first needed."""

import asyncio
from collections.abc import Callable
from typing import Any

from ray.exceptions import ActorDiedError, RayError, RayTaskError

from actors.errors import ThornbackError
from runtime.errors import StartFailed
from runtime.transport.peers import awaited


def reason_of(error: BaseException) -> str:
    """Why a process did not start, without what Ray tells about the way there."""
    if isinstance(error, RayTaskError):
        return str(error.cause)
    if isinstance(error, ActorDiedError) and error.actor_init_failed:
        return str(error).strip().splitlines()[-1]  # the last line of a traceback
    return str(error) or type(error).__name__


class DedicatedHosts:
    """Finds the hosts that run one actor each, and starts those that are not there.

    Starts run side by side, a bounded number at a time, so that one which hangs or fails
    keeps nobody else waiting. Who asks for the same host meanwhile shares its start.
    """

    #: Starts at a time: one takes most of a second of a processor, and 50 MB to stay.
    AT_ONCE = 16
    #: How long one start may take until it is given up and its process ended.
    START_S = 60.0

    def __init__(
        self,
        find: Callable[[str], Any],
        start: Callable[[str, bytes | None], Any],
        end: Callable[[str], None],
    ) -> None:
        self._find, self._start, self._end = find, start, end
        self._known: set[str] = set()
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(self.AT_ONCE)

    async def ensure_started(self, source: str, actor: bytes | None) -> None:
        """Return when the host of this source is ready. Raises StartFailed, and then the
        next call tries again."""
        if source in self._known:
            return
        starting = self._starting.get(source)
        if starting is None:
            starting = asyncio.ensure_future(self._make_ready(source, actor))
            self._starting[source] = starting
            starting.add_done_callback(lambda _: self._starting.pop(source, None))
        await asyncio.shield(starting)

    async def cancel(self) -> None:
        """Start no more, and wait until no start is under way."""
        under_way = list(self._starting.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _make_ready(self, source: str, actor: bytes | None) -> None:
        async with self._room:
            handle, ours = self._handle(source, actor)
            try:
                await asyncio.wait_for(awaited(handle.ready.remote()), self.START_S)
            except TimeoutError as error:
                if ours:  # nobody has used it yet, and its name shall be free for another try
                    self._end(source)
                raise StartFailed(source, f"not ready within {self.START_S:g} s") from error
            except (RayError, ThornbackError) as error:
                raise StartFailed(source, reason_of(error)) from error
        self._known.add(source)

    def _handle(self, source: str, actor: bytes | None) -> tuple[Any, bool]:
        try:
            return self._find(source), False
        except ValueError:
            return self._start(source, actor), True
