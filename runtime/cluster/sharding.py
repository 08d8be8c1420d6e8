"""The table of shards, in the hands of the directory: dealt out at a launch, and changed by moves.

Its truth is in the event store. A move is made by the host that gives shards away
(runtime/host/shards.py), so it goes on, or has not happened, whatever becomes of the directory.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Protocol

from ray.exceptions import RayError

from actors.errors import InvalidActor
from runtime.errors import HostUnavailable
from runtime.process.world import World
from runtime.settings.settings import Settings
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


class Sharding:
    """The table of one system."""

    #: Between two tries to have a host that is away give shards: Ray does not say when it is back.
    PAUSE_S = 0.1

    def __init__(
        self, processes: Processes, settings: Callable[[], Settings], world: World
    ) -> None:
        self._processes, self._settings, self._world = processes, settings, world
        self.table: ShardTable | None = None  #: as it was seen last

    async def deal(self) -> None:
        """The hosts that there are to be have all shards; as they have them, where it was for the
        same ones that they were dealt out last. Before any of them is started, and again by a
        directory that Ray has started anew: the one before may have come to its end before this.
        Raises StoreUnavailable."""
        if self._settings().event_store.type != "memory":  # which begins with the writer
            self.table = await self._open(anew=True)

    async def learn(self) -> None:
        """See how it is. Raises StoreUnavailable."""
        self.table = await self._open(anew=False)

    async def move(self, shards: Collection[int], to: str, timeout_s: float) -> ShardTable:
        """Have a host have these shards; the table as it is then. No command fails because of it.
        Raises HostUnavailable where there is no such host, or whoever has some of them does not
        give them within that time: then they may have moved, or may do so yet."""
        if to not in self._processes.pooled():
            raise HostUnavailable(to, "the system has no pooled host of this name")
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        while True:
            try:
                async with asyncio.timeout_at(until_s):
                    return await self._moved(shards, to)
            except (RayError, HostUnavailable, StoreUnavailable, ValueError) as error:
                if loop.time() + self.PAUSE_S >= until_s:
                    raise HostUnavailable(to, f"shards have not come: {error}") from error
                logger.info("shards do not move to %s yet: %s", to, error)
                await asyncio.sleep(self.PAUSE_S)
            except TimeoutError as error:
                reason = f"shards have not come within {timeout_s:g} s"
                raise HostUnavailable(to, reason) from error

    async def _moved(self, shards: Collection[int], to: str) -> ShardTable:
        await self.learn()
        assert self.table is not None
        for host in sorted({self.table.hosts[shard] for shard in shards} - {to}):
            await self._bring_classes(host, to)
            given = self._processes.find(host).give_shards.remote(sorted(shards), to)
            self.table = await awaited(given)
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
