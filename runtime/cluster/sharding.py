"""The table of shards, in the hands of the directory: dealt out at a launch, and changed by moves.

Its truth is in the event store. A move is made by the host that gives shards away
(runtime/host/shards.py), so it goes on, or has not happened, whatever becomes of the directory.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, Protocol

from ray.exceptions import RayError

from actors.errors import InvalidActor, ThornbackError
from runtime.cluster.spawning import reason_of
from runtime.cluster.system_processes import ready
from runtime.errors import HostUnavailable
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import MOST_HOSTS, number_of_host
from runtime.transport.peers import awaited
from store.errors import StoreUnavailable
from store.shards import ShardTable

logger = logging.getLogger("thornback.directory")


class Processes(Protocol):
    """Those of a system, as far as shards are concerned. What SystemProcesses is."""

    def pooled(self) -> list[str]:
        """The names of the pooled hosts that there are to be."""

    def find(self, name: str) -> Any:
        """The handle of a process as it is now. Raises ValueError when there is none."""

    def have_shards(self, hosts: Iterable[str]) -> None:
        """These hosts have them now, and no others."""

    def start_host(self, name: str) -> Any:
        """The handle of a pooled host, which is started if it is not there."""

    def end(self, name: str) -> None:
        """Kill a process for good; none of that name is fine."""


class Sharding:
    """The table of one system."""

    #: Between two tries to have a host that is away give shards: Ray does not say when it is back.
    PAUSE_S = 0.1
    #: How long a host may take to say what its shards have to do.
    LOADS_S = 2.0

    def __init__(
        self, processes: Processes, settings: Callable[[], Settings], world: World
    ) -> None:
        self._processes, self._settings, self._world = processes, settings, world
        self.table: ShardTable | None = None  #: as it was seen last
        self._one_at_a_time = asyncio.Lock()  #: nobody gives shards to a host that is about to end

    async def begin(self, *, anew: bool) -> None:
        """Find out which hosts there are to be, before they are started: those that have shards.
        `anew`: nothing runs yet, and the hosts of the settings have all shards; as they had them,
        where they are the same. Raises StoreUnavailable."""
        if self._settings().event_store.type != "memory":  # which begins with the writer
            self._saw(await self._open(anew=anew))

    async def learnt(self) -> ShardTable:
        """The table as it is. Raises StoreUnavailable."""
        await self.learn()
        assert self.table is not None
        return self.table

    async def learn(self) -> None:
        """See how it is. Raises StoreUnavailable."""
        self._saw(await self._open(anew=False))

    async def move(self, shards: Collection[int], to: str, timeout_s: float) -> ShardTable:
        """Have a host have these shards; the table as it is then. No command fails because of it.
        Raises HostUnavailable where there is no such host, or whoever has some of them does not
        give them within that time: then they may have moved, or may do so yet."""
        self._check_there(to)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while True:
            try:
                async with asyncio.timeout_at(until_s), self._one_at_a_time:
                    return await self._moved(shards, to)
            except (RayError, HostUnavailable, StoreUnavailable, ValueError) as error:
                if loop.time() + self.PAUSE_S >= until_s:
                    raise HostUnavailable(to, f"shards have not come: {error}") from error
                logger.info("shards do not move to %s yet: %s", to, error)
                await asyncio.sleep(self.PAUSE_S)
            except TimeoutError as error:
                reason = f"shards have not come within {timeout_s:g} s"
                raise HostUnavailable(to, reason) from error

    async def add_host(self, name: str, timeout_s: float) -> None:
        """Have a pooled host of this name, which has no shards until some are moved to it. Raises
        HostUnavailable where it is not ready in time, and for a name that no host may have."""
        number = number_of_host(name)
        if number is None or number >= MOST_HOSTS:
            raise HostUnavailable(name, f"pooled hosts are host-0 to host-{MOST_HOSTS - 1}")
        try:
            async with asyncio.timeout(timeout_s):
                await ready(self._processes.start_host(name))
        except TimeoutError as error:
            raise HostUnavailable(name, f"it is not ready within {timeout_s:g} s") from error
        except (ThornbackError, RayError) as error:
            raise HostUnavailable(name, reason_of(error)) from error

    async def remove_host(self, name: str, timeout_s: float) -> None:
        """End a pooled host that has no shards any more; one that is not there is fine. Raises
        HostUnavailable where it has some, or is not flushed in time."""
        async with self._one_at_a_time:
            await self.learn()
            assert self.table is not None
            if number_of_host(name) is None or (left := len(self.table.of(name))):
                raise HostUnavailable(name, f"it is to stay: it has {left:,} shards")
            try:
                host = self._processes.find(name)
            except ValueError:
                return
            try:
                async with asyncio.timeout(timeout_s):
                    await awaited(host.drain.remote())
            except TimeoutError as error:
                raise HostUnavailable(name, f"not flushed within {timeout_s:g} s") from error
            except (ThornbackError, RayError) as error:
                raise HostUnavailable(name, reason_of(error)) from error
            self._processes.end(name)

    async def loads(self) -> dict[int, int]:
        """So many commands, about, came for each shard lately; of hosts that are away, nothing is
        known."""
        found: Counter[int] = Counter()
        for host in self._processes.pooled():
            try:
                async with asyncio.timeout(self.LOADS_S):
                    found.update(await awaited(self._processes.find(host).shard_loads.remote()))
            except (RayError, ValueError, TimeoutError) as error:
                logger.info("%s does not say what its shards have to do: %s", host, error)
        return dict(found)

    def _check_there(self, host: str) -> None:
        try:
            there = number_of_host(host) is not None and self._processes.find(host) is not None
        except ValueError:
            there = False
        if not there:
            raise HostUnavailable(host, "the system has no pooled host of this name")

    def _saw(self, table: ShardTable) -> None:
        self.table = table
        self._processes.have_shards(set(table.hosts))

    async def _moved(self, shards: Collection[int], to: str) -> ShardTable:
        await self.learn()
        assert self.table is not None
        for host in sorted({self.table.hosts[shard] for shard in shards} - {to}):
            await self._bring_classes(host, to)
            given = self._processes.find(host).give_shards.remote(sorted(shards), to)
            self._saw(await awaited(given))
        with suppress(RayError, ValueError):  # it will hear of it from drivers, or when it starts
            await awaited(self._processes.find(to).learn_shards.remote())
        return self.table

    async def _bring_classes(self, host: str, to: str) -> None:
        """Have a host know the classes that another one was sent: whoever speaks to its actors
        without their classes, a gateway say, has none to send."""
        sent = await awaited(self._processes.find(host).sent_classes.remote())
        for actor_type, code in sorted(sent.items()):
            try:
                await awaited(self._processes.find(to).offer.remote(actor_type, code))
            except InvalidActor as error:  # as it would have told whoever brings it
                logger.warning("%s does not take %s of %s: %s", to, actor_type, host, error)

    async def _open(self, *, anew: bool) -> ShardTable:
        store = await self._world.open_store(self._settings())
        try:
            return await store.open_shards(self._processes.pooled(), anew=anew)
        finally:
            await store.close()
