"""How far a durable subscription has come, and how the store learns of it.

Its reader says what is handed out and what is finished, in whatever thread; the store is told in
the courier's loop, about once in EVERY_S, with absolute numbers: the position, and the receipt of
all that was finished. So a move whose outcome is open does no harm, and the next one says it all
again.
"""

import asyncio
import atexit
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from weakref import WeakSet

from actors.errors import ThornbackError
from actors.event import Event
from runtime.driver.connection import Connection
from runtime.driver.starting import Start, position_of
from runtime.errors import ConnectionClosed, SubscriptionTaken, fresh
from store.appends import CheckpointMove
from store.errors import StaleCheckpoint
from store.receipts import NOTHING_FINISHED, Receipt
from store.selection import Selection

logger = logging.getLogger("thornback.processing")

#: Those of this process that may have something to say when it ends.
_open: "WeakSet[Checkpoint]" = WeakSet()


@atexit.register
def move_at_exit() -> None:
    """The program ends, and has closed nothing: what is finished is kept."""
    begun = [checkpoint.start_last() for checkpoint in list(_open)]
    wait([last for last in begun if last is not None], Checkpoint.LAST_S + 1.0)  # all at once


class Checkpoint:
    """That of one subscription of this process.

    More than fifteen fields: what it was made of, what its reader changes and what the loop does
    stand apart below, each with what guards it.
    """

    #: How long what is finished may wait until the store is told.
    EVERY_S = 1.0
    #: How long the last move is waited for.
    LAST_S = 5.0
    #: The longest pause while moves fail, and after how long that is a warning.
    LONGEST_PAUSE_S, WARN_S = 10.0, 10.0
    #: So many ids are added to the receipt together, by whoever finishes the last of them.
    TOGETHER = 512

    def __init__(
        self, connection: Connection, name: str, selection: Selection, after: Start
    ) -> None:
        """Does not block. A subscription that is new begins after a position, or from now on."""
        # Set once:
        self.name = name
        self._connection = connection
        self._selection = selection
        self._after = after
        self._epoch = int.from_bytes(connection.world.random(8)) % 2**62
        # Of whoever reads, and guarded by the lock. A signal handler may come in between.
        self._lock = threading.RLock()
        self._handed: tuple[Sequence[Event], int] = ((), 0)  # not finished; and how far they reach
        self._finished: tuple[int, Receipt] = (0, NOTHING_FINISHED)
        self._ids: list[bytes] = []  # finished, too, and not in the receipt yet
        self._told = False  # the loop knows that there is something new
        self._over = False  # nothing is finished any more
        # Of the loop alone:
        self._fail: Callable[[Exception], None] = lambda error: None  # ends its feed
        self._kept: tuple[int, Receipt] | None = None  # what the store has; None: it is not open
        self._lost: Exception | None = None  # why the store is told nothing any more
        self._turn = asyncio.Lock()  # one move at a time
        self._timer: asyncio.TimerHandle | None = None  # for the next move
        self._failing_s: float | None = None  # since when moves fail
        self._warned = False
        self._moving: asyncio.Task[None] | None = None
        self._last: asyncio.Task[None] | None = None  # nobody reads any more
        connection.log.keep(self)
        _open.add(self)

    @property
    def finished(self) -> tuple[int, Receipt]:
        """Up to which position all is finished, and what that was; the store may not know yet."""
        with self._lock:
            return self._add_up()

    async def begin(self, fail: Callable[[Exception], None]) -> int:
        """Open the subscription; where it stands. Whoever had it is cut off. `fail` ends the feed,
        should somebody else open it. Raises BusUnavailable and SystemNotFound, where there is no
        system, StoreUnavailable and AnotherSelection."""
        self._fail = fail
        log = self._connection.log
        await log.head()  # or there is no system
        after = await position_of(log, self._after)
        if self._over:
            raise ConnectionClosed(self._connection.namespace)
        record = await log.open_subscription(self.name, self._selection, after, self._epoch)
        with self._lock:
            self._finished = self._kept = (record.position, record.receipt)
        return record.position

    # What its reader says.

    def hand_out(self, events: Sequence[Event], through: int) -> None:
        """These are handed out, and all that is selected up to a position has been by then."""
        with self._lock:
            self._handed = events, through

    def take_back(self) -> Sequence[Event]:
        """What is in hand; it is to be handed out again."""
        with self._lock:
            (events, _), self._handed = self._handed, ((), 0)
            return events

    def finish(self) -> None:
        """What is in hand is finished. It is once, whoever says so, and not after the end."""
        with self._lock:
            (events, through), self._handed = self._handed, ((), 0)
            if not events or self._over:
                return
            self._ids += [event.id_bytes for event in events]
            self._advance(through)

    def passed(self, through: int) -> None:
        """All that is selected up to this position was handed out, and is finished."""
        with self._lock:
            if not self._handed[0] and not self._over:
                self._advance(through)

    def ended(self) -> None:
        """Nobody reads any more: the store is told what was finished, as soon as may be."""
        self._in_loop(self._begin_last)

    def left_behind(self) -> None:
        """This process was forked: the subscription is its parent's, and so is its checkpoint."""
        self._lock, self._over = threading.RLock(), True
        _open.discard(self)

    # What the store is told.

    async def move(self) -> int:
        """Have the store know of all that is finished by now; the position. Raises what keeps it
        from knowing: StoreUnavailable, SchemaMismatch, or SubscriptionTaken where this is no
        longer the one that may say so."""
        async with self._turn:
            with self._lock:
                self._told = False
                finished = self._add_up()
            if self._kept is None or finished == self._kept:
                return finished[0]
            if self._lost is not None:
                raise fresh(self._lost)
            position, receipt = finished
            move = CheckpointMove(
                name=self.name, epoch=self._epoch, position=position, receipt=receipt
            )
            try:
                await self._connection.log.move_checkpoint(move)
            except StaleCheckpoint as error:
                self._lost = SubscriptionTaken(self.name)
                self._fail(self._lost)
                raise self._lost from error
            self._kept = finished
            return position

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

    def _advance(self, through: int) -> None:
        position, receipt = self._finished
        if through <= position:
            return
        self._finished = through, receipt
        if len(self._ids) >= self.TOGETHER:
            self._add_up()
        if not self._told:
            self._told = True
            self._in_loop(self._move_later)

    def _add_up(self) -> tuple[int, Receipt]:
        ids, self._ids = self._ids, []
        if ids:
            position, receipt = self._finished
            self._finished = position, receipt.plus(ids)
        return self._finished

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
        if self.finished != self._kept:
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
            with self._lock:
                self._over = True
                self._handed = (), 0
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._last = asyncio.ensure_future(self._move_last())

    async def _move_last(self) -> None:
        try:
            await asyncio.wait_for(self.move(), self.LAST_S)
        except asyncio.CancelledError:
            self._say_lost(ConnectionClosed(self._connection.namespace))
            raise
        except Exception as error:
            self._say_lost(error)
        finally:
            _open.discard(self)
            self._connection.log.keep_no_longer(self)

    def _say_lost(self, error: Exception) -> None:
        finished, kept = self.finished, self._kept
        if kept is not None and finished != kept:
            logger.warning(
                "the last checkpoint of %r could not be kept: %s events come again to whoever "
                "opens it next (%s)", self.name, f"{finished[1].count - kept[1].count:,}",
                str(error) or type(error).__name__,
            )  # fmt: skip

    def _in_loop(self, step: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and the last move was made before
            self._connection.courier.loop.call_soon_threadsafe(step)
