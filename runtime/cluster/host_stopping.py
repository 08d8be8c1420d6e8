"""Hosts that have ended too often: each is stopped, its shards go to others, and the log is told.

Whether one is to be stopped, ProcessSupervision says; how shards are taken from it, Sharding knows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Protocol
from uuid import UUID

from ray.exceptions import RayError

from actors.errors import ThornbackError
from actors.event import Event, SystemEvent
from actors.ids import time_ordered_id
from actors.moments import moment_of
from actors.process_events import HostWasStarted, HostWasStopped
from runtime.cluster.process_supervision import Stop
from runtime.driver.connection import Connection
from runtime.driver.own_loop import OwnLoop
from runtime.driver.publishing import publish
from runtime.errors import ActorsMoved, AskTimeout, HostUnavailable, MailboxFull
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import kind_of, promoted_shard
from runtime.topology.partitions import source_of_process
from runtime.topology.status import ProcessAway, Topology
from store.errors import StoreUnavailable
from store.shards import ShardTable

logger = logging.getLogger("thornback.directory")

#: What leaves open whether an event is in the log, or says that it is not for now.
PASSING = (ActorsMoved, AskTimeout, HostUnavailable, MailboxFull, StoreUnavailable)


class Shards(Protocol):
    """What is needed of the table of shards. What Sharding is."""

    table: ShardTable | None

    def others_than(self, host: str, leaving: Collection[str] = ()) -> bool:
        """Have others than this host, and than those, shards?"""

    async def take_shards(
        self, name: str, timeout_s: float, ended: Callable[[], None], leaving: Collection[str]
    ) -> tuple[ShardTable, int]:
        """End a host for good, and have others have its shards, none of those that are leaving if
        there are any others; the table, and how many. `ended` is called each time when it has
        been."""

    async def known_within(self, timeout_s: float) -> ShardTable:
        """The table as it is."""

    async def keep_host(self, name: str) -> bool:
        """Start a host that has shards and is not there; is it there now?"""


class HostStopping:
    """The directory's. In its event loop."""

    #: How long the shards of a host may take to move; PostgreSQL may be away.
    TAKEN_S = 60.0
    #: How long the log may take to be told.
    TOLD_S = 60.0
    #: Between two tries to learn what became of a stop: the store does not say when it is back.
    AGAIN_S = 1.0

    def __init__(
        self,
        shards: Shards,
        settings: Callable[[], Settings],
        world: World,
        *,
        may_act: Callable[[], Awaitable[bool]],
    ) -> None:
        """`may_act` says whether the system runs, and is this directory's."""
        self._shards, self._settings, self._world = shards, settings, world
        self._may_act = may_act
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping: dict[str, Stop] = {}  #: hosts whose shards others are to have
        self._started_since: set[str] = set()  #: hosts among that: somebody had them started again
        self._removed_since: set[str] = set()  #: and those that nobody wants any more
        self._telling = asyncio.Lock()  #: the log hears of a start behind the stop before it
        self._over = False
        self.stopped: dict[str, str] = {}  #: by name: what there is to say of it

    def others_than(self, host: str) -> bool:
        """Are there others that have shards, to take over what a host does? Not those that are
        being stopped: of two hosts that end side by side, one stays."""
        return self._shards.others_than(host, self._stopping.keys())

    def stop(self, stop: Stop) -> None:
        """Have a host stopped, in the background. Where that does not come about it is started
        again, in its time. One that is being stopped already is being stopped once."""
        if stop.host not in self._stopping:
            self._stopping[stop.host] = stop
            self._begin(self._stop(stop), over=lambda: self._is_done(stop))

    def started(self, host: str) -> None:
        """Somebody has had a host started; if it was stopped, the log is told. It may have been
        ended, and others be told yet that they have its shards: then it is, behind the stop."""
        if host in self._stopping:
            self._started_since.add(host)
            self._removed_since.discard(host)
        if self.stopped.pop(host, None) is not None:
            self._begin(self._told(host, HostWasStarted(host=host)))

    def removed(self, host: str) -> None:
        """Somebody does not want that host: nobody need hear of it any more."""
        self.stopped.pop(host, None)
        if host in self._stopping:
            self._removed_since.add(host)

    def statuses(self) -> list[ProcessAway]:
        """A line for each that is stopped."""
        return [
            ProcessAway(name=host, kind=kind, reason=said)
            for host, said in sorted(self.stopped.items())
            if (kind := kind_of(host, {})) is not None
        ]

    async def cancel(self) -> None:
        """Stop none any more, and wait until nothing of that is under way: the system ends."""
        self._over = True
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _is_done(self, stop: Stop) -> None:
        if self._stopping.get(stop.host) is stop:  # and not one that was begun since
            del self._stopping[stop.host]
            self._started_since.discard(stop.host)
            self._removed_since.discard(stop.host)

    def _begin(
        self, work: Coroutine[Any, Any, None], over: Callable[[], None] = lambda: None
    ) -> None:
        if self._over:
            work.close()
            return
        self._under_way.add(task := asyncio.ensure_future(work))
        task.add_done_callback(self._under_way.discard)
        task.add_done_callback(lambda _: over())

    async def _stop(self, stop: Stop) -> None:
        logger.critical("%s is to be stopped: %s", stop.host, stop.why)
        had = 0
        try:
            if not await self._may_act():
                return
            had = len((await self._shards.known_within(self.TAKEN_S)).of(stop.host))
            table, taken = await self._shards.take_shards(
                stop.host,
                self.TAKEN_S,
                lambda: self._started_since.discard(stop.host),
                self._stopping.keys(),
            )
        except (RayError, ThornbackError) as error:
            logger.error("nobody knows yet whether %s is stopped: %s", stop.host, error)
            if (found := await self._outcome(stop.host)) is None:
                return
            table, taken = found, had  # its shards moved, and nobody heard of it
        heirs = ", ".join(sorted(set(table.hosts)))
        again = "scale" if promoted_shard(stop.host) is None else "promote"
        moved = f"its {taken:,} shards are with {heirs}" if taken else "it had no shards"
        logger.critical("%s is stopped: %s; %s", stop.host, stop.why, moved)
        if stop.host not in self._removed_since:
            self.stopped[stop.host] = (
                f"stopped: {stop.why}; {moved}; `thornback {again}` starts it again"
            )
        if stop.host in self._started_since:
            self.started(stop.host)  # what that tells comes behind what is told here
        # What is left is to tell the log, which may take its time. It may end too often again.
        self._is_done(stop)
        event = HostWasStopped(host=stop.host, reason=stop.why, shards=taken)
        await self._told(stop.host, event)

    async def _outcome(self, host: str) -> ShardTable | None:
        """What became of a stop that may have come about in part: the table where the host is not
        there and has no shards any more, and so is stopped. Otherwise it goes on: it is started
        where it was ended, as its shards are not to wait for somebody who asks."""
        while True:
            try:
                if await self._shards.keep_host(host):
                    logger.error("%s could not be stopped, and goes on", host)
                    return None
                return self._shards.table
            except StoreUnavailable:
                await asyncio.sleep(self.AGAIN_S)
            except (RayError, ThornbackError) as error:
                logger.error("%s is started when somebody asks for it: %s", host, error)
                return None

    async def _told(self, host: str, payload: SystemEvent) -> None:
        """Put it into the log, in turn."""
        async with self._telling:
            await self._tell(host, payload)

    async def _tell(self, host: str, payload: SystemEvent) -> None:
        now_us = self._world.now_us()
        made = time_ordered_id(now_us // 1000, int.from_bytes(self._world.random(10)))
        event = Event.of(
            payload,
            source=source_of_process(host, self._settings().event_store.partition),
            id=UUID(bytes=made),
            timestamp=moment_of(now_us),
        )
        connection = self._connection()
        try:
            async with asyncio.timeout(self.TOLD_S):
                await self._published(connection, event)
        except (RayError, ThornbackError, TimeoutError) as error:
            logger.error("the log was not told of %s: %s", payload.event_type, error)
        finally:
            connection.close()

    async def _published(self, connection: Connection, event: Event) -> None:
        """Again under the same id, while whoever it goes to is away, or has too much to do."""
        while True:
            try:
                await publish(connection, event)
            except PASSING as error:
                logger.info("the log is not told of %s yet: %s", event.event_type, error)
                await asyncio.sleep(self.AGAIN_S)
            else:
                return

    def _connection(self) -> Connection:
        """As it takes one to publish something; nobody else in this process has one."""
        table = self._shards.table
        assert table is not None  # somebody has just read it
        topology = Topology(
            settings_json=self._settings().model_dump_json(),
            hosts=tuple(sorted(set(table.hosts))),
            shards=table,
        )
        return Connection(topology, self._world, OwnLoop(), of_system=True)
