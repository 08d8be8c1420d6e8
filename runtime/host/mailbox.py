"""A host's mailbox: bounded, and in the order in which each driver sent.

Calls to an async actor may overtake one another, so a driver numbers its batches
within a generation and the mailbox puts them back in order. After a failure a driver
begins a new generation; what is left of the old one is turned away. The first batch of
a generation travels alone, so one that comes without it is from before a restart.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from runtime.errors import HostUnavailable, MailboxFull
from runtime.host.batch import Batch
from runtime.wire.commands import Request

_OVER = "an earlier batch of its driver was turned away"
_UNKNOWN = "it was restarted, or has forgotten this driver"


@dataclass(slots=True)
class _Order:
    """Where a driver stands: its next batch, and those that came too early."""

    generation: int = -1
    next: int = 0
    over: bool = False  #: a batch of this generation was turned away, so all later ones are
    early: dict[int, Batch] = field(default_factory=dict)


class Mailbox:
    """Batches of commands waiting for a host; at most `capacity` commands unanswered.

    One batch is always admitted to an empty mailbox, however large it is.
    """

    #: Drivers remembered; those idle longest are forgotten (they begin a new generation).
    MAX_DRIVERS = 10_000

    def __init__(self, host: str, capacity: int) -> None:
        self._host = host
        self._capacity = capacity
        self._orders: dict[bytes, _Order] = {}
        self._due: deque[Batch] = deque()
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._numbers = 0
        self.unanswered = 0

    def put(self, request: Request) -> Batch:
        """Admit a batch; its `answer` is what the driver waits for.

        Raises MailboxFull when there is no room (nothing of the batch will be run, nor
        any later one of its generation), HostUnavailable for a generation that is over.
        """
        order = self._order(request)
        size = len(request.commands)
        if order.over:
            raise HostUnavailable(self._host, _OVER)
        if self.unanswered and self.unanswered + size > self._capacity:
            order.over = True
            raise MailboxFull(self._host, self._capacity)
        self._numbers += 1
        batch = Batch(self._numbers, request)
        self.unanswered += size
        batch.answer.add_done_callback(lambda _: self._answered(size))
        order.early[request.sequence] = batch
        while (due := order.early.pop(order.next, None)) is not None:
            self._due.append(due)
            order.next += 1
        if self._due:
            self._wake.set()
        return batch

    def end_generation(self, batch: Batch) -> None:
        """A batch was turned away: so is all that its driver sent after it, in order that
        a retry finds nothing of it done before the batch itself."""
        request = batch.request
        order = self._orders.get(request.driver)
        if order is None or order.generation != request.generation:
            return
        order.over = True
        self._turn_away(order)
        for due in list(self._due):
            if due.request.driver == request.driver:
                self._due.remove(due)
                due.turn_away(HostUnavailable(self._host, _OVER))

    def close(self, error: Exception) -> None:
        """Turn away all that is not answered: nobody will take it any more."""
        for order in self._orders.values():
            order.over = True
            for batch in order.early.values():
                batch.turn_away(error)
            order.early.clear()
        for batch in self._due:
            batch.turn_away(error)
        self._due.clear()

    async def take(self) -> Batch | None:
        """The next batch, or None after `wake`."""
        if not self._due:
            await self._wake.wait()
            self._wake.clear()  # only now: a wake of before this call counts, too
        return self._due.popleft() if self._due else None

    async def emptied(self) -> None:
        """Wait until every command is answered."""
        while self.unanswered:
            self._empty.clear()
            await self._empty.wait()

    def wake(self) -> None:
        """Let `take` return although nothing came."""
        self._wake.set()

    def _order(self, request: Request) -> _Order:
        order = self._orders.pop(request.driver, None)
        if order is None:
            while len(self._orders) >= self.MAX_DRIVERS:
                self._turn_away(self._orders.pop(next(iter(self._orders))))
            order = _Order()
        self._orders[request.driver] = order  # at the end: used last
        if request.generation < order.generation:
            raise HostUnavailable(self._host, _OVER)
        if request.generation > order.generation:
            if request.sequence:
                raise HostUnavailable(self._host, _UNKNOWN)
            self._turn_away(order)
            order.generation, order.next, order.over = request.generation, 0, False
        return order

    def _turn_away(self, order: _Order) -> None:
        for batch in order.early.values():
            batch.turn_away(HostUnavailable(self._host, _OVER))
        order.early.clear()

    def _answered(self, size: int) -> None:
        self.unanswered -= size
        if not self.unanswered:
            self._empty.set()
