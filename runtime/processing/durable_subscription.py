"""Durable subscriptions: streams that go on where they were left, whoever died meanwhile."""

from collections.abc import Iterator

from actors.event import Event
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from runtime.driver.selecting import checked_position
from runtime.driver.subscription import Subscription
from runtime.process.no_waiting import in_a_loop
from runtime.processing.checkpoint import Checkpoint
from store.receipts import Receipt
from store.selection import Selection


class DurableSubscription(Subscription):
    """A subscription with a name, whose checkpoint is kept with the log.

    Every event that it selects is handed out at least once, in order, over any number of restarts
    of whoever reads it, of the system and of the database. An event is finished as soon as the next
    one is asked for, or by `finish`; the checkpoint follows within a second, and at the latest with
    `close`. Whatever was handed out beyond the checkpoint when a program died comes again, so what
    is done with an event has to bear that: its `id` stays the same.

    One reader has it at a time. When somebody opens it anew, whoever had it reads on for a second
    or so, and then iterating raises SubscriptionTaken; what he does until then, the new reader does
    again. So it is with a program that hung, and comes back.

    `receipt` says which events were finished; the log itself can be asked whether that is all of
    them, and each once (`thornback verify`).
    """

    def __init__(
        self, connection: Connection, name: str, selection: Selection, after: int | None
    ) -> None:
        """Does not block. Raises ConnectionClosed, and ValueError for what is no position."""
        after = None if after is None else checked_position(after)
        # However they were written down: the same patterns are the same selection.
        selection = Selection(
            event_types=tuple(sorted(set(selection.event_types))),
            sources=tuple(sorted(set(selection.sources))),
        )
        self._checkpoint = Checkpoint(connection, name, selection, after)
        self._connection = connection
        #: Handed out, and not finished; in the hands of whoever reads.
        self._handed: list[Event] = []
        super().__init__(connection, selection, None, self._checkpoint)
        self._checkpoint.on_taken = self._inlet.fail

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return self._checkpoint.name

    @property
    def receipt(self) -> Receipt:
        """Which events were finished, in this life and those before, but perhaps the last few."""
        return self._checkpoint.finished[1]

    def __repr__(self) -> str:
        """What it is called, and where it stands."""
        return f"<{type(self).__name__} {self.name!r}, {self.receipt.count:,} events finished>"

    def finish(self) -> Reply[int]:
        """All that was handed out is finished. The reply is the checkpoint, once it is durable. It
        raises StoreUnavailable, SubscriptionTaken or ConnectionClosed."""
        self._finish_handed()
        self._checkpoint.finish(self._position, ())
        return self._connection.errand(f"the checkpoint of {self.name}", self._checkpoint.move)

    def __iter__(self) -> Iterator[Event]:
        self._finish_handed()
        for event in super().__iter__():
            self._handed.append(event)
            yield event
            self._finish_handed()

    def pages(self) -> Iterator[list[Event]]:
        """The same stream, in the pieces in which it arrives: a piece is finished as soon as the
        next one is asked for."""
        self._finish_handed()
        for page in super().pages():
            self._handed += page
            yield page
            self._finish_handed()

    async def __anext__(self) -> Event:
        self._finish_handed()
        event = await super().__anext__()
        self._handed.append(event)
        return event

    def close(self) -> None:
        """End the stream, and keep the checkpoint: that is waited for, for five seconds at most,
        unless an event loop runs in this thread. The event that is in hand is not finished."""
        super().close()
        if not self._connection.closed and not in_a_loop():
            self._checkpoint.wait_moved()

    def _passed(self, through: int) -> None:
        """All up to there was handed out, and the next one is asked for."""
        self._checkpoint.finish(through, ())

    def _finish_handed(self) -> None:
        if handed := self._handed:
            self._checkpoint.finish(handed[-1].position or 0, [each.id_bytes for each in handed])
            handed.clear()
