"""A driver's channels: the way to each host that there is now, opened when it is first used."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from ray.exceptions import ActorDiedError, RayError

from actors.actor import Actor
from actors.errors import InvalidActor, ThornbackError
from actors.naming import actor_type_of
from runtime.clocks import DriverClock
from runtime.driver.channel import Channel
from runtime.driver.courier import Loop
from runtime.driver.dividing import by_host, divided
from runtime.driver.host_link import HostLink
from runtime.driver.outbox import Rerouted
from runtime.driver.outgoing import Outgoing
from runtime.driver.rejoining import Rejoining
from runtime.driver.shipped_classes import ShippedClasses
from runtime.driver.table_of_shards import TableOfShards
from runtime.errors import ConnectionClosed, HostUnavailable, NotPossible, SystemNotFound, fresh
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR, host_name, may_have_shards
from runtime.topology.partitions import is_of_each, partition_of
from runtime.topology.placement import shard_of
from runtime.transport.ray_stay import InNoRay
from runtime.wire.commands import SOURCE
from store.errors import StoreUnavailable
from store.shards import ShardTable

logger = logging.getLogger("thornback.driver")

#: A process that is asked for the table is away, or its store is.
_UNTOLD = (RayError, ThornbackError, ValueError, ConnectionError, TimeoutError)


class Channels(TableOfShards):
    """Those of one connection. May be used from any thread; they work in the courier's loop.

    Which host an actor lives at is said by the table of shards, of which a driver knows a version.
    A host that has given actors away says so, and has a later one; adopting it keeps each driver's
    order: no host gives away the first of an actor's commands while a later one is on its way to
    another host. Channels that lose actors are held until nothing of theirs is under way; then, in
    one step, what they have not been answered goes to where it belongs, and whatever comes next
    goes behind that.
    """

    #: So many other hosts are asked who has the shards of one that is away, and then the directory;
    #: so long each.
    ASKED, ASKED_S = 3, 1.0

    def __init__(
        self,
        table: ShardTable,
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
        self._settings, self._shards = settings, table  # of the system as it is now
        self._partitions = settings.event_store.partitions  #: for ever
        self._launch = 0  #: counts the systems that it was launched as
        self._classes = _classes_of(settings)
        self._open: dict[str, Channel] = {}
        self._ended: ConnectionClosed | None = None  # none is opened any more, because of this
        self._catching_up = asyncio.Lock()  #: in the loop: one table after another is adopted

    @property
    def table(self) -> ShardTable:
        """The table of shards, as far as it is known here."""
        return self._shards

    def of(self, source: str, actor: type[Actor[Any]] | None) -> Channel:
        """The way to the host of a source: its own if its type is placed so, otherwise
        the host of its shard. Raises ConnectionClosed, and InvalidActor for a class that
        its host cannot import and that cannot be sent there."""
        return self.way(source, actor)[0]

    def way(self, source: str, actor: type[Actor[Any]] | None) -> tuple[Channel, int]:
        """The same, and by which version of the table of shards: whoever keeps it looks anew when
        the channel is `routed` by another. Raises what `of` raises."""
        if actor is not None:
            self._classes.shipped(actor)
        with self._lock:
            if self._ended is not None:
                raise fresh(self._ended)
            channel = self._channel(self._host_of(source))
            return channel, channel.routed

    def add(
        self, fields: tuple[Any, ...], actor: type[Actor[Any]] | None, *, want_events: bool
    ) -> tuple[Outgoing, int]:
        """Put one command into the batch that leaves next for its actor's host. Raises what `of`
        and Channel.add raise."""
        while True:
            channel, routed = self.way(fields[SOURCE], actor)
            with contextlib.suppress(Rerouted):
                return channel.add(fields, actor, want_events=want_events, routed=routed)

    def submit(self, outgoing: Outgoing) -> None:
        """Send a batch whose actors may live at several hosts by now. Raises what `of` raises."""
        with self._lock:
            if self._ended is not None:
                raise fresh(self._ended)
            theirs = by_host(outgoing, self._host_of)
            channels = [self._channel(host) for host in theirs]
            outgoing.routed = channels[0].routed
            if len(channels) == 1:
                channels[0].submit(outgoing)
                return
            channels[0].begin(outgoing)
            for channel, part in zip(channels, divided(outgoing, theirs).values(), strict=True):
                channel.take_over(part)

    async def catch_up(self, version: int, link: HostLink) -> None:
        launch = self._launch
        table: ShardTable | None = None
        if self._shards.version < version:
            try:  # not one host after another: one that hangs is to hold up nobody else
                table = await link.shard_table()
            except (HostUnavailable, StoreUnavailable) as error:
                logger.info("%s does not say who has its shards: %s", link.host, error)
        async with self._catching_up:
            if table is not None and table.version > self._shards.version:
                await self._adopt_table(table, launch)
            if self._shards.version >= version:
                self._divide_anew(link.host, launch)

    def _divide_anew(self, host: str, launch: int) -> None:
        """A host has turned away what was sent by an older table than is known here, and has
        nothing more of it: what belongs elsewhere goes there, instead of here once more."""
        with self._lock:
            if self._goes_on(launch) and (channel := self._open.get(host)) is not None:
                for where, part in channel.divide(self._host_of, self._shards.version):
                    self._channel(where).take_over(part)

    async def look_elsewhere(self, host: str) -> None:
        if not may_have_shards(host):
            return
        try:
            launch, table = self._launch, await self._told_elsewhere(host)
            async with self._catching_up:
                if table is not None and table.version > self._shards.version:
                    await self._adopt_table(table, launch)
            if table is not None and host in table.hosts:
                await self._have_kept(host)
        except Exception as error:  # Ray's own failures have no common root
            # Nothing is known but what was: whoever looks tries again where it did before.
            logger.info("nobody says where the actors of %s are: %r", host, error)

    async def _told_elsewhere(self, host: str) -> ShardTable | None:
        """The table, by the store, as another host than this one reads it, or the directory."""
        # However many hosts a system was scaled to, the first one is mostly among them. Where each
        # that is known here was stopped, the directory alone knows of those that have its shards.
        others = sorted({host_name(0), *self._shards.hosts} - {host})
        for other in (*others[: self.ASKED], DIRECTORY_ACTOR):
            try:
                async with asyncio.timeout(self.ASKED_S):
                    handle = await self._world.handle(other)
                    anew = {} if other == DIRECTORY_ACTOR else {"anew": True}
                    table: ShardTable | None = await handle.shard_table.remote(**anew)
                    return table
            except _UNTOLD as error:
                if isinstance(error, ActorDiedError):  # it may be another one by now
                    self._world.forget(other)
                logger.info("%s says nothing of the shards of %s: %s", other, host, error)
        return None

    async def _have_kept(self, host: str) -> None:
        """It has shards. If it has ended for good all the same, the directory starts it anew."""
        try:
            async with asyncio.timeout(self.ASKED_S):
                with contextlib.suppress(ValueError):
                    await self._world.handle(host)
                    return
                directory = await self._world.handle(DIRECTORY_ACTOR)
                await directory.keep_host.remote(host)
        except _UNTOLD as error:
            if isinstance(error, ActorDiedError):
                self._world.forget(DIRECTORY_ACTOR)
            logger.info("%s is not started anew: %s", host, error)

    async def _adopt_table(self, table: ShardTable, launch: int) -> None:
        changed = zip(self._shards.hosts, table.hosts, strict=True)
        losing_hosts = {before for before, now in changed if before != now}
        with self._lock:
            if not self._goes_on(launch):
                return
            # Also those to which nothing was sent so far: what is first sent meanwhile is held.
            losing = [self._channel(host) for host in sorted(losing_hosts)]
        await asyncio.gather(*(channel.hold() for channel in losing))
        try:
            with self._lock:
                if self._goes_on(launch):
                    self._switch(table, losing_hosts)
        finally:
            for channel in losing:
                channel.go_on()

    def _goes_on(self, launch: int) -> bool:
        """Is it open, and the system none that was launched with other hosts since? With the
        lock."""
        return self._ended is None and self._launch == launch

    def _switch(self, table: ShardTable, losing: Collection[str]) -> None:
        """In one step. What belongs elsewhere goes there, in its order, before anybody finds
        anything by the new table."""
        self._shards = table
        for channel in list(self._open.values()):
            if channel.host not in losing:
                channel.reroute(table.version)
        for held in [self._open[host] for host in sorted(losing) if host in self._open]:
            for where, part in held.divide(self._host_of, table.version):
                self._channel(where).take_over(part)

    def _host_of(self, source: str) -> str:
        if self._partitions > 1:
            self._check_partition(source)
        if self._is_dedicated(source):
            return source
        return self._shards.hosts[shard_of(source)]

    def _check_partition(self, source: str) -> None:
        """Raises NotPossible for what belongs to another partition: here it would begin anew."""
        own, theirs = self._settings.event_store.partition, partition_of(source, self._partitions)
        if own != theirs and not is_of_each(source):
            raise NotPossible(
                f"{source} is of partition {theirs}, and this is a connection to partition {own}"
            )

    def _is_dedicated(self, source: str) -> bool:
        return self._settings.actor_system.placement.get(actor_type_of(source)) == "dedicated"

    def _channel(self, host: str) -> Channel:
        """The one to a host. With the lock."""
        channel = self._open.get(host)
        if channel is None:
            channel = self._open[host] = self._opened(host, self._is_dedicated(host))
            channel.reroute(self._shards.version)
        return channel

    def all(self) -> list[Channel]:
        """All that are open."""
        with self._lock:
            return list(self._open.values())

    def unanswered(self) -> list[Outgoing]:
        """What was sent, or is to be, and has no answer yet, in its order at each host; nothing
        goes from one to another meanwhile."""
        with self._lock:
            return [one for channel in self._open.values() for one in channel.unanswered()]

    def adopt(self, table: ShardTable, settings: Settings, *, same_system: bool = False) -> None:
        """The system was launched anew. Where it has the hosts that it had, what is unanswered is
        sent there again; that actors have moved from one to another, those say. Where not, it ends
        here, and references find their actors' hosts anew; so nothing overtakes anything. Of the
        `same_system`, which was asked again, its hosts say who has moved, and so nothing ends."""
        moved: list[Channel] = []
        with self._lock:
            before, placement = self._shards, self._settings.actor_system.placement
            self._settings = settings
            self._classes = _classes_of(settings)
            follows = same_system or _follows(table, before)
            if placement != settings.actor_system.placement or not follows:
                self._shards, self._launch = table, self._launch + 1
                moved, self._open = list(self._open.values()), {}
            elif not same_system and table.version < before.version:
                # Of another log: its hosts know no later one.
                self._shards, self._launch = table, self._launch + 1
                for channel in self._open.values():
                    channel.reroute(table.version)
        for channel in moved:
            channel.moved = True
            channel.reroute(-1)
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
            table=self,
        )


def _follows(table: ShardTable, before: ShardTable) -> bool:
    """May a table have come of another one by moves alone?"""
    if table.version <= before.version:
        return table.hosts == before.hosts
    return set(table.dealt_to) == set(before.dealt_to)


def _classes_of(settings: Settings) -> ShippedClasses:
    return ShippedClasses(("actors.devices", *settings.actor_system.actor_modules))
