"""One stream of events out of the logs of several partitions.

Each log is read by a subscription of its own, with its own position and, where it has a name, its
own checkpoint; here their events are handed out as they come.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Self, TypeVar

from actors.event import Event
from runtime.driver.subscription import Subscription
from runtime.errors import NotPossible
from runtime.process.no_waiting import check_may_wait
from runtime.processing.durable_subscription import DurableSubscription
from runtime.topology.positions import Positions
from store.receipts import NOTHING_FINISHED, Receipt

T = TypeVar("T")


def _next_now(part: Subscription) -> Event | None:
    return part.next_now()


def _page_now(part: Subscription) -> list[Event] | None:
    return part.page_now()


class MergedSubscription:
    """The events of all partitions: those of one in the order of its log, each aggregate's in that
    of its versions. Between those of two partitions there is no order but that of their vector
    clocks, and another reader may see them otherwise; an effect may be handed out before its cause
    where these are in two.

    All else is as it is for a subscription to one log (Subscription; with a name
    DurableSubscription or GroupSubscription), and `parts` are these. `position` has one position
    for each partition. One reader at a time.
    """

    #: So many events of one partition come together at most, where others have some, too.
    TURN = 256

    def __init__(self, parts: Sequence[Subscription]) -> None:
        self.parts = tuple(parts)
        self._turn, self._left = 0, self.TURN  # whose turn it is, and for how many events still
        self._reader = threading.Lock()  # held while an event is asked for

    @property
    def position(self) -> Positions:
        """How far what was handed out reaches in each partition."""
        return Positions(part.position for part in self.parts)

    @property
    def receipt(self) -> Receipt:
        """Which events were finished, of all partitions together, where it has a name."""
        found = NOTHING_FINISHED
        for part in self._durable():
            found += part.receipt
        return found

    def __repr__(self) -> str:
        """Where it stands."""
        return f"<MergedSubscription of {len(self.parts)} partitions after {list(self.position)}>"

    def finish(self) -> Positions:
        """All that was handed out is finished: waits until the checkpoints are durable, which are
        the answer. Raises what DurableSubscription.finish does."""
        replies = [part.finish() for part in self._durable()]
        return Positions(reply.result() for reply in replies)

    async def finished(self) -> Positions:
        """The same, awaited."""
        return Positions([await reply for reply in [part.finish() for part in self._durable()]])

    def __iter__(self) -> Iterator[Event]:
        self._begin_again()
        while (event := self._next(_next_now)) is not None:
            yield event

    def pages(self) -> Iterator[list[Event]]:
        """The same stream, in the pieces in which it arrives; each is of one partition."""
        self._begin_again()
        while (page := self._next(_page_now)) is not None:
            yield page

    def __aiter__(self) -> AsyncIterator[Event]:
        self._begin_again()
        return self

    async def __anext__(self) -> Event:
        with self._asking():
            while (event := self._now(_next_now)) is None:
                if self._over():
                    raise StopAsyncIteration
                with self._waiters() as waiters:
                    if (event := self._now(_next_now)) is not None:  # nothing is missed in between
                        break
                    if self._over():
                        continue
                    futures = [asyncio.wrap_future(waiter) for waiter in waiters]
                    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            return event

    def close(self) -> None:
        """End the stream, and keep its checkpoints, as each of its parts does."""
        for part in self.parts:
            part.close()

    async def aclose(self) -> None:
        """The same, awaited."""
        for part in self.parts:
            if isinstance(part, DurableSubscription):
                await part.aclose()
            else:
                part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _durable(self) -> list[DurableSubscription]:
        found = [part for part in self.parts if isinstance(part, DurableSubscription)]
        if not found:
            raise AttributeError("a subscription without a name has no checkpoint and no receipt")
        return found

    def _begin_again(self) -> None:
        for part in self.parts:
            part.begin_again()

    def _next(self, of: Callable[[Subscription], T | None]) -> T | None:
        """What comes next, waited for; None where it is over."""
        with self._asking():
            while (found := self._now(of)) is None and not self._over():
                check_may_wait("the events of a subscription")
                with self._waiters() as waiters:
                    # Nothing is missed in between.
                    if (found := self._now(of)) is not None or self._over():
                        break
                    wait(waiters, return_when=FIRST_COMPLETED)
            return found

    def _now(self, of: Callable[[Subscription], T | None]) -> T | None:
        """What one of them has at once."""
        if not self._left:
            self._turn, self._left = (self._turn + 1) % len(self.parts), self.TURN
        for step in range(len(self.parts)):
            at = (self._turn + step) % len(self.parts)
            if (found := of(self.parts[at])) is not None:
                self._left = self._left - 1 if at == self._turn else self.TURN - 1
                self._turn = at
                return found
        return None

    def _over(self) -> bool:
        """Is any of them closed? Raises what ended it."""
        return any(part.closed for part in self.parts)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What was handed out before is finished: whoever asks for the next event, of whatever
        partition, has done with it. Raises NotPossible where somebody else asks."""
        if not self._reader.acquire(blocking=False):
            raise NotPossible(
                "somebody else waits for the next event: a subscription to several partitions has "
                "one reader"
            )
        try:
            for part in self.parts:
                if isinstance(part, DurableSubscription):
                    part.finish_in_hand()
            yield
        finally:
            self._reader.release()

    @contextmanager
    def _waiters(self) -> Iterator[list["Future[None]"]]:
        """One of each part, while this lasts."""
        waiters = [part.waiter() for part in self.parts]
        try:
            yield waiters
        finally:
            for part, waiter in zip(self.parts, waiters, strict=True):
                part.give_back(waiter)
