"""A host's mailbox: bounded, and in the order in which each driver sent.

The order is that of store/sequencing.py: a driver numbers its batches within a
generation. A batch that becomes due gets its number in the host; the host runs batches
by these numbers, and runs them again by them.
"""

import asyncio
from collections import deque

from runtime.errors import HostUnavailable, MailboxFull
from runtime.host.batch import Batch
from runtime.wire.commands import Request
from store.sequencing import Sequencer, Why

_OVER = "an earlier batch of its driver was turned away"
_LOST = "turned away: an earlier batch of its driver never came"
_REASONS = {
    Why.OLD: "its driver has begun anew since",
    Why.OVER: _OVER,
    Why.MIDDLE: "it was restarted, or has forgotten this driver",
    Why.AGAIN: "a batch of this number came before",
}


class Mailbox:
    """Batches of commands waiting for a host; at most `capacity` commands unanswered, and
    MAX_BYTES of them as they came.

    One batch is always admitted to an empty mailbox, however large it is, and the empty one
    that begins a generation to any: it is due, and answered, at once. Any other empty one
    takes the room of a command.
    """

    #: Few commands are so large: twenty thousand of 3 KB fit.
    MAX_BYTES = 64 * 1024 * 1024
    #: Drivers remembered; those idle longest are forgotten (they begin a new generation).
    MAX_DRIVERS = 10_000
    #: How long a batch that came early takes up room. A driver that lives has begun anew by
    #: then, or does so when it is told; of one that was killed nothing else will ever come.
    EARLY_S = 60.0

    def __init__(self, host: str, capacity: int, *, max_drivers: int = MAX_DRIVERS) -> None:
        self._host = host
        self._capacity = capacity
        self._sequencer: Sequencer[bytes, int, Batch] = Sequencer(max_senders=max_drivers)
        self._due: deque[Batch] = deque()
        self._wake = asyncio.Event()
        self._held: dict[asyncio.Future[bytes], None] = {}  #: answers that commands wait for
        self._numbers = 0
        self.unanswered = 0
        self._bytes = 0  #: of what is unanswered

    @property
    def last(self) -> int:
        """The number of the batch that became due last; 0 where none has."""
        return self._numbers

    def put(self, request: Request, size_bytes: int = 0) -> Batch:
        """Admit a batch, which came as so many bytes; its `answer` is what the driver waits for.

        Raises MailboxFull when there is no room (nothing of the batch will be run, nor
        any later one of its generation), HostUnavailable for a generation that is over.
        """
        size = len(request.commands) or (1 if request.sequence else 0)
        room = not size or not self.unanswered or self._has_room(size, size_bytes)
        batch = Batch(0, request)
        arrival = self._sequencer.arrive(
            request.driver, request.generation, request.sequence, batch, taken=room
        )
        self._turn_away(arrival.turned_away, HostUnavailable(self._host, _OVER))
        if arrival.why is Why.NOT_TAKEN:
            raise MailboxFull(self._host, self._capacity)
        if arrival.why is not None:
            raise HostUnavailable(self._host, _REASONS[arrival.why])
        self.unanswered += size
        self._bytes += size_bytes
        if request.commands:
            self._held[batch.answer] = None
        batch.answer.add_done_callback(lambda answer: self._answered(answer, size, size_bytes))
        for due in arrival.due:
            self._numbers += 1
            due.number = self._numbers
            self._due.append(due)
        if self._due:
            self._wake.set()
        if not batch.number:
            timer = asyncio.get_running_loop().call_later(self.EARLY_S, self._overdue, batch)
            batch.answer.add_done_callback(lambda _: timer.cancel())
        return batch

    def end_generation(self, batch: Batch) -> None:
        """A batch was turned away: so is all that its driver sent after it in that
        generation, in order that a retry finds nothing of it done before the batch itself.

        Its driver may have begun a newer generation meanwhile, because of another batch.
        That one stands: it has all that its driver knew to be unanswered.
        """
        driver, generation = batch.request.driver, batch.request.generation
        over = HostUnavailable(self._host, _OVER)
        self._turn_away(self._sequencer.turn_away(driver, generation), over)
        due, self._due = self._due, deque()
        for one in due:
            follows = one.request.driver == driver and one.request.generation <= generation
            if follows:
                one.turn_away(over)
            else:
                self._due.append(one)

    def close(self, error: Exception) -> None:
        """Turn away all that is not answered: nobody will take it any more."""
        self._turn_away(self._sequencer.turn_away_all(), error)
        self._turn_away(tuple(self._due), error)
        self._due.clear()

    async def take(self) -> Batch | None:
        """The next batch, or None after `wake`."""
        if not self._due:
            await self._wake.wait()
            self._wake.clear()  # only now: a wake of before this call counts, too
        return self._due.popleft() if self._due else None

    async def wait_answered(self) -> None:
        """Wait until every command that has come by now is answered. What comes meanwhile is not
        waited for: where commands keep coming there is always some."""
        if self._held:
            await asyncio.wait(list(self._held))

    def wake(self) -> None:
        """Let `take` return although nothing came."""
        self._wake.set()

    def _overdue(self, batch: Batch) -> None:
        """A batch has come long ago. If it is early still, its predecessor is lost."""
        if not batch.number:
            left = self._sequencer.turn_away(batch.request.driver, batch.request.generation)
            self._turn_away(left, HostUnavailable(self._host, _LOST))

    def _turn_away(self, batches: tuple[Batch, ...], error: Exception) -> None:
        for batch in batches:
            batch.turn_away(error)

    def _has_room(self, size: int, size_bytes: int) -> bool:
        return (
            self.unanswered + size <= self._capacity and self._bytes + size_bytes <= self.MAX_BYTES
        )

    def _answered(self, answer: "asyncio.Future[bytes]", size: int, size_bytes: int) -> None:
        self.unanswered -= size
        self._bytes -= size_bytes
        self._held.pop(answer, None)
