"""The bus's table of live subscriptions: who asks, for what, and who is answered when.

A subscription is live while it polls. Between its polls this table is all that the bus
knows of it, and forgetting it costs nothing but a matcher.
"""

import asyncio

from runtime.partition.matching import Matcher, Matchers
from store.selection import Selection


class Subscriber:
    """One live subscription."""

    __slots__ = ("answered_s", "matcher", "name", "seen_s", "turn", "waiter")

    def __init__(self, name: str, matcher: Matcher) -> None:
        self.name = name
        self.matcher = matcher
        self.seen_s = 0.0  #: when it last asked
        self.answered_s = float("-inf")  #: when it was last given something
        self.turn = 0  #: counts its polls: only the latest is answered with events
        self.waiter: asyncio.Future[int] | None = None  #: of the latest poll

    def release(self, nothing_up_to: int) -> None:
        """Have the poll that waits look again, from a position up to which it missed nothing."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(nothing_up_to)


class Subscribers:
    """All of them, in the order in which they last asked."""

    MAX = 10_000
    #: One that has not asked for this long is not counted as live any more.
    FORGOTTEN_AFTER_S = 60.0
    #: An answer costs bus, connection and subscriber 0.07 ms of processor time together,
    #: whatever it carries (docs/decisions/0019). So one subscriber among many is not answered
    #: again before he has waited for everybody's share; then he is given all that has come
    #: meanwhile. Whom nothing has reached for that long is answered at once.
    SHARE_S = 0.001
    LONGEST_SHARE_S = 0.25

    def __init__(self, matchers: Matchers) -> None:
        self._matchers = matchers
        self._subscribers: dict[str, Subscriber] = {}

    def __len__(self) -> int:
        return len(self._subscribers)

    def asks(self, name: str, selection: Selection, now_s: float) -> Subscriber:
        """A subscription polls."""
        subscriber = self._subscribers.pop(name, None)
        if subscriber is None:
            subscriber = Subscriber(name, self._matchers.use(selection))
        elif subscriber.matcher.selection != selection:
            before, subscriber.matcher = subscriber.matcher, self._matchers.use(selection)
            self._matchers.give_back(before)
        self._subscribers[name] = subscriber
        subscriber.seen_s = now_s
        subscriber.turn += 1
        subscriber.release(-1)  # a poll whose answer nobody waits for any more
        self.forget(now_s)
        return subscriber

    def leaves(self, name: str) -> None:
        """A subscription was closed."""
        subscriber = self._subscribers.pop(name, None)
        if subscriber is not None:
            subscriber.turn += 1
            subscriber.release(-1)
            self._matchers.give_back(subscriber.matcher)

    def forget(self, now_s: float) -> None:
        """Forget who has not asked for long, and beyond MAX whoever asked longest ago."""
        while self._subscribers:
            name, subscriber = next(iter(self._subscribers.items()))
            silent = now_s - subscriber.seen_s >= self.FORGOTTEN_AFTER_S
            if not silent and len(self._subscribers) <= self.MAX:
                return
            self.leaves(name)

    @property
    def share_s(self) -> float:
        """How long after an answer the next one to the same subscriber comes, at least."""
        return min((len(self._subscribers) - 1) * self.SHARE_S, self.LONGEST_SHARE_S)
