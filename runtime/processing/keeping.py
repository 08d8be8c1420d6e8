"""Having the store know of something, about once in EVERY_S and a last time: of a checkpoint.

What there is to tell is told in the courier's loop, with absolute numbers. So a move whose outcome
is open does no harm, and the next one says it all again."""

import asyncio
import atexit
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

from actors.errors import ThornbackError
from actors.event import Event
from runtime.driver.connection import Connection
from runtime.errors import ConnectionClosed, SubscriptionTaken
from store.receipts import Receipt

logger = logging.getLogger("thornback.processing")

#: Those of this process that may have something to say when it ends.
_open: "WeakSet[Keeping]" = WeakSet()


@atexit.register
def move_at_exit() -> None:
    """The program ends, and has closed nothing: what is finished is kept."""
    begun = [keeping.start_last() for keeping in list(_open)]
    wait([last for last in begun if last is not None], Keeping.LAST_S + 1.0)  # all at once


class Progress(Protocol):
    """What a reader says of what he has in hand, in whatever thread. `deal` is the one of which a
    page was taken, of a group (share.py)."""

    @property
    def receipt(self) -> Receipt:
        """What is finished."""

    def hand_out(self, events: Sequence[Event], through: int, deal: int) -> Sequence[Event]:
        """These are handed out, but those that are left out of the answer; and all that is selected
        up to a position has been by then."""

    def take_back(self) -> tuple[Sequence[Event], int]:
        """What is in hand, and its deal; it is to be handed out again."""

    def finish(self) -> None:
        """What is in hand is finished. It is once, whoever says so, and not after the end."""

    def passed(self, through: int, deal: int) -> None:
        """All that is selected up to this position was handed out, and is finished."""


class Keeping(ABC):
    """That of one subscription of this process; its loop alone changes it."""

    #: How long what is finished may wait until the store is told.
    EVERY_S = 1.0
    #: How long the last move is waited for.
    LAST_S = 5.0
    #: The longest pause while moves fail, and after how long that is a warning.
    LONGEST_PAUSE_S, WARN_S = 10.0, 10.0

    def __init__(self, connection: Connection, name: str) -> None:
        """Does not block."""
        self.name = name  #: of the subscription
        self._connection = connection
        self._lost: Exception | None = None  # why the store is told nothing any more
        self._turn = asyncio.Lock()  # one move at a time
        self._timer: asyncio.TimerHandle | None = None  # for the next move
        self._failing_s: float | None = None  # since when moves fail
        self._warned = False
        self._moving: asyncio.Task[None] | None = None
        self._last: asyncio.Task[None] | None = None  # nobody reads any more
        connection.log.keep(self)
        _open.add(self)

    @abstractmethod
    async def move(self) -> int:
        """Have the store know of all that is finished by now; the position. Raises what keeps it
        from knowing: StoreUnavailable, SchemaMismatch, or SubscriptionTaken where this is no
        longer the one that may say so."""

    @abstractmethod
    def untold(self) -> int | None:
        """How many events are finished of which the store does not know; None: there is nothing to
        tell. There may be, without events."""

    @abstractmethod
    def _stop(self) -> None:
        """Nothing is finished any more."""

    async def _leave(self) -> None:  # noqa: B027 - mostly there is nothing to leave
        """After the last move, within its time."""

    async def told(self) -> int:
        """What `finish` of a subscription is answered with."""
        return await self.move()

    def ended(self) -> None:
        """Nobody reads any more: the store is told what was finished, as soon as may be."""
        self._in_loop(self._begin_last)

    def left_behind(self) -> None:
        """This process was forked: the subscription is its parent's, and so is this."""
        _open.discard(self)

    async def last_move(self) -> None:
        """From now on nothing is finished; the store is told what was, for LAST_S at most. What it
        does not learn comes again to whoever opens the subscription next; that is logged."""
        self._begin_last()
        assert self._last is not None
        await asyncio.shield(self._last)

    def wait_last(self) -> None:
        """Block until that is done. Where an event loop runs in this thread it is done soon."""
        if (last := self.start_last()) is not None:
            with suppress(ConnectionClosed, TimeoutError, CancelledError):
                last.result(self.LAST_S + 1.0)

    def start_last(self) -> "Future[None] | None":
        """Begin it, for whoever may wait for it; None where nobody can, or the connection has."""
        if self._connection.closed or self._connection.in_courier():
            return None
        try:
            return self._connection.courier.run(self.last_move())
        except ConnectionClosed:
            return None

    def give_up(self, error: Exception) -> None:
        """The log is another one now, in which these positions mean nothing. In the loop."""
        self._lost = self._lost or error
        self._begin_last()

    def move_soon(self) -> None:
        """There is something to tell. In any thread."""
        self._in_loop(self._move_later)

    def _move_later(self) -> None:
        if self._timer is None and self._last is None:
            self._timer = self._after_a_pause()

    def _after_a_pause(self) -> asyncio.TimerHandle:
        loop, pause_s = asyncio.get_running_loop(), self.EVERY_S
        if self._failing_s is not None:
            failing_s = loop.time() - self._failing_s
            pause_s = min(max(pause_s, failing_s / 2), self.LONGEST_PAUSE_S)
        return loop.call_later(pause_s, self._begin_move)

    def _begin_move(self) -> None:
        self._timer = None
        self._moving = asyncio.ensure_future(self._move_now())

    async def _move_now(self) -> None:
        try:
            await self.move()
            self._say_kept()
        except SubscriptionTaken:
            return  # whoever reads is told
        except ThornbackError as error:
            self._say_not_kept(error)
        except Exception:
            logger.exception("the checkpoint of %r has failed", self.name)
        if self.untold() is not None:
            self._move_later()

    def _say_not_kept(self, error: Exception) -> None:
        now_s = asyncio.get_running_loop().time()
        self._failing_s = now_s if self._failing_s is None else self._failing_s
        if now_s - self._failing_s >= self.WARN_S and not self._warned:
            self._warned = True
            logger.warning(
                "the checkpoint of %r has not been kept for %d seconds; what is read meanwhile "
                "comes again if this program dies: %s", self.name, now_s - self._failing_s, error,
            )  # fmt: skip

    def _say_kept(self) -> None:
        self._failing_s = None
        if self._warned:
            self._warned = False
            logger.warning("the checkpoint of %r is kept again", self.name)

    def _begin_last(self) -> None:
        if self._last is None:
            self._stop()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._last = asyncio.ensure_future(self._move_last())

    async def _move_last(self) -> None:
        try:
            await asyncio.wait_for(self._move_and_leave(), self.LAST_S)
        except asyncio.CancelledError:
            self._say_lost(ConnectionClosed(self._connection.namespace))
            raise
        except Exception as error:
            self._say_lost(error)
        finally:
            _open.discard(self)
            self._connection.log.keep_no_longer(self)

    async def _move_and_leave(self) -> None:
        try:
            await self.move()
        except Exception:  # but not where the time is over, which leaving would begin anew
            await self._leave()
            raise
        await self._leave()

    def _say_lost(self, error: Exception) -> None:
        if (untold := self.untold()) is not None:
            logger.warning(
                "the last checkpoint of %r could not be kept: %s events come again to whoever "
                "opens it next (%s)", self.name, f"{untold:,}", str(error) or type(error).__name__,
            )  # fmt: skip

    def _in_loop(self, step: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the last move was made before
            self._connection.courier.loop.call_soon_threadsafe(step)
