"""How far a durable subscription has come.

Its reader says what is handed out and what is finished, in whatever thread; the store is told in
the courier's loop (keeping.py): the position, and the receipt of all that was finished.
"""

import threading
from collections.abc import Callable, Sequence

from actors.event import Event
from runtime.driver.connection import Connection
from runtime.driver.inlet import Inlet
from runtime.driver.starting import Start, position_of
from runtime.errors import ConnectionClosed, SubscriptionTaken, fresh
from runtime.processing.keeping import Keeping
from runtime.processing.taken_names import check_single
from store.appends import CheckpointMove
from store.errors import StaleCheckpoint
from store.receipts import NOTHING_FINISHED, Receipt
from store.selection import Selection


class Checkpoint(Keeping):
    """That of one subscription of this process.

    What it was made of, what its reader changes and what the loop does stand apart below, each with
    what guards it.
    """

    #: So many ids are added to the receipt together, by whoever finishes the last of them.
    TOGETHER = 512

    def __init__(
        self, connection: Connection, name: str, selection: Selection, after: Start
    ) -> None:
        """Does not block. A subscription that is new begins after a position, or from now on."""
        # Set once:
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
        super().__init__(connection, name)

    @property
    def finished(self) -> tuple[int, Receipt]:
        """Up to which position all is finished, and what that was; the store may not know yet."""
        with self._lock:
            return self._add_up()

    @property
    def receipt(self) -> Receipt:
        """What is finished."""
        return self.finished[1]

    async def begin(self, inlet: Inlet) -> int:
        """Open the subscription; where it stands. Whoever had it is cut off, and so is this one
        should somebody else open it. Raises BusUnavailable and SystemNotFound, where there is no
        system, StoreUnavailable, AnotherSelection, and InvalidName for the name of a group or of a
        program."""
        self._fail = inlet.fail
        log = self._connection.log
        await log.head()  # or there is no system
        after = await position_of(log, self._after)
        await log.ask(check_single(self.name))
        if self._over:
            raise ConnectionClosed(self._connection.namespace)
        record = await log.open_subscription(self.name, self._selection, after, self._epoch)
        with self._lock:
            self._finished = self._kept = (record.position, record.receipt)
        return record.position

    # What its reader says: Progress.

    def hand_out(self, events: Sequence[Event], through: int, deal: int) -> Sequence[Event]:
        """They are."""
        with self._lock:
            self._handed = events, through
        return events

    def take_back(self) -> tuple[Sequence[Event], int]:
        """There is one deal."""
        with self._lock:
            (events, _), self._handed = self._handed, ((), 0)
            return events, 0

    def finish(self) -> None:
        """What is in hand is."""
        with self._lock:
            (events, through), self._handed = self._handed, ((), 0)
            if not events or self._over:
                return
            self._ids += [event.id_bytes for event in events]
            self._advance(through)

    def passed(self, through: int, deal: int) -> None:
        """As long as nothing is in hand."""
        with self._lock:
            if not self._handed[0] and not self._over:
                self._advance(through)

    def left_behind(self) -> None:
        """This process was forked: the subscription is its parent's, and so is its checkpoint."""
        self._lock, self._over = threading.RLock(), True
        super().left_behind()

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

    def untold(self) -> int | None:
        """How many events are finished of which the store does not know."""
        finished, kept = self.finished, self._kept
        return None if kept is None or finished == kept else finished[1].count - kept[1].count

    def _stop(self) -> None:
        with self._lock:
            self._over = True
            self._handed = (), 0

    def _advance(self, through: int) -> None:
        position, receipt = self._finished
        if through <= position:
            return
        self._finished = through, receipt
        if len(self._ids) >= self.TOGETHER:
            self._add_up()
        if not self._told:
            self._told = True
            self.move_soon()

    def _add_up(self) -> tuple[int, Receipt]:
        ids, self._ids = self._ids, []
        if ids:
            position, receipt = self._finished
            self._finished = position, receipt.plus(ids)
        return self._finished
