"""Errands: what a driver has done in its courier's loop, like asking the directory how all are."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ray.exceptions import RayError, RayTaskError

from actors.errors import ThornbackError
from runtime.driver.courier import Loop
from runtime.driver.pending import Pending
from runtime.driver.reply import Reply, as_it_is
from runtime.errors import AskTimeout, ConnectionClosed, HostUnavailable, fresh
from runtime.topology.names import DIRECTORY_ACTOR

logger = logging.getLogger("thornback.driver")

T = TypeVar("T")


class Errands:
    """Those of one connection. May be used from any thread."""

    def __init__(self, namespace: str, courier: Loop) -> None:
        self._namespace, self._courier = namespace, courier  # immutable
        self._lock = threading.Lock()  # guards what follows
        self._pending: dict[Pending[Any], None] = {}  # in their order
        self._ended: Exception | None = None  # none is taken any more, because of this

    def run(
        self, pending: Pending[T], work: Callable[[], Awaitable[T]], limit_s: float | None
    ) -> Reply[T]:
        """Run something in the courier's loop; the reply is what it returns. It raises
        AskTimeout after `limit_s`, HostUnavailable for the errors of Ray, what the directory
        raised, and ConnectionClosed when the connection is closed before it is done. Raises
        ConnectionClosed when it is closed now."""
        with self._lock:
            if self._ended is not None:
                raise fresh(self._ended)
            self._pending[pending] = None
        running = self._courier.run(self._run(pending, work, limit_s))
        # Also where it is cancelled before it has begun: nobody is to wait for it.
        running.add_done_callback(lambda _: pending.finish(None, ConnectionClosed(self._namespace)))
        return Reply(pending, 0, as_it_is)

    def end(self) -> list[Pending[Any]]:
        """Take no more; those that are not done, which the caller is to finish."""
        with self._lock:
            self._ended = ConnectionClosed(self._namespace)
            return list(self._pending)

    def left_behind(self, error: Exception) -> None:
        """This process was forked, and what is to be done is done in its parent."""
        self._lock, self._ended = threading.Lock(), error
        pending, self._pending = list(self._pending), {}
        for one in pending:
            one.left_behind(error)

    async def _run(
        self, pending: Pending[T], work: Callable[[], Awaitable[T]], limit_s: float | None
    ) -> None:
        answer: T | None = None
        error: Exception | None = None
        try:
            async with asyncio.timeout(limit_s):
                answer = await work()
        except TimeoutError:
            error = AskTimeout(pending.name, limit_s or 0.0)
        except RayTaskError as failure:  # the directory raised it, or had it of another process
            cause = failure.cause
            while isinstance(cause, RayTaskError):
                cause = cause.cause
            theirs = isinstance(cause, ThornbackError)
            error = cause if theirs else HostUnavailable(DIRECTORY_ACTOR, str(failure))
        except (RayError, ConnectionError) as failure:
            error = HostUnavailable(DIRECTORY_ACTOR, type(failure).__name__)
        except Exception as failure:
            if not isinstance(failure, ThornbackError):
                logger.exception("%s has failed", pending.name)
            error = failure
        with self._lock:
            self._pending.pop(pending, None)
        pending.finish(answer, error)
