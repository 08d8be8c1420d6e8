"""A driver's connection to a running system: channels to hosts, and what is sent unwatched.

References and subscriptions hold a connection, not the ActorSystem, which is a thin face
over it. Connecting needs no part of the cluster: no host, no writer, no database.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from actors.actor import Actor
from actors.ids import FreshIds
from actors.moments import UNIX_OFFSET_US
from actors.naming import actor_type_of
from runtime.clocks import DriverClock
from runtime.driver.channel import Channel
from runtime.driver.class_shipping import pickled_class
from runtime.driver.courier import Courier, Loop
from runtime.driver.outgoing import Outgoing
from runtime.errors import ConnectionClosed, HostUnavailable
from runtime.partition.log_access import LogAccess
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.placement import shard_of
from runtime.wire.error_codec import decode_error
from store.event_store import EventStore

logger = logging.getLogger("thornback.driver")


class Connection:
    """One driver's channels and their clock. `channel_of` and `watch` may be called from
    any thread; the channels work in the courier's loop.

    `topology` is what the directory says of the system (settings and pooled hosts).
    """

    MAX_FAILURES = 10_000

    def __init__(
        self,
        topology: Mapping[str, Any],
        world: World | None = None,
        courier: Loop | None = None,
    ) -> None:
        self.settings = Settings.model_validate_json(topology["settings"])
        self.namespace = self.settings.actor_system.namespace
        self.world = world or World(self.namespace)
        self.courier = courier or Courier()
        self.clock = DriverClock()
        self._hosts: list[str] = topology["hosts"]
        self._placement = dict(self.settings.actor_system.placement)
        self._driver = self.world.random(8)
        self._ids = FreshIds(Random(self.world.random(16)).getrandbits)
        self._channels: dict[str, Channel] = {}
        self._told: dict[Outgoing, list[int]] = {}
        self._failures: list[tuple[str, Exception]] = []
        self._lock = threading.Lock()
        self.log = LogAccess(self.world, self.settings)  #: of all feeds; in the courier's loop
        self._closed = False
        self._to_tell: set[Callable[[], None]] = set()  #: when the connection is closed

    def new_id(self) -> bytes:
        """A fresh command id."""
        return self._ids.new((self.world.now_us() + UNIX_OFFSET_US) // 1000)

    def channel_of(self, source: str, actor: type[Actor[Any]] | None) -> Channel:
        """The way to the host of a source: its own if its type is placed so, otherwise
        the host of its shard."""
        dedicated = self._placement.get(actor_type_of(source)) == "dedicated"
        host = source if dedicated else self._hosts[shard_of(source) % len(self._hosts)]
        channel = self._channels.get(host)
        if channel is None:
            with self._lock:
                channel = self._channels.get(host)
                if channel is None:
                    opened = self._opened(host, dedicated, actor if dedicated else None)
                    channel = self._channels[host] = opened
        return channel

    def channels(self) -> list[Channel]:
        """All that are open."""
        return list(self._channels.values())

    def watch(self, outgoing: Outgoing, index: int) -> None:
        """Notice if a `tell` fails."""
        with self._lock:
            indexes = self._told.get(outgoing)
            if indexes is not None:
                indexes.append(index)
                return
            self._told[outgoing] = [index]
            outgoing.on_finish = self._told_finished
        if outgoing.finished:
            self._told_finished(outgoing)

    def flush(self) -> list[tuple[str, Exception]]:
        """Wait until everything sent so far is answered; the failures of `tell` since the
        last flush, as (source, error), the first 10,000 of them (all are logged)."""
        for channel in self.channels():
            self.courier.run(channel.flushed()).result()
        with self._lock:
            failures, self._failures = self._failures, []
        return failures

    async def head(self) -> int:
        """Where the log stands (LogAccess.head), for a coroutine in any loop."""
        self.check_open()
        asked = self.courier.run(self.log.head())
        try:
            return await asyncio.wrap_future(asked)
        except asyncio.CancelledError as error:
            if asked.cancelled() and self._closed:
                raise ConnectionClosed(self.namespace) from error
            raise

    def check_open(self) -> None:
        """Raises ConnectionClosed once it is closed."""
        if self._closed:
            raise ConnectionClosed(self.namespace)

    async def open_store(self) -> EventStore:
        """The event store of the system, opened for the caller. Raises StoreUnavailable."""
        return await self.world.open_store(self.settings)

    def when_closed(self, told: Callable[[], None]) -> None:
        """Have something called when the connection is closed. Raises ConnectionClosed
        when it is."""
        with self._lock:
            if self._closed:
                raise ConnectionClosed(self.namespace)
            self._to_tell.add(told)

    def no_longer(self, told: Callable[[], None]) -> None:
        """Call it no more."""
        with self._lock:
            self._to_tell.discard(told)

    def close(self) -> None:
        """End the connection. Unanswered replies fail with HostUnavailable, readers of
        subscriptions with ConnectionClosed."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            to_tell, self._to_tell = self._to_tell, set()
        for told in to_tell:
            told()
        for channel in self.channels():
            self.courier.loop.call_soon_threadsafe(channel.close)
        closing = self.courier.run(self.log.close())  # is bounded in time
        if not self._in_courier():
            closing.result()
        self.courier.close()

    def _in_courier(self) -> bool:
        try:
            return asyncio.get_running_loop() is self.courier.loop
        except RuntimeError:
            return False

    def pickled(self, actor: type[Actor[Any]]) -> bytes | None:
        """A class for hosts that cannot import it; None for those that have it anyway."""
        module = actor.__module__
        known = ("actors.devices", *self.settings.actor_system.actor_modules)
        if any(module == name or module.startswith(f"{name}.") for name in known):
            return None
        return pickled_class(actor)

    def _opened(self, host: str, dedicated: bool, actor: type[Actor[Any]] | None) -> Channel:
        async def find() -> Any:
            try:
                if dedicated:
                    directory = self.world.handle(DIRECTORY_ACTOR)
                    await directory.locate.remote(host, self.pickled(actor) if actor else None)
                return self.world.handle(host)
            except ValueError as error:
                raise HostUnavailable(host, "there is no such process") from error

        return Channel(
            host,
            self._driver,
            find,
            self.courier.loop,
            self.clock,
            reach=lambda: self.world.caller(host),
            pickled=self.pickled,
            timeout_s=self.settings.actor_system.actor_timeout_ms / 1000,
        )

    def _told_finished(self, outgoing: Outgoing) -> None:
        with self._lock:
            indexes = self._told.pop(outgoing, [])
        for index in indexes:
            error = outgoing.error
            if outgoing.answer is not None and index in outgoing.answer.errors:
                error = decode_error(outgoing.answer.errors[index])
            if error is not None and (outgoing.answer is None or index in outgoing.answer.errors):
                logger.warning("tell to %s failed: %s", outgoing.source(index), error)
                with self._lock:
                    if len(self._failures) < self.MAX_FAILURES:
                        self._failures.append((outgoing.source(index), error))
