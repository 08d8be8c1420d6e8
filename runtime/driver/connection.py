"""A driver's connection to a running system: channels to hosts, and what is sent unwatched.

References and subscriptions hold a connection, not the ActorSystem, which is a thin face
over it. Connecting needs no part of the cluster: no host, no writer, no database.
"""

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from random import Random
from typing import TypeVar
from weakref import WeakSet, WeakValueDictionary

from actors.ids import FreshIds
from runtime.clocks import DriverClock
from runtime.driver.channels import Channels
from runtime.driver.courier import Courier, Loop
from runtime.driver.errands import Errands
from runtime.driver.known_system import KnownSystem
from runtime.driver.opening import about_to_open
from runtime.driver.outgoing import Outgoing, say_unheard_at_exit
from runtime.driver.pending import Pending
from runtime.driver.rejoining import Rejoining
from runtime.driver.reply import Reply
from runtime.driver.tells import Tells
from runtime.errors import ConnectionClosed, SystemNotFound, fresh
from runtime.partition.log_access import LogAccess
from runtime.process.partitioning import node_ids_of, whole_namespace
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import possible_nodes
from runtime.topology.status import Topology
from store.event_store import EventStore

logger = logging.getLogger("thornback.driver")

T = TypeVar("T")


#: Those of this process, by namespace: a ref that arrives in it finds the one that is open.
_connections: "WeakValueDictionary[str, Connection]" = WeakValueDictionary()


#: All of this process, whatever their namespaces, for a child that it forks.
_all: "WeakSet[Connection]" = WeakSet()


def _in_a_forked_child() -> None:
    """The couriers' threads are in the parent alone, and do nothing here. What they would do
    ends; copies of locks that a thread of the parent may have held are replaced."""
    _connections.clear()
    for connection in list(_all):
        connection.left_behind()


os.register_at_fork(after_in_child=_in_a_forked_child)


#: Those that connections to several partitions share, by the namespace of the whole.
_clocks: "WeakValueDictionary[str, DriverClock]" = WeakValueDictionary()


def _clock_of(settings: Settings) -> DriverClock:
    system = settings.actor_system
    nodes = possible_nodes(node_ids_of(settings), system.hosts, system.placement)
    if settings.event_store.partitions == 1:
        return DriverClock(nodes)
    # What somebody has heard from one partition is in the past of what he tells another.
    return _clocks.setdefault(whole_namespace(settings), DriverClock(nodes))


def open_connection(namespace: str) -> "Connection | None":
    """This process's connection to the system of a namespace, if one is open."""
    connection = _connections.get(namespace)
    return None if connection is None or connection.closed else connection


def any_open() -> bool:
    """Has this process an open connection, or is it about to?"""
    if about_to_open():
        return True
    while True:
        with suppress(RuntimeError):  # another thread has just opened one
            return any(not connection.closed for connection in _all)


@atexit.register
def say_unheard() -> None:
    """The program ends. What it has asked, or told, and has not waited for, is logged: it may
    have failed, and it may never have been sent."""
    say_unheard_at_exit()
    for connection in list(_all):
        unanswered = connection.unanswered()
        if unanswered and not connection.closed:
            count = sum(len(one.commands) for one in unanswered)
            logger.warning(
                "the program ends with unanswered commands (%s), first %s: they may never have "
                "been sent. Say .result() or await, or flush() before it ends",
                f"{count:,}", unanswered[0].asked(0),
            )  # fmt: skip


class Connection:
    """One driver's channels and their clock. Everything here may be called from any thread;
    the channels work in the courier's loop.

    `topology` is what the directory says of the system.
    """

    MAX_FAILURES = 10_000

    def __init__(
        self,
        topology: Topology,
        world: World | None = None,
        courier: Loop | None = None,
        adapted: Callable[[Topology], Topology] = lambda topology: topology,
        *,
        of_system: bool = False,
    ) -> None:
        # Immutable, and what has locks of its own where it needs them:
        self.settings = Settings.model_validate_json(topology.settings_json)
        self.world = world or World(self.settings.actor_system.namespace)
        self.world.follow_network(self.settings)
        self.courier = courier or Courier()
        #: Of this connection, or of all of this process to the partitions of one system.
        self.clock = _clock_of(self.settings)
        driver = self.world.random(8)
        self._ids = FreshIds(Random(self.world.random(16)).getrandbits)
        self._tells = Tells(self.MAX_FAILURES)
        #: The way back to a system that was launched anew; in the courier's loop.
        self.rejoining = Rejoining(
            self.world, self.namespace, self._adopt, directory=topology.directory
        )
        #: Of all feeds; in the courier's loop.
        self.log = LogAccess(
            self.world, self.settings, rejoin=self.rejoining.ensure, ended=self.rejoining.ended
        )
        self.channels = Channels(
            topology.table,
            self.settings,
            driver=driver,
            world=self.world,
            courier=self.courier,
            clock=self.clock,
            rejoining=self.rejoining,
        )
        self._known = KnownSystem(topology, own=of_system)
        self._errands = Errands(self.namespace, self.courier)
        self._adapted = adapted  # what a driver's own settings change of a topology
        self._lock = threading.Lock()  # guards what follows
        #: What is called when the connection is closed; and in a process that is forked.
        self._on_close: dict[Callable[[], None], Callable[[], None]] = {}
        self._closed: ConnectionClosed | None = None  # why it takes no calls any more
        _connections[self.namespace] = self
        _all.add(self)

    @property
    def namespace(self) -> str:
        """Where in Ray the system lives."""
        return self.settings.actor_system.namespace

    @property
    def closed(self) -> bool:
        """Was it closed?"""
        return self._closed is not None

    def new_id(self) -> bytes:
        """A fresh command id."""
        return self._ids.new(self.world.now_us() // 1000)

    def new_ids(self, now_us: int) -> Iterator[bytes]:
        """Fresh ids for the commands of one batch, for one thread; `now_us` is the time of day."""
        return self._ids.together(now_us // 1000)

    def unanswered(self) -> list[Outgoing]:
        """What was sent, or is to be, and has no answer yet, in its order at each host."""
        return self.channels.unanswered()

    def watch(self, outgoing: Outgoing, index: int) -> None:
        """Notice if a `tell` fails."""
        self._tells.watch(outgoing, index)

    def flush(self) -> Reply[list[tuple[str, Exception]]]:
        """Wait until everything sent so far is answered; the failures of `tell` since the
        last flush, as (source, error), the first 10,000 of them (all are logged)."""
        return self.errand("flush", self._flush)

    def errand(
        self, name: str, work: Callable[[], Awaitable[T]], limit_s: float | None = None
    ) -> Reply[T]:
        """Run something in the courier's loop; the reply is what it returns. It raises
        AskTimeout after `limit_s`, HostUnavailable for the errors of Ray, what the directory
        raised, and ConnectionClosed when the connection is closed before it is done."""
        return self._errands.run(Pending(name), work, limit_s)

    def last_errand(self, name: str, work: Callable[[], Awaitable[T]]) -> Reply[T]:
        """An errand after which the connection is closed, if it succeeds."""
        pending: Pending[T] = Pending(name)
        pending.on_finish = lambda done: self.close() if done.error is None else None
        return self._errands.run(pending, work, None)

    def head(self) -> Reply[int]:
        """Where the log stands (LogAccess.head). It raises BusUnavailable, SystemNotFound or
        ConnectionClosed, within LogAccess.ANSWER_S."""
        return self.errand("the head of the log", self.log.head)

    def check_open(self) -> None:
        """Raises ConnectionClosed once it is closed."""
        if self._closed is not None:
            raise fresh(self._closed)

    def when_closed(
        self, call: Callable[[], None], in_a_fork: Callable[[], None] = lambda: None
    ) -> None:
        """Have something called, in the closing thread, when the connection is closed; and
        something else in a process that is forked from this one. Raises ConnectionClosed when it
        is closed."""
        with self._lock:
            self.check_open()
            self._on_close[call] = in_a_fork

    def no_longer(self, call: Callable[[], None]) -> None:
        """Call it no more."""
        with self._lock:
            self._on_close.pop(call, None)

    async def open_store(self) -> EventStore:
        """The event store of the system, opened for the caller. Raises StoreUnavailable."""
        return await self.world.open_store(self.settings)

    def close(self) -> None:
        """End the connection. What is unanswered, every reader of a subscription and every
        later call fails with ConnectionClosed. Closing twice is harmless."""
        with self._lock:
            if self._closed is not None:
                return
            error = self._closed = ConnectionClosed(self.namespace)
            channels, errands = self.channels.end(), self._errands.end()
            on_close, self._on_close = list(self._on_close), {}
        for call in on_close:
            try:
                call()
            except Exception:
                logger.exception("what was to be called when the connection is closed failed")
        for errand in errands:  # before what they wait for, which ends, too
            errand.finish(None, error)
        for channel in channels:
            channel.close(error)
        try:
            closing = self.courier.run(self.log.close())  # is bounded in time
        except ConnectionClosed:
            logger.debug("the courier's loop was closed before")
            return
        if self.in_courier():
            # It cannot be waited for here, and must not be cancelled before it has begun.
            closing.add_done_callback(lambda _: self.courier.close())
        else:
            try:
                closing.result()
            finally:
                self.courier.close()

    def left_behind(self) -> None:
        """This process was forked, and the connection is its parent's: what is unanswered, every
        reader of a subscription and every later call fails with ConnectionClosed here."""
        self._lock = threading.Lock()
        error = self._closed = ConnectionClosed(self.namespace, forked=True)
        self.channels.left_behind(error)
        self._errands.left_behind(error)
        self._tells.left_behind()
        self.clock.left_behind()
        in_a_fork, self._on_close = list(self._on_close.values()), {}
        for call in in_a_fork:
            call()

    def in_courier(self) -> bool:
        """Is this its own loop's thread, in which nobody can wait for what is done there?"""
        try:
            return asyncio.get_running_loop() is self.courier.loop
        except RuntimeError:
            return False

    async def _flush(self) -> list[tuple[str, Exception]]:
        # Of all channels at once: what waits in one may go to another while that is waited for.
        for outgoing in self.channels.unanswered():
            if (future := outgoing.future()) is not None:
                await future
        return self._tells.taken()

    def _check_partition(self, found: Settings) -> None:
        """Raises SystemNotFound where there is another system by now, with another number of
        partitions: what it has of an actor is in another log, perhaps."""
        mine, theirs = self.settings.event_store, found.event_store
        if (mine.partition, mine.partitions) != (theirs.partition, theirs.partitions):
            raise SystemNotFound(
                self.namespace,
                f"the system there has {theirs.partitions} partitions, and had {mine.partitions}",
                "connect anew",
            )

    def _adopt(self, found: Topology) -> None:
        """The system was launched anew."""
        topology = self._adapted(found)
        self._check_partition(Settings.model_validate_json(topology.settings_json))
        self.settings = Settings.model_validate_json(topology.settings_json)
        self.world.follow_network(self.settings)
        same_system, same_log = self._known.found(topology)
        self.channels.adopt(topology.table, self.settings, same_system=same_system)
        self.log.adopt(self.settings, another_log=not same_log)
