"""The way of all feeds of one connection to the bus and to the log.

They share one caller of the bus and one event store. The store is opened when the first
feed has to read the log; so many feeds that catch up take no more connections of the
database than one does. Whatever is asked here has an answer or an error within a bound of
time, also where bus or database say nothing at all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeVar
from uuid import UUID

from ray.exceptions import ActorDiedError, RayError

from runtime.errors import (
    AnotherRelease,
    BusUnavailable,
    ConnectionClosed,
    HostUnavailable,
    SystemNotFound,
)
from runtime.process.world import Calls, World
from runtime.settings.settings import Settings
from runtime.topology.names import BUS_ACTOR
from runtime.wire.polls import (
    FROM_NOW,
    Poll,
    Polled,
    pack_names,
    pack_poll,
    pack_position,
    unpack_polled,
)
from store.appends import CheckpointMove
from store.causality import Explanation, explain
from store.errors import StoreUnavailable, SystemReplaced
from store.event_store import EventStore, Page
from store.selection import Selection
from store.subscriptions import SubscriptionRecord

T = TypeVar("T")


class Closable(Protocol):
    """What ends with the access: a feed."""

    name: str

    def close(self) -> None:
        """End it."""

    def fail(self, error: Exception) -> None:
        """End it with an error."""


class Kept(Protocol):
    """What is to be written down before the access ends: how far a durable subscription is."""

    async def move(self) -> int:
        """Write it down now. Raises ThornbackError."""

    async def last_move(self) -> None:
        """Write it down, for the last time. Is bounded, and raises nothing."""

    def give_up(self, error: Exception) -> None:
        """The log is another one: what was not written down is not, because of this."""


class LogAccess:
    """Lives in one event loop, and so do the feeds over it."""

    #: Pages that are read from the log at one time; other feeds wait for their turn.
    READS = 4
    #: How long opening the store and reading one page may take, once it is their turn.
    READ_S = 30.0
    #: How long moving a checkpoint may take, or another question that waits for no turn.
    MOVE_S = 10.0
    #: How long the bus may take to answer, beyond what the poll lets it wait.
    ANSWER_S = 5.0
    #: So many ends of a bus one question may meet: there was none where this one looked, and the
    #: one that another question had found before has ended, too.
    ENDS = 2
    #: How long closing waits for the bus to hear of it, which forgets by itself anyway.
    LEAVE_S = 1.0

    def __init__(
        self,
        world: World,
        settings: Settings,
        *,
        rejoin: Callable[[], Awaitable[None]] | None = None,
        ended: Callable[[str], None] | None = None,
    ) -> None:
        self.world = world  # immutable
        self._rejoin = rejoin  # immutable: finds the system again that was launched anew
        self._ended = ended  # immutable: told when the bus has ended for good
        self._settings = settings  # as the system was launched last
        self._bus: Calls | None = None
        self._store: EventStore | None = None
        self._opening = asyncio.Lock()
        self._turns = asyncio.Semaphore(min(self.READS, settings.event_store.connection_pool_size))
        self._feeds: dict[str, Closable] = {}
        self._kept: dict[Kept, None] = {}  #: checkpoints
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False  #: nothing more is opened

    def joined(self, feed: Closable) -> None:
        """A feed began; it is closed with the access."""
        self._feeds[feed.name] = feed

    def left(self, feed: Closable) -> None:
        """A feed ended: the bus is told, and nobody waits for that."""
        if self._feeds.pop(feed.name, None) is not None:
            task = asyncio.ensure_future(self._leave([feed.name]))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def keep(self, checkpoint: Kept) -> None:
        """A durable subscription was made: its checkpoint is moved before the access ends. In any
        thread."""
        self._kept[checkpoint] = None

    def keep_no_longer(self, checkpoint: Kept) -> None:
        """It was moved for the last time."""
        self._kept.pop(checkpoint, None)

    async def move_checkpoints(self) -> None:
        """Have the log know what is finished by now. Whoever cannot says so himself, later."""
        await asyncio.gather(*(one.move() for one in list(self._kept)), return_exceptions=True)

    async def head(self) -> int:
        """Where the log stands, as the bus knows it: what is committed from now on comes
        after it. Raises BusUnavailable, or SystemNotFound."""
        return (await self.poll(Poll("", FROM_NOW, (), (), (), 0.0))).through

    async def poll(self, poll: Poll) -> Polled:
        """Ask the bus. Raises BusUnavailable while it is away or says nothing, and
        SystemNotFound when the system was drained."""
        return unpack_polled(
            await self._asked("poll", pack_poll(poll), poll.wait_s + self.ANSWER_S)
        )

    async def forget(self, position: int) -> None:
        """Have the bus keep nothing up to a position: what was erased up to there comes from it no
        more. Raises what `poll` does."""
        await self._asked("forget", pack_position(position), self.ANSWER_S)

    async def read(self, after: int, limit: int, selection: Selection) -> Page:
        """A page of the log. Raises StoreUnavailable while it is away or says nothing."""
        return await self._in_store(lambda store: store.read(after, limit, selection=selection))

    async def committed_head(self) -> int:
        """Where the log itself stands, which the bus may not have heard of yet. Raises
        StoreUnavailable, or TimeoutError."""
        async with self._turns:
            store = await self._opened()
            return await _within(self.READ_S, store.head())

    async def open_subscription(
        self, name: str, selection: Selection, after: int, epoch: int
    ) -> SubscriptionRecord:
        """Open a durable subscription (EventStore.open_subscription). Raises StoreUnavailable, also
        where nothing is answered in time, and AnotherSelection."""
        return await self._in_store(
            lambda store: store.open_subscription(name, selection, after, epoch)
        )

    async def move_checkpoint(self, checkpoint: CheckpointMove) -> None:
        """Move its checkpoint. Raises StoreUnavailable, likewise, and StaleCheckpoint."""
        await self.ask_at_once(lambda store: store.move_checkpoint(checkpoint))

    async def ask_at_once(self, question: Callable[[EventStore], Awaitable[T]]) -> T:
        """What the log answers to a short question, which waits for no turn: reading may take long.
        Raises StoreUnavailable, likewise, and what the question does."""
        try:
            store = await _within(self.READ_S, self._opened())
            return await _within(self.MOVE_S, question(store))
        except TimeoutError as error:
            raise StoreUnavailable("the log", "no answer in time") from error

    async def ask(self, question: Callable[[EventStore], Awaitable[T]]) -> T:
        """What the log answers to a question of one's own. Raises StoreUnavailable, likewise, and
        what the question does."""
        return await self._in_store(question)

    async def explain(self, id: UUID, limit: int) -> Explanation:
        """Why an event is in the log (store/causality.py). Raises UnknownEvent, and
        StoreUnavailable, likewise."""
        return await self._in_store(lambda store: explain(store, id, limit))

    async def event_types(self) -> set[str]:
        """The event types that the log has. Raises StoreUnavailable, or TimeoutError."""
        async with self._turns:
            store = await self._opened()
            return await _within(self.READ_S, store.event_types())

    async def unknown_actor_types(self, names: Iterable[str]) -> set[str]:
        """Those of these actor types of which the log has neither an event nor a class. Raises
        StoreUnavailable, or TimeoutError."""
        wanted = set(names)
        async with self._turns:
            store = await self._opened()
            records = await _within(self.READ_S, store.type_records(wanted))
        return wanted - {
            name for name, record in records.items() if record.class_name or record.event_types
        }

    async def close(self) -> None:
        """End all feeds, and give back what was opened. Whoever still asks then hears
        ConnectionClosed: what he would have opened, nobody would give back."""
        feeds = list(self._feeds.values())
        self._feeds.clear()
        for feed in feeds:
            feed.close()
        await asyncio.gather(*(one.last_move() for one in list(self._kept)))
        if feeds:
            await self._leave([feed.name for feed in feeds])
        if self._leaving:
            await asyncio.wait(self._leaving)  # each ends within LEAVE_S
        self._closed = True
        if self._bus is not None:
            self._bus.close()
        await self._drop_store()

    def adopt(self, settings: Settings, *, another_log: bool) -> None:
        """The system was launched anew, with these settings. On another log the positions of
        the feeds mean nothing: they end."""
        namespace = settings.actor_system.namespace
        self._settings = settings
        store, self._store = self._store, None
        if store is not None:
            task = asyncio.ensure_future(store.close())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        if another_log:
            error = SystemNotFound(
                namespace,
                "the system there has another log now",
                "subscribe anew; positions of the log before mean nothing in it",
            )
            for checkpoint in list(self._kept):
                checkpoint.give_up(error)
            for feed in list(self._feeds.values()):
                feed.fail(error)

    async def _asked(self, method: str, request: bytes, limit_s: float) -> bytes:
        for _ in range(self.ENDS):
            try:
                return await self._asked_once(method, request, limit_s)
            except SystemNotFound:
                # The bus of the system that we joined has ended for good, whether or not we ever
                # asked it. Another system may run by now, or the directory knows who replaced it.
                if self._rejoin is None:
                    raise
        return await self._asked_once(method, request, limit_s)

    async def _asked_once(self, method: str, request: bytes, limit_s: float) -> bytes:
        if self._rejoin is not None:
            try:
                await _within(limit_s, self._rejoin())
            except (HostUnavailable, TimeoutError) as error:
                raise BusUnavailable(str(error) or "the system does not answer") from error
        self._check_open()
        bus = self._bus  # another question may find meanwhile that it has ended
        try:
            if bus is None:
                bus = await _within(limit_s, self._found())
            return await _within(limit_s, bus.call(method, request))
        except ActorDiedError as error:
            # Only what was ended for good dies: a process that is killed is started again.
            raise self._gone(bus) from error
        except TimeoutError as error:
            if bus is not None:
                bus.look_again()
            raise BusUnavailable(f"no answer within {limit_s:g} s") from error
        except (RayError, ConnectionError) as error:
            raise BusUnavailable(str(error) or type(error).__name__) from error

    async def _found(self) -> Calls:
        try:
            found = await self.world.caller(BUS_ACTOR)
        except ValueError as error:
            raise self._gone(None) from error
        self._check_open()
        if self._bus is None:  # or another feed was quicker
            self._bus = found
        return self._bus

    def _gone(self, bus: Calls | None) -> SystemNotFound:
        """The bus that was asked has ended for good, or there is none. Where another question has
        found that out before, there may be the next one by now, which is left alone."""
        if self._bus is bus:
            if bus is not None:
                bus.close()
                self._bus = None
            if self._ended is not None:
                self._ended(BUS_ACTOR)
        return SystemNotFound(self._settings.actor_system.namespace)

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionClosed(self._settings.actor_system.namespace)

    async def _in_store(self, work: Callable[[EventStore], Awaitable[T]]) -> T:
        async with self._turns:
            try:
                return await _within(self.READ_S, work(await self._opened()))
            except TimeoutError as error:
                await self._drop_store()  # or its connections stay in the hands of who hangs
                raise StoreUnavailable("the log", "no answer in time") from error

    async def _opened(self) -> EventStore:
        async with self._opening:
            if self._store is None:
                self._check_open()
                opening = self.world.open_store(self._settings)
                store = await _within(self.READ_S, opening)
                if self._closed:
                    await store.close()
                    self._check_open()
                self._store = store
            return self._store

    async def _drop_store(self) -> None:
        if self._store is not None:
            store, self._store = self._store, None
            await store.close()

    async def _leave(self, names: list[str]) -> None:
        try:
            await self._asked("leave", pack_names(names), self.LEAVE_S)
        except (AnotherRelease, BusUnavailable, SystemNotFound, SystemReplaced):
            return  # it forgets who does not ask any more


async def _within(limit_s: float, work: Awaitable[T]) -> T:
    """The result of some work. Raises TimeoutError after the limit, whether or not the
    work ends when it is told to: a connection to a server that vanished may not."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=limit_s)
    except asyncio.CancelledError:
        task.cancel()
        task.add_done_callback(_heard)
        raise
    if done:
        return task.result()
    task.cancel()
    task.add_done_callback(_heard)
    raise TimeoutError


def _heard(task: "asyncio.Task[Any]") -> None:
    """An error that comes after everybody stopped waiting is nobody's."""
    if not task.cancelled():
        task.exception()
