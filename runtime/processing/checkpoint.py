"""How far a durable subscription has come, and how the store learns of it.

Readers finish events in whatever thread; the store is told in the courier's loop, about once in
EVERY_S, with absolute numbers: the position, and the receipt of all that was finished. So a move
whose outcome is open does no harm, and the next one says it all again.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable

from actors.errors import ThornbackError
from runtime.driver.connection import Connection
from runtime.errors import ConnectionClosed, SubscriptionTaken
from store.appends import CheckpointMove
from store.errors import StaleEpoch, SystemReplaced
from store.receipts import NOTHING_FINISHED, Receipt
from store.selection import Selection

logger = logging.getLogger("thornback.processing")


class Checkpoint:
    """That of one subscription of this process."""

    #: How long what is finished may wait until the store is told.
    EVERY_S = 1.0
    #: So many ids are added to the receipt together, by whoever finishes the last of them.
    TOGETHER = 512
    #: How long closing waits for the last move.
    LAST_S = 5.0

    def __init__(
        self, connection: Connection, name: str, selection: Selection, after: int | None
    ) -> None:
        """Does not block. A subscription that is new begins after a position, or from now on."""
        # Set once:
        self.name = name
        self.on_taken: Callable[[Exception], None] = lambda error: None  #: when it is lost
        self._connection = connection
        self._selection = selection
        self._after = after
        self._epoch = int.from_bytes(connection.world.random(8)) % 2**62
        self._open = False  # by the loop
        self._lock = threading.Lock()  # guards what follows
        self._finished: tuple[int, Receipt] = (0, NOTHING_FINISHED)
        self._ids: list[bytes] = []  # finished, too, and not in the receipt yet
        self._told = False  # the loop knows that there is something new
        # Of the loop alone:
        self._written: tuple[int, Receipt] = (0, NOTHING_FINISHED)
        self._turn = asyncio.Lock()  # one move at a time
        self._timer: asyncio.TimerHandle | None = None  # for the next move
        self._moving: set[asyncio.Task[None]] = set()  # held, so that nobody collects them
        self._ended = False  # nobody reads any more
        connection.when_closed(self._connection_closes, self._left_behind)

    @property
    def finished(self) -> tuple[int, Receipt]:
        """Up to which position all is finished, and what that was; the store may not know yet."""
        with self._lock:
            return self._add_up()

    async def begin(self) -> int:
        """Open the subscription; where it stands. Whoever had it is cut off. Raises
        StoreUnavailable, BusUnavailable and AnotherSelection."""
        log = self._connection.log
        after = await log.head() if self._after is None else self._after
        record = await log.open_subscription(self.name, self._selection, after, self._epoch)
        with self._lock:
            self._finished = self._written = (record.position, record.receipt)
        self._open = True
        return record.position

    def finish(self, through: int, event_ids: Iterable[bytes]) -> None:
        """These events are finished, and with them all that is selected up to a position. May be
        called in any thread."""
        with self._lock:
            self._ids += event_ids
            position, receipt = self._finished
            if through <= position:
                return
            self._finished = through, receipt
            if len(self._ids) >= self.TOGETHER:
                self._add_up()
            if self._told:
                return
            self._told = True
        self._in_loop(self._move_later)

    async def move(self) -> int:
        """Have the store know of all that is finished by now; the position. Raises
        StoreUnavailable, or SubscriptionTaken where this is no longer the one that may say so."""
        async with self._turn:
            with self._lock:
                self._told = False
                finished = self._add_up()
            if self._open and finished != self._written:
                position, receipt = finished
                move = CheckpointMove(
                    name=self.name, epoch=self._epoch, position=position, receipt=receipt
                )
                try:
                    await self._connection.log.move_checkpoint(move)
                except StaleEpoch as error:
                    taken = SubscriptionTaken(self.name)
                    self.on_taken(taken)
                    raise taken from error
                self._written = finished
            return self._written[0]

    def ended(self) -> None:
        """Nobody reads any more: the store is told what was finished, as soon as may be."""
        self._in_loop(self._move_last)

    def wait_moved(self) -> None:
        """Block until the store knows of all that is finished: for LAST_S at most. What it does
        not learn comes again to whoever opens the subscription next; that is logged."""
        try:
            self._connection.courier.run(self.move()).result(self.LAST_S)
        except (ThornbackError, TimeoutError) as error:
            self._lost(error)

    def _add_up(self) -> tuple[int, Receipt]:
        if self._ids:
            position, receipt = self._finished
            self._finished = position, receipt.plus(self._ids)
            self._ids.clear()
        return self._finished

    def _move_later(self) -> None:
        if self._timer is None and not self._ended:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.EVERY_S, self._begin_move)

    def _begin_move(self) -> None:
        self._timer = None
        self._start(self._move_now())

    def _move_last(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._start(self._move_finally())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._moving.add(task)
        task.add_done_callback(self._moving.discard)

    async def _move_now(self) -> None:
        try:
            await self.move()
        except (SubscriptionTaken, SystemReplaced):
            return  # whoever reads is told
        except ThornbackError as error:
            logger.info("the checkpoint of %r waits: %s", self.name, error)
        if self.finished != self._written:
            self._move_later()

    async def _move_finally(self) -> None:
        try:
            await asyncio.wait_for(self.move(), self.LAST_S)
        except (ThornbackError, TimeoutError) as error:
            self._lost(error)
        except asyncio.CancelledError:
            self._lost(ConnectionClosed(self._connection.namespace))
            raise
        self._connection.no_longer(self._connection_closes)

    def _lost(self, error: Exception) -> None:
        finished, written = self.finished, self._written
        if finished != written and not isinstance(error, SubscriptionTaken):
            logger.warning(
                "the last checkpoint of %r could not be kept: %s events come again to whoever "
                "opens it next (%s)", self.name, f"{finished[1].count - written[1].count:,}",
                str(error) or type(error).__name__,
            )  # fmt: skip

    def _connection_closes(self) -> None:
        """In whatever thread closes it; in the courier's own, nobody can wait."""
        if not self._connection.in_courier():
            self.wait_moved()

    def _left_behind(self) -> None:
        """This process was forked: the subscription is its parent's, and so is its checkpoint."""
        self._lock = threading.Lock()

    def _in_loop(self, step: Callable[[], None]) -> None:
        try:
            self._connection.courier.loop.call_soon_threadsafe(step)
        except RuntimeError as error:  # the loop has ended
            raise ConnectionClosed(self._connection.namespace) from error
