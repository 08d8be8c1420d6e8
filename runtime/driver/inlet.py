"""What connection and courier have of a subscription: its feed, and who waits for its pages.

They hold no subscription. One that nobody holds any more goes, and its feed ends: or it would keep
its pages, and its place at the bus, for as long as the connection is open. A reader that waits does
hold its subscription, and is held here until it goes on, as the loops of its kind do.
"""

import logging
import threading
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from runtime.driver.connection import Connection
from runtime.driver.starting import position_of
from runtime.errors import ConnectionClosed, fresh
from runtime.partition.feed import Feed
from runtime.wire.polls import FROM_NOW
from store.event_store import Page
from store.selection import Selection

logger = logging.getLogger("thornback.driver")


class Beginning(Protocol):
    """Where a feed begins, for whom that stands somewhere; and who is to know that it has ended."""

    async def begin(self, inlet: "Inlet") -> int:
        """The position after which it begins. In the courier's loop, and perhaps more than once."""

    def ended(self) -> None:
        """Nobody reads any more. In whatever thread, and perhaps more than once."""

    def left_behind(self) -> None:
        """This process was forked, and the feed is in its parent."""


class FromMoment:
    """Begins with what was committed at a moment."""

    def __init__(self, connection: Connection, moment: datetime) -> None:
        self._log, self._moment = connection.log, moment

    async def begin(self, inlet: "Inlet") -> int:
        """Where that is."""
        return await position_of(self._log, self._moment)

    def ended(self) -> None:
        """That is all the same to it."""

    def left_behind(self) -> None:
        """So is that."""


class Inlet:
    """Pages of one feed, for readers in any thread."""

    def __init__(
        self,
        connection: Connection,
        selection: Selection,
        after: int | None,
        beginning: Beginning | None = None,
        *,
        catch_up: bool = True,
    ) -> None:
        """From a position on, or from where it says that it begins, or from now on. Does not block.
        Raises ConnectionClosed."""
        # Set once:
        self._connection = connection
        self._loop = connection.courier.loop
        self._selection = selection
        self._catch_up = catch_up
        self._beginning = beginning
        self.begun: Future[int] = Future()  #: by the loop, with what the feed begins after
        self._feed: Feed | None = None  # by the loop, as soon as it comes to it
        self.start = FROM_NOW if after is None else after  #: FROM_NOW until it is known
        # What ended it, `close` or anything else but the feed; never taken back:
        self._closed = False
        self._error: Exception | None = None
        self._lock = threading.Lock()  # guards what follows
        #: Readers, until something changes; they hear of it in the order in which they came.
        self._waiting: dict[Future[None], None] = {}
        connection.when_closed(self._cut_off, self._left_behind)
        self._in_loop(self._open, after)

    def over(self) -> bool:
        """Was it closed? Raises what else ended it."""
        if self._error is not None and not self._closed:
            raise fresh(self._error)
        return self._closed

    def taken(self) -> Page | None:
        """The next page, if one is there. Raises what ended the feed."""
        feed = self._feed  # which may be another one a moment later
        return None if feed is None else feed.take()

    def waiter(self) -> "Future[None]":
        """What is resolved as soon as something has changed. Whoever looks after he has it misses
        nothing; he gives it back."""
        waiter: Future[None] = Future()
        with self._lock:
            self._waiting[waiter] = None
        return waiter

    def give_back(self, waiter: "Future[None]") -> None:
        """It is waited for no more."""
        with self._lock:
            self._waiting.pop(waiter, None)

    def close(self) -> None:
        """End it; whoever waits goes on."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._connection.no_longer(self._cut_off)
        self.begun.cancel()
        self._wake()
        with suppress(ConnectionClosed):
            self._in_loop(self._close_feed)
            if self._beginning is not None:
                self._beginning.ended()

    def fail(self, error: Exception) -> None:
        """End it with an error, at once. In the courier's loop."""
        self._error = error
        self._connection.no_longer(self._cut_off)
        self._close_feed()
        if self._beginning is not None:
            self._beginning.ended()
        self._wake()

    def restart(self, after: int | None) -> None:
        """Go on after another position, and forget what was fetched; None: fetch nothing, until it
        is restarted again. In the courier's loop. Raises ConnectionClosed."""
        self._connection.check_open()
        if self._closed or self._error is not None:
            return
        old = self._feed
        if old is not None and old.error is not None:
            return  # readers are to be told
        self._feed = None if after is None else self._feed_after(after, met=True)
        if old is not None:
            old.close()
        self._feed_changed()

    def abandon(self) -> None:
        """Nobody reads any more, and nobody has closed it. Comes from the collector of garbage, in
        whatever thread and whatever that holds: all is done in the loop."""
        if not self._closed and self._error is None:
            with suppress(ConnectionClosed):
                self._in_loop(self._abandoned)

    def _abandoned(self) -> None:
        if not self._closed and self._error is None:
            reached = self.start if self._feed is None else self._feed.position
            logger.info(
                "a subscription to %s was dropped without being closed, and is closed now; it had "
                "fetched up to position %d", self._selection, reached,
            )  # fmt: skip
            self.close()

    def _open(self, after: int | None) -> None:
        if not self._closed and self._error is None:
            self._feed = self._feed_after(after)
            self._feed_changed()

    def _feed_after(self, after: int | None, *, met: bool = False) -> Feed:
        beginning = self._beginning
        return Feed(
            self._connection.log,
            self._selection,
            after,
            catch_up=self._catch_up,
            begin=None if beginning is None else partial(beginning.begin, self),
            on_change=self._feed_changed,
            met=met,
        )

    def _close_feed(self) -> None:
        if self._feed is not None:
            self._feed.close()

    def _feed_changed(self) -> None:
        """In the courier's loop: it has begun, a page is there, or it ended."""
        feed = self._feed
        if feed is None:
            self._wake()
            return
        with suppress(InvalidStateError):
            if feed.start is not None:
                self.start = feed.start
                self.begun.set_result(feed.start)
            elif feed.error is not None:
                self.begun.set_exception(feed.error)
        self._wake()

    def _cut_off(self) -> None:
        """The connection was closed."""
        self._error = ConnectionClosed(self._connection.namespace)
        with suppress(InvalidStateError):
            self.begun.set_exception(self._error)
        self._wake()

    def _left_behind(self) -> None:
        """This process was forked, and the feed is in its parent."""
        self._lock, self._waiting = threading.Lock(), {}
        self._error = ConnectionClosed(self._connection.namespace, forked=True)
        self.begun = Future()
        self.begun.set_exception(self._error)
        if self._beginning is not None:
            self._beginning.left_behind()

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
