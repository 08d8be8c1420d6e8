"""Durable subscriptions: streams that go on where they were left, whoever died meanwhile."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Self

from actors.event import Event
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from runtime.driver.selecting import checked_after, checked_subscription_name
from runtime.driver.starting import Start
from runtime.driver.subscription import InHand, Subscription
from runtime.errors import NotPossible, SubscribeTimeout
from runtime.process.no_waiting import in_a_loop
from runtime.processing.checkpoint import Checkpoint
from runtime.processing.keeping import Progress
from runtime.processing.membership import Membership
from store.event_store import Page
from store.receipts import Receipt
from store.selection import Selection


class DurableSubscription(Subscription):
    """A subscription with a name, whose checkpoint is kept with the log.

    Every event that it selects is handed out at least once, in order, over any number of restarts
    of whoever reads it, of the system and of the database. An event is finished as soon as the next
    one is asked for, or by `finish`; the checkpoint follows within a second, and with `close`, the
    end of the connection and that of the program. While the database is away it does not, and
    reading goes on. What was handed out beyond the checkpoint when a program died comes again, so
    what is done with an event has to bear that: its `id` stays the same.

    An iteration that is begun anew begins with the event that is in hand: whoever fails at one, and
    iterates again, has it again. It has one reader: who asks for an event while another waits for
    one is told NotPossible.

    One program at a time has it. When somebody opens it anew, whoever had it reads on until his
    next checkpoint, and then iterating raises SubscriptionTaken; what he does until then, the new
    reader does again. So it is with a program that hung, and comes back.

    `receipt` says which events were finished; the log itself can be asked whether that is all of
    them, and each once (`thornback verify`).
    """

    #: How long `finish` may take.
    FINISH_S = 60.0

    def __init__(
        self, connection: Connection, name: str, selection: Selection, after: Start
    ) -> None:
        """Does not block. Raises ConnectionClosed, InvalidName, and ValueError for what is no
        position."""
        after = None if after is None else checked_after(after)
        # However they were written down: the same patterns are the same selection.
        selection = Selection(
            event_types=tuple(sorted(set(selection.event_types))),
            sources=tuple(sorted(set(selection.sources))),
            kinds=selection.kinds,
        )
        connection.check_open()
        self._connection = connection
        self._checkpoint, self._progress = self._kept_by(
            connection, checked_subscription_name(name), selection, after
        )
        self._reader = threading.Lock()  # held while an event is asked for
        self._again: list[Event] = []  # in hand when this iteration began
        self._again_deal = 0  # and the deal that they were of
        super().__init__(connection, selection, None, self._checkpoint)

    def _kept_by(
        self, connection: Connection, name: str, selection: Selection, after: Start
    ) -> "tuple[Checkpoint | Membership, Progress]":
        """What the store is told by, and what the reader says to it."""
        checkpoint = Checkpoint(connection, name, selection, after)
        return checkpoint, checkpoint

    @property
    def name(self) -> str:
        """What it is called in the log."""
        return self._checkpoint.name

    @property
    def receipt(self) -> Receipt:
        """Which events were finished, in this life and those before, but perhaps the last few."""
        return self._progress.receipt

    def __repr__(self) -> str:
        """What it is called, and where it stands."""
        return f"<{type(self).__name__} {self.name!r}, {self.receipt.count:,} events finished>"

    def wait_begun(self, timeout_s: float) -> None:
        """Block until it is open. Raises SubscribeTimeout, or what ended it. It may yet be opened
        then, for nobody; whoever had it is told so."""
        try:
            super().wait_begun(timeout_s)
        except SubscribeTimeout as error:
            raise SubscribeTimeout(timeout_s, self.name) from error

    def finish(self) -> Reply[int]:
        """All that was handed out is finished. The reply is the checkpoint, once it is durable. It
        raises StoreUnavailable, SubscriptionTaken, ConnectionClosed, or AskTimeout after a minute.
        """
        self._progress.finish()
        name = f"the checkpoint of {self.name}"
        return self._connection.errand(name, self._checkpoint.told, self.FINISH_S)

    def __iter__(self) -> Iterator[Event]:
        self._hand_again()
        stream = super().__iter__()
        while (event := self._ask_next(stream)) is not None:
            yield event

    def pages(self) -> Iterator[list[Event]]:
        """The same stream, in the pieces in which it arrives: a piece is finished as soon as the
        next one is asked for."""
        self._hand_again()
        if again := self._again:
            self._again = []
            yield _there(self._progress.hand_out(again, again[-1].position or 0, self._again_deal))
        stream = super().pages()
        while (page := self._ask_page(stream)) is not None:
            yield page

    def __aiter__(self) -> AsyncIterator[Event]:
        self._hand_again()
        return self

    async def __anext__(self) -> Event:
        self._claim()
        try:
            self._progress.finish()
            if (again := self._next_again()) is not None:
                return again
            while True:
                event = await super().__anext__()
                if self._hands_out(event, self._in_hand.deal):
                    return event
        finally:
            self._reader.release()

    def begin_again(self) -> None:
        """What is in hand comes once more."""
        self._hand_again()

    def next_now(self) -> Event | None:
        """See Subscription; what was handed out before is finished."""
        self._claim()
        try:
            self._progress.finish()
            if (event := self._next_again()) is not None:
                return event
            while (event := super().next_now()) is not None:
                if self._hands_out(event, self._in_hand.deal):
                    return event
        finally:
            self._reader.release()
        return None

    def page_now(self) -> list[Event] | None:
        """See Subscription; the piece that was handed out before is finished."""
        if again := self._again:
            self._again = []
            return _there(self._progress.hand_out(again, again[-1].position or 0, self._again_deal))
        self._claim()
        try:
            self._progress.finish()
            page = super().page_now()
            if page is None:
                return None
            in_hand = self._in_hand
            return _there(self._progress.hand_out(page, in_hand.through, in_hand.deal))
        finally:
            self._reader.release()

    def finish_in_hand(self) -> None:
        """What was handed out is finished."""
        self._progress.finish()

    def close(self) -> None:
        """End the stream, and keep the checkpoint: that is waited for, for five seconds at most,
        unless an event loop runs in this thread (`aclose`). What is in hand is not finished."""
        super().close()
        if not in_a_loop():
            self._checkpoint.wait_last()

    async def aclose(self) -> None:
        """The same, awaited."""
        super().close()
        await asyncio.to_thread(self._checkpoint.wait_last)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _ask_next(self, stream: Iterator[Event]) -> Event | None:
        self._claim()
        try:
            self._progress.finish()
            if (event := self._next_again()) is not None:
                return event
            for event in stream:
                if self._hands_out(event, self._in_hand.deal):
                    return event
        finally:
            self._reader.release()
        return None

    def _ask_page(self, stream: Iterator[list[Event]]) -> list[Event] | None:
        self._claim()
        try:
            self._progress.finish()
            page = next(stream, None)
            if page is None:
                return None
            in_hand = self._in_hand
            return _there(self._progress.hand_out(page, in_hand.through, in_hand.deal))
        finally:
            self._reader.release()

    def _hand_again(self) -> None:
        """An iteration begins: with what is in hand, and what was to be handed out again."""
        events, deal = self._progress.take_back()
        if events:
            self._again, self._again_deal = [*events, *self._again], deal

    def _next_again(self) -> Event | None:
        while self._again:
            if self._hands_out(event := self._again.pop(0), self._again_deal):
                return event
        return None

    def _hands_out(self, event: Event, deal: int) -> bool:
        """Is it handed out? One whose data was erased is finished, and nobody sees it."""
        handed = bool(self._progress.hand_out((event,), event.position or 0, deal))
        if handed and event.erased:
            self._progress.finish()
            return False
        return handed

    def _unpacked(self, page: Page) -> InHand:
        return InHand(self._decoder.page(page.rows), page.through)

    def _claim(self) -> None:
        if not self._reader.acquire(blocking=False):
            raise NotPossible(
                f"somebody else waits for the next event of {self.name!r}: a durable subscription "
                "has one reader, who finishes an event by asking for the next one"
            )

    def _passed(self, done: InHand) -> None:
        """All of it was handed out, and the next one is asked for."""
        self._progress.passed(done.through, done.deal)


def _there(handed: Iterable[Event]) -> list[Event]:
    """Those whose data was not erased; the others are finished with them."""
    return [event for event in handed if not event.erased]
