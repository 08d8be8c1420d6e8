"""Subscriptions: the log from a position on, then live, as one stream of events.

A subscription is a feed (runtime/partition/feed.py), which lives in the courier's loop, behind
its inlet (inlet.py), and the page in hand. It may be iterated in any thread and in any
event loop: whoever reads takes a page only when it is there, and never while waiting, so nobody
who gives up takes one along. No reader needs a thread, and none waits in one that is not his own.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from datetime import datetime
from typing import Self
from weakref import finalize, ref

from actors.event import Event
from runtime.driver.connection import Connection
from runtime.driver.inlet import Beginning, FromMoment, Inlet
from runtime.driver.pending import lock_seconds
from runtime.driver.starting import Start, checked_start
from runtime.errors import Lagged, SubscribeTimeout, fresh
from runtime.partition.pages_ahead import Gap
from runtime.process.no_waiting import check_may_wait
from runtime.wire.polls import FROM_NOW
from store.event_store import Page
from store.rows.decoding import Decoded, Decoder
from store.rows.tombstones import TOMBSTONE_TEXT
from store.selection import Selection


class InHand:
    """The page that is being handed out, and how far it reaches."""

    __slots__ = ("clocks", "deal", "events", "through")

    def __init__(self, page: Decoded, through: int, deal: int = 0) -> None:
        self.events = iter(page.events)
        self.clocks = page.clocks
        self.through = through
        self.deal = deal  #: of a member of a group (runtime/processing/share.py)


class Subscription:
    """Events in the order of their positions, each aggregate's in version order.

    Iterate it, with `for` or `async for`, one reader at a time; it has no end until
    `close`, and a further iteration goes on where the last one was left, in whatever
    thread or loop. `position` is how far what was handed out reaches: subscribing again
    `after` it goes on without a gap. While bus or database are away it waits and goes on
    afterwards, also in the system that is launched anew after a drain. Iterating raises
    SystemNotFound where none comes, or one with another log, SystemReplaced where another
    system took the database over, and ConnectionClosed once the connection was closed.

    Events whose data was erased (ActorSystem.erase) are passed over; `actor-erased` comes.

    One that does not catch up raises Lagged, once, where it fell behind what the bus has kept, and
    goes on behind that.

    One that nobody holds any more is closed when Python finds that out, and that is logged.
    """

    def __init__(
        self,
        connection: Connection,
        selection: Selection,
        after: Start,
        beginning: Beginning | None = None,
        *,
        catch_up: bool = True,
    ) -> None:
        """Does not block. Raises ConnectionClosed, and ValueError for what is no position."""
        start = checked_start(after)
        position = None if isinstance(start, datetime) else start
        if isinstance(start, datetime):
            beginning = FromMoment(connection, start)
        # Set once:
        self._clock = connection.clock
        self._decoder = Decoder()
        self._inlet = Inlet(connection, selection, position, beginning, catch_up=catch_up)
        # Of whoever reads:
        self._position = FROM_NOW if position is None else position
        self._in_hand = InHand(Decoded([], []), self._position)
        # Guards what follows, and the turn from page to page:
        self._lock = threading.Lock()
        self._page: Page | None = None  # taken, and not decoded yet
        # By a weak reference: what it holds would be kept alive by the interpreter itself, and
        # with it whatever a connection leads to, perhaps this subscription.
        finalize(self, _abandon, ref(self._inlet)).atexit = False

    @property
    def position(self) -> int:
        """How far what was handed out reaches; where it begins, before anything was."""
        return max(self._position, self._inlet.start)

    def __repr__(self) -> str:
        """Where it stands."""
        where = f"after position {self.position}" if self.position >= 0 else "from now on"
        return f"<Subscription {where}>"

    def wait_begun(self, timeout_s: float) -> None:
        """Block until it is known after which position the subscription begins: what is
        committed afterwards will come. Raises SubscribeTimeout, or what ended it; there is
        no subscription then."""
        try:
            check_may_wait("a subscription")
            self._inlet.begun.result(lock_seconds(timeout_s))
        except TimeoutError as error:
            self.close()
            raise SubscribeTimeout(timeout_s) from error
        except Exception as error:
            self.close()
            raise fresh(error) from error

    def __iter__(self) -> Iterator[Event]:
        observe_events = self._clock.observe_events
        while not self._inlet.over():
            in_hand = self._in_hand
            # A list's iterator stays where it is when this one is closed.
            for event in in_hand.events:
                observe_events((event.clock_counts,))
                self._position = event.position or self._position
                yield event
                if self._inlet.over():
                    return
            self._turn(in_hand)

    def pages(self) -> Iterator[list[Event]]:
        """The same stream, in the pieces in which it arrives (some may be empty)."""
        observe_events = self._clock.observe_events
        while not self._inlet.over():
            in_hand = self._in_hand
            events = list(in_hand.events)
            observe_events(in_hand.clocks)
            self._position = max(self._position, in_hand.through)
            yield events
            self._turn(in_hand)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._inlet.over():
            in_hand = self._in_hand
            if (event := self._next_of(in_hand)) is not None:
                return event
            if (waiter := self._turned_or(in_hand)) is not None:
                try:
                    await asyncio.wrap_future(waiter)
                finally:
                    self._inlet.give_back(waiter)
        raise StopAsyncIteration

    def begin_again(self) -> None:
        """An iteration begins anew, by `next_now` or `page_now`."""

    def next_now(self) -> Event | None:
        """The next event, if one is there: for whoever reads several of these. None also where it
        is closed. Raises what iterating does."""
        while not self._inlet.over():
            in_hand = self._in_hand
            if (event := self._next_of(in_hand)) is not None:
                return event
            if (waiter := self._turned_or(in_hand)) is not None:
                self._inlet.give_back(waiter)
                return None
        return None

    def page_now(self) -> list[Event] | None:
        """The next piece in which the stream arrives, likewise."""
        while not self._inlet.over():
            in_hand = self._in_hand
            if events := list(in_hand.events):
                self._clock.observe_events(in_hand.clocks)
                self._position = max(self._position, in_hand.through)
                return events
            if (waiter := self._turned_or(in_hand)) is not None:
                self._inlet.give_back(waiter)
                return None
        return None

    @property
    def closed(self) -> bool:
        """Was it closed? Raises what else ended it."""
        return self._inlet.over()

    def waiter(self) -> "Future[None]":
        """What is resolved as soon as something has changed (Inlet.waiter)."""
        return self._inlet.waiter()

    def give_back(self, waiter: "Future[None]") -> None:
        """It is waited for no more."""
        self._inlet.give_back(waiter)

    def close(self) -> None:
        """End the stream; whoever iterates comes to its end."""
        self._inlet.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next_of(self, in_hand: InHand) -> Event | None:
        if (event := next(in_hand.events, None)) is not None:
            self._clock.observe_events((event.clock_counts,))
            self._position = event.position or self._position
        return event

    def _turn(self, done: InHand) -> None:
        """Block until another page is in hand than the one that is done, or it is over."""
        while not self._inlet.over() and (waiter := self._turned_or(done)) is not None:
            try:
                check_may_wait("the events of a subscription")
                waiter.result()
            finally:
                self._inlet.give_back(waiter)

    def _passed(self, done: InHand) -> None:
        """Whoever reads asks for what comes after this page: for whom that matters."""

    def _taken(self) -> Page | None:
        """The next page, if one is there."""
        return self._inlet.taken()

    def _unpacked(self, page: Page) -> InHand:
        decoded = self._decoder.page(page.rows)
        if TOMBSTONE_TEXT in page.rows:
            rest = [event for event in decoded.events if not event.erased]
            decoded = Decoded(rest, decoded.clocks)
        return InHand(decoded, page.through)

    def _turned_or(self, done: InHand) -> "Future[None] | None":
        """Turn to the next page, if it is there or another reader has done so. If not, what
        is resolved as soon as something has changed. Raises what ended the feed."""
        with self._lock:
            if self._in_hand is not done:
                return None
            self._position = max(self._position, done.through)
            self._passed(done)
            # First be told of changes, then look: nothing changes unseen in between.
            waiter = self._inlet.waiter()
            if self._page is None:
                self._page = self._taken()
            if (page := self._page) is None:
                return waiter
            if isinstance(page, Gap):
                after, self._position = self.position, page.through
                self._in_hand, self._page = InHand(Decoded([], []), page.through), None
                self._inlet.give_back(waiter)
                if page.missed:
                    raise Lagged(page.missed, after, page.through)
                return None
            # Should it not decode, it stays: nobody gets past it unawares.
            self._in_hand = self._unpacked(page)
            self._page = None
            self._inlet.give_back(waiter)
            return None


def _abandon(inlet: "ref[Inlet]") -> None:
    """Nobody holds its subscription any more; the connection has it, or all of it is gone."""
    if (there := inlet()) is not None:
        there.abandon()
