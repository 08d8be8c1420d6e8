"""The bus: fans committed events out to subscriptions.

It keeps the last commits as they are, encoded, in one buffer for all. A subscription is
a position: whoever asks for what comes after it gets that from the buffer, or is told
to read the log up to where the buffer starts. So publishers never wait for a slow
subscriber, who loses nothing; and the seam between log and live is a number.

Who asks when there is nothing waits. A commit wakes those alone who may want some of it,
and whoever has waited is told how far he came without missing anything.

What the writer hands over may come to another incarnation: to one that Ray takes for dead
while it lives on, and that the writer is still connected to. So a bus that has heard nothing
for a while looks where the log stands.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from actors.lifecycle import ERASED
from runtime.partition.buffer import Buffer
from runtime.partition.matching import Matchers
from runtime.partition.subscribers import Subscriber, Subscribers
from runtime.partition.tally import Tally
from runtime.process.process import Process
from runtime.process.world import World
from runtime.telemetry.metrics import BusMetrics
from runtime.topology.names import host_name
from runtime.topology.placement import node_that_decides
from runtime.topology.status import BusFacts
from runtime.wire.commits import unpack_commit
from runtime.wire.polls import (
    FROM_NOW,
    Poll,
    Polled,
    pack_polled,
    unpack_names,
    unpack_poll,
    unpack_position,
)
from store.appends import Commit, nothing_after
from store.errors import StoreUnavailable
from store.selection import Selection


class Bus(Process):
    """Named `bus`: one a partition."""

    SERVES = ("publish", "poll", "leave", "forget")
    #: However long a poll would wait, it is answered, so that its subscriber stays known.
    LONGEST_WAIT_S = Subscribers.FORGOTTEN_AFTER_S / 2
    #: A subscriber that is so many events behind is answered without a pause.
    BEHIND = 10_000
    #: A bus that has heard of nothing for so long looks into the log, and then as often.
    LOOK_S = 5.0
    #: How often it is saved how far it has counted. Its successor counts the rest out of the log.
    SAVE_S = 5.0

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        self._counts = BusMetrics(self.metrics)
        self._launch = metrics_folder  #: no two launches have the same; None: nobody counts
        self._matchers = Matchers()
        self._subscribers = Subscribers(self._matchers)
        self._live = 0  #: subscriptions, as the metrics have them
        self._looked_s = 0.0  #: when it last knew where the log stands

    async def start(self) -> None:
        self._store = await self.world.open_store(self.settings)
        try:
            head = await self._store.head()
            self._tally = None if self._launch is None else await self._tallied(self._launch, head)
        except BaseException:
            await self._store.close()
            raise
        self._buffer = Buffer(head, self.settings.event_bus.buffer_size, self._matchers)
        self.must_live(self._look())
        if self._tally is not None:
            self.must_live(self._save(self._tally))

    async def publish(self, packed: bytes) -> bytes:
        """A commit, from the writer (wire/commits.py). Answers nothing."""
        await self.ensure_started()
        self._take(unpack_commit(packed))
        self._forget()
        return b""

    async def poll(self, packed: bytes) -> bytes:
        """What comes after a position: a Poll, answered by a Polled (wire/polls.py)."""
        await self.ensure_started()
        return pack_polled(await self._polled(unpack_poll(packed)))

    async def leave(self, packed: bytes) -> bytes:
        """Subscriptions were closed (wire/polls.py). Answers nothing."""
        for name in unpack_names(packed):
            self._subscribers.leaves(name)
        self._count_live()
        return b""

    async def forget(self, packed: bytes) -> bytes:
        """Keep nothing up to a position (wire/polls.py), whether or not it has come here: something
        of it was erased in the log. Answers nothing."""
        await self.ensure_started()
        position = unpack_position(packed)
        if position > self._buffer.head:
            self._take(nothing_after(position))
        self._buffer.empty()
        return b""

    async def facts(self) -> BusFacts | None:
        if not self._started:
            return None
        self._forget()
        return BusFacts(position=self._buffer.head, subscriptions=len(self._subscribers))

    async def _tallied(self, launch: str, head: int) -> Tally:
        tallied, chosen = await self._store.open_tally(launch), self.settings.actor_system
        hosts = [host_name(number) for number in range(chosen.hosts)]
        table = await self._store.open_shards(hosts)
        node_of = partial(
            node_that_decides, self.settings.event_bus.node_id, table, chosen.placement
        )
        return Tally(tallied, head, self._counts.published, self._store.read, node_of)

    async def _save(self, tally: Tally) -> None:
        """Save what is counted, now and then, for those that come later."""
        saved = 0
        while True:
            await asyncio.sleep(self.SAVE_S)
            if tally.counted > saved:
                tallied = tally.tallied
                with suppress(StoreUnavailable):
                    await self._store.save_tally(tallied)
                    saved = tallied.through

    async def _look(self) -> None:
        """Learn of what is committed and handed to somebody else, or to nobody."""
        loop = asyncio.get_running_loop()
        self._looked_s = loop.time()
        while True:
            await asyncio.sleep(self._looked_s + self.LOOK_S - loop.time())
            if loop.time() < self._looked_s + self.LOOK_S:
                continue  # the writer has been heard of meanwhile
            self._looked_s = loop.time()
            try:
                head = await self._store.head()
            except StoreUnavailable:
                continue  # nothing is committed either
            if head > self._buffer.head:
                self._take(nothing_after(head))

    def _take(self, commit: Commit) -> None:
        self._looked_s = asyncio.get_running_loop().time()
        if self._tally is not None:
            self._tally.add(commit)
        head = self._buffer.head
        nothing_up_to = commit.first_position - 1
        if nothing_up_to > head:
            # Commits were missed. Who waits has missed nothing up to the last one before.
            _wake(self._matchers.waiting(), head)
        interested = self._buffer.add(commit)
        if ERASED in commit.types:
            self._buffer.empty()  # whoever needs what was in it reads the log, as it is now
        for matcher in interested:
            _wake(matcher.waiting, max(nothing_up_to, head))

    async def _polled(self, poll: Poll) -> Polled:
        selection = Selection(event_types=poll.event_types, sources=poll.sources, kinds=poll.kinds)
        if not poll.subscriber:
            return self._looked_up(poll, selection)
        loop = asyncio.get_running_loop()
        subscriber = self._subscribers.asks(poll.subscriber, selection, loop.time())
        self._count_live()
        if poll.after == FROM_NOW:
            return Polled(self._buffer.head, True, b"")
        return await self._answer(poll, subscriber, loop)

    async def _answer(
        self, poll: Poll, subscriber: Subscriber, loop: asyncio.AbstractEventLoop
    ) -> Polled:
        """The answer, once there is one: at the latest after `wait_s`."""
        wait_s = min(poll.wait_s, self.LONGEST_WAIT_S) if poll.wait_s > 0 else 0.0
        deadline_s = loop.time() + wait_s
        matcher, turn, position = subscriber.matcher, subscriber.turn, poll.after
        while True:
            now_s = loop.time()
            due_s = min(subscriber.answered_s + self._subscribers.share_s, deadline_s)
            if now_s < due_s and self._buffer.head - position < self.BEHIND:
                await asyncio.sleep(due_s - now_s)
            elif not self._buffer.covers(position):
                if position > poll.after:
                    return Polled(position, True, b"")
                return Polled(self._buffer.head, False, b"")
            else:
                rows, position = self._buffer.after(position, matcher)
                if rows:
                    subscriber.answered_s = now_s
                    return Polled(position, True, rows)
                if now_s >= deadline_s:
                    return Polled(position, True, b"")
                if position < self._buffer.head:
                    await asyncio.sleep(0)  # to look at more; others look in between
                else:
                    position = max(position, await self._news(subscriber, deadline_s, loop))
            if subscriber.turn != turn:
                return Polled(position, True, b"")  # it asks anew, or left

    async def _news(
        self, subscriber: Subscriber, deadline_s: float, loop: asyncio.AbstractEventLoop
    ) -> int:
        """Wait until there may be something; the position up to which there was nothing."""
        waiter: asyncio.Future[int] = loop.create_future()
        timer = loop.call_at(deadline_s, self._expire, waiter)
        waiting = subscriber.matcher.waiting
        waiting[waiter] = None
        subscriber.waiter = waiter
        try:
            return await waiter
        finally:
            timer.cancel()
            del waiting[waiter]

    def _expire(self, waiter: "asyncio.Future[int]") -> None:
        if not waiter.done():
            waiter.set_result(self._buffer.head)

    def _looked_up(self, poll: Poll, selection: Selection) -> Polled:
        """At once, what is asked without a name."""
        if poll.after == FROM_NOW or not self._buffer.covers(poll.after):
            return Polled(self._buffer.head, poll.after == FROM_NOW, b"")
        matcher = self._matchers.use(selection)
        try:
            rows, through = self._buffer.after(poll.after, matcher)
        finally:
            self._matchers.give_back(matcher)
        return Polled(through, True, rows)

    def _forget(self) -> None:
        self._subscribers.forget(asyncio.get_running_loop().time())
        self._count_live()

    def _count_live(self) -> None:
        if self._live != len(self._subscribers):
            self._live = len(self._subscribers)
            self._counts.subscriptions(self._live)


def _wake(waiters: Iterable[asyncio.Future[int]], position: int) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(position)
