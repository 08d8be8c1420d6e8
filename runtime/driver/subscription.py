"""Subscriptions: the log from a position on, then live, as one stream of events.

A subscription is a feed (runtime/partition/feed.py), which lives in the courier's loop,
and the page in hand. It may be iterated in any thread and in any event loop: whoever
reads takes a page only when it is there, and never while waiting, so nobody who gives up
takes one along. No reader needs a thread, and none waits in one that is not his own.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from actors.event import Event
from runtime.driver.connection import Connection
from runtime.driver.selecting import checked_position
from runtime.errors import ConnectionClosed, SubscribeTimeout, fresh
from runtime.partition.feed import Feed
from runtime.process.no_waiting import check_may_wait
from runtime.wire.polls import FROM_NOW
from store.event_store import Page
from store.rows.decoding import Decoded, Decoder
from store.selection import Selection


class _InHand:
    """The page that is being handed out, and how far it reaches."""

    __slots__ = ("clocks", "events", "through")

    def __init__(self, page: Decoded, through: int) -> None:
        self.events = iter(page.events)
        self.clocks = page.clocks
        self.through = through


class Subscription:
    """Events in the order of their positions, each aggregate's in version order.

    Iterate it, with `for` or `async for`, one reader at a time; it has no end until
    `close`, and a further iteration goes on where the last one was left, in whatever
    thread or loop. `position` is how far what was handed out reaches: subscribing again
    `after` it goes on without a gap. While bus or database are away it waits and goes on
    afterwards, also in the system that is launched anew after a drain. Iterating raises
    SystemNotFound where none comes, or one with another log, SystemReplaced where another
    system took the database over, and ConnectionClosed once the connection was closed.
    """

    def __init__(self, connection: Connection, selection: Selection, after: int | None) -> None:
        """Does not block. Raises ConnectionClosed, and ValueError for what is no position."""
        after = None if after is None else checked_position(after)
        # Set once:
        self._connection = connection
        self._loop = connection.courier.loop
        self._decoder = Decoder()
        self._feed: Feed | None = None  # by the loop, as soon as it comes to it
        self._begun: Future[int] = Future()  # by the loop, with what the feed begins after
        # Of whoever reads:
        self.position = FROM_NOW if after is None else after
        self._in_hand = _InHand(Decoded([], []), self.position)
        # What ended it, `close` or anything else but the feed; never taken back:
        self._closed = False
        self._error: Exception | None = None
        # Guards what follows, and the turn from page to page:
        self._lock = threading.Lock()
        self._page: Page | None = None  # taken, and not decoded yet
        #: Readers, until something changes; they hear of it in the order in which they came.
        self._waiting: dict[Future[None], None] = {}
        connection.when_closed(self._cut_off, self._left_behind)
        self._in_loop(self._open, selection, after)

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
            self._begun.result(timeout_s)
        except TimeoutError as error:
            self.close()
            raise SubscribeTimeout(timeout_s) from error
        except Exception as error:
            self.close()
            raise fresh(error) from error

    def __iter__(self) -> Iterator[Event]:
        observe_events = self._connection.clock.observe_events
        while not self._over():
            in_hand = self._in_hand
            # A list's iterator stays where it is when this one is closed.
            for event in in_hand.events:
                observe_events((event.clock_counts,))
                self.position = event.position or self.position
                yield event
                if self._over():
                    return
            self._turn(in_hand)

    def pages(self) -> Iterator[list[Event]]:
        """The same stream, in the pieces in which it arrives (some may be empty)."""
        observe_events = self._connection.clock.observe_events
        while not self._over():
            in_hand = self._in_hand
            events = list(in_hand.events)
            observe_events(in_hand.clocks)
            self.position = max(self.position, in_hand.through)
            yield events
            self._turn(in_hand)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._over():
            in_hand = self._in_hand
            if (event := next(in_hand.events, None)) is not None:
                self._connection.clock.observe_events((event.clock_counts,))
                self.position = event.position or self.position
                return event
            if (waiter := self._turned_or(in_hand)) is not None:
                try:
                    await asyncio.wrap_future(waiter)
                finally:
                    self._gave_up(waiter)
        raise StopAsyncIteration

    def close(self) -> None:
        """End the stream; whoever iterates comes to its end."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._connection.no_longer(self._cut_off)
        self._begun.cancel()
        self._wake()
        with suppress(ConnectionClosed):
            self._in_loop(self._close_feed)

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _over(self) -> bool:
        """Was it closed? Raises what else ended it."""
        if self._error is not None and not self._closed:
            raise fresh(self._error)
        return self._closed

    def _turn(self, done: _InHand) -> None:
        """Block until another page is in hand than the one that is done, or it is over."""
        while not self._over() and (waiter := self._turned_or(done)) is not None:
            try:
                check_may_wait("the events of a subscription")
                waiter.result()
            finally:
                self._gave_up(waiter)

    def _turned_or(self, done: _InHand) -> "Future[None] | None":
        """Turn to the next page, if it is there or another reader has done so. If not, what
        is resolved as soon as something has changed. Raises what ended the feed."""
        with self._lock:
            if self._in_hand is not done:
                return None
            self.position = max(self.position, done.through)
            # First be told of changes, then look: nothing changes unseen in between.
            waiter: Future[None] = Future()
            self._waiting[waiter] = None
            if self._page is None and self._feed is not None:
                self._page = self._feed.take()
            if (page := self._page) is None:
                return waiter
            # Should it not decode, it stays: nobody gets past it unawares.
            self._in_hand = _InHand(self._decoder.page(page.rows), page.through)
            self._page = None
            return None

    def _gave_up(self, waiter: "Future[None]") -> None:
        with self._lock:
            self._waiting.pop(waiter, None)

    def _open(self, selection: Selection, after: int | None) -> None:
        if not self._closed and self._error is None:
            log = self._connection.log
            self._feed = Feed(log, selection, after, on_change=self._feed_changed)
            self._feed_changed()

    def _close_feed(self) -> None:
        if self._feed is not None:
            self._feed.close()

    def _feed_changed(self) -> None:
        """In the courier's loop: it has begun, a page is there, or it ended."""
        feed = self._feed
        if feed is None:
            return
        with suppress(InvalidStateError):
            if feed.start is not None:
                self.position = max(self.position, feed.start)
                self._begun.set_result(feed.start)
            elif feed.error is not None:
                self._begun.set_exception(feed.error)
        self._wake()

    def _cut_off(self) -> None:
        """The connection was closed."""
        self._error = ConnectionClosed(self._connection.namespace)
        with suppress(InvalidStateError):
            self._begun.set_exception(self._error)
        self._wake()

    def _left_behind(self) -> None:
        """This process was forked, and the feed is in its parent."""
        self._lock, self._waiting = threading.Lock(), {}
        self._error = ConnectionClosed(self._connection.namespace, forked=True)
        self._begun = Future()
        self._begun.set_exception(self._error)

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            with suppress(InvalidStateError):  # its reader gave up
                waiter.set_result(None)

    def _in_loop(self, step: Any, *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(step, *arguments)
        except RuntimeError as error:  # the loop has ended
            raise ConnectionClosed(self._connection.namespace) from error
