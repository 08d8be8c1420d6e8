"""A driver's channels: the way to each host that there is now, opened when it is first used."""

import contextlib
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

from actors.actor import Actor
from actors.errors import InvalidActor
from actors.naming import actor_type_of
from runtime.clocks import DriverClock
from runtime.driver.channel import Channel
from runtime.driver.courier import Loop
from runtime.driver.host_link import HostLink
from runtime.driver.rejoining import Rejoining
from runtime.driver.shipped_classes import ShippedClasses
from runtime.errors import ConnectionClosed, HostUnavailable, SystemNotFound, fresh
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.placement import shard_of
from runtime.transport.ray_stay import InNoRay


class Channels:
    """Those of one connection. May be used from any thread; they work in the courier's loop."""

    def __init__(
        self,
        hosts: tuple[str, ...],
        settings: Settings,
        *,
        driver: bytes,
        world: World,
        courier: Loop,
        clock: DriverClock,
        rejoining: Rejoining,
    ) -> None:
        # Set once:
        self._driver = driver  #: what hosts know this driver by
        self._world, self._courier, self._clock = world, courier, clock
        self._rejoining = rejoining
        self._lock = threading.Lock()  # guards what follows
        self._settings, self._hosts = settings, hosts  # of the system as it is now
        self._classes = _classes_of(settings)
        self._open: dict[str, Channel] = {}
        self._ended: ConnectionClosed | None = None  # none is opened any more, because of this

    def of(self, source: str, actor: type[Actor[Any]] | None) -> Channel:
        """The way to the host of a source: its own if its type is placed so, otherwise
        the host of its shard. Raises ConnectionClosed, and InvalidActor for a class that
        its host cannot import and that cannot be sent there."""
        if actor is not None:
            self._classes.shipped(actor)
        with self._lock:
            if self._ended is not None:
                raise fresh(self._ended)
            placed = self._settings.actor_system.placement.get(actor_type_of(source))
            dedicated = placed == "dedicated"
            host = source if dedicated else self._hosts[shard_of(source) % len(self._hosts)]
            channel = self._open.get(host)
            if channel is None:
                channel = self._open[host] = self._opened(host, dedicated)
        return channel

    def all(self) -> list[Channel]:
        """All that are open."""
        with self._lock:
            return list(self._open.values())

    def adopt(self, hosts: tuple[str, ...], settings: Settings) -> None:
        """The system was launched anew. Where its actors have the hosts that they had, what is
        unanswered is sent there again. Where not, it ends here, and references find their
        actors' hosts anew; so nothing overtakes anything."""
        moved: list[Channel] = []
        with self._lock:
            before = self._hosts, self._settings.actor_system.placement
            self._settings, self._hosts = settings, hosts
            self._classes = _classes_of(settings)
            if before != (hosts, settings.actor_system.placement):
                moved, self._open = list(self._open.values()), {}
        for channel in moved:
            channel.moved = True
            channel.close(HostUnavailable(channel.host, "the system has other hosts: send again"))

    def end(self) -> list[Channel]:
        """Open no more; those that are open, which the caller is to close."""
        with self._lock:
            self._ended = ConnectionClosed(self._settings.actor_system.namespace)
            return list(self._open.values())

    def left_behind(self, error: ConnectionClosed) -> None:
        """This process was forked, and the channels are its parent's."""
        self._lock, self._ended = threading.Lock(), error
        self._classes = _classes_of(self._settings)
        for channel in self._open.values():
            channel.left_behind(error)

    async def _shipped(self, actor: type[Actor[Any]]) -> bytes | None:
        """What is sent of a class to the hosts that there are now."""
        classes = self._classes
        if classes.ready(actor):
            return classes.shipped(actor)
        return await self._world.aside(partial(classes.shipped, actor))

    async def _sent_first(self, actors: Iterable[type[Actor[Any]]]) -> bytes | None:
        """What a dedicated host is started with. A class that cannot be sent starts none: its
        users are told so once there is a host."""
        for actor in actors:
            with contextlib.suppress(InvalidActor):
                return await self._shipped(actor)
        return None

    def _opened(self, host: str, dedicated: bool) -> Channel:
        async def find(actors: Iterable[type[Actor[Any]]]) -> Any:
            try:
                await self._rejoining.ensure()
                if dedicated:
                    directory = await self._world.handle(DIRECTORY_ACTOR)
                    await directory.locate.remote(host, await self._sent_first(actors))
                return await self._world.handle(host)
            except ValueError as error:
                self._rejoining.ended(host)
                why = str(error) if isinstance(error, InNoRay) else "there is no such process"
                raise HostUnavailable(host, why) from error
            except SystemNotFound as error:
                raise HostUnavailable(host, str(error)) from error

        link = HostLink(
            host,
            find,
            lambda: self._world.caller(host),
            self._shipped,
            lambda: self._rejoining.ended(host),
        )
        return Channel(
            link,
            self._driver,
            self._courier.loop,
            self._clock,
            timeout_s=self._settings.actor_system.actor_timeout_ms / 1000,
        )


def _classes_of(settings: Settings) -> ShippedClasses:
    return ShippedClasses(("actors.devices", *settings.actor_system.actor_modules))
