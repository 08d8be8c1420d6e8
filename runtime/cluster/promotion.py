"""What is hot gets a host of its own by itself, and gives it back when it has cooled down.

The directory's. It remembers only how long each shard has been hot or cold; a directory that Ray
has started anew begins that anew.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.driver.promoting import demote, promote
from runtime.driver.scaling import STEP_S
from runtime.topology.names import promoted_shard
from store.shards import ShardTable

logger = logging.getLogger("thornback.directory")


class Heat:
    """Which shards are to be promoted, and which demoted, by what they were sent at each look."""

    #: So many looks in a row a shard is hot before it is promoted: a burst moves nothing.
    HOT_LOOKS = 2
    #: It is cold with less than this part of what makes it hot, and demoted after so many looks.
    COLD, COLD_LOOKS = 0.5, 6

    def __init__(self, promote_at: float) -> None:
        """`promote_at`: commands a second that make a shard hot."""
        self._promote_at = promote_at
        self._hot: Counter[int] = Counter()  #: looks in a row
        self._cold: Counter[int] = Counter()  #: of those that are promoted

    def look(self, table: ShardTable, rates: Mapping[int, float]) -> tuple[list[int], list[int]]:
        """Those to be promoted, the hottest first, and those to be demoted."""
        promoted = {one for one, host in enumerate(table.hosts) if promoted_shard(host) is not None}
        hot = {
            shard
            for shard, rate in rates.items()
            if rate >= self._promote_at and shard not in promoted
        }
        cold = {one for one in promoted if rates.get(one, 0.0) < self.COLD * self._promote_at}
        self._hot = Counter({shard: self._hot[shard] + 1 for shard in hot})
        self._cold = Counter({shard: self._cold[shard] + 1 for shard in cold})
        up = [shard for shard, looks in self._hot.items() if looks >= self.HOT_LOOKS]
        down = [shard for shard, looks in self._cold.items() if looks >= self.COLD_LOOKS]
        return sorted(up, key=lambda one: (-rates[one], one)), sorted(down)


class Sharing(Protocol):
    """What promoting asks for (driver/promoting.py). What Sharding is."""

    async def sharing(self, timeout_s: float) -> tuple[ShardTable, dict[int, float], list[str]]:
        """The table, what is sent to each shard, and the hosts that there are."""

    async def add_host(self, name: str, timeout_s: float) -> None:
        """Have a host of this name."""

    async def move_shards(self, shards: Collection[int], to: str, timeout_s: float) -> ShardTable:
        """Have a host have these shards."""

    async def remove_host(self, name: str, timeout_s: float) -> None:
        """End a host that has no shards."""


class Promotion:
    """Looks again and again at what the shards are sent."""

    #: Between two looks: as long as a window of ShardLoads.
    LOOK_S = 10.0

    def __init__(self, sharding: Sharing, promote_at: float) -> None:
        self._sharding, self._heat = sharding, Heat(promote_at)

    async def keep(self) -> None:
        """Look, and do what is to be done, until this is cancelled. What fails is logged, and
        tried again at the next look."""
        while True:
            await asyncio.sleep(self.LOOK_S)
            try:
                await self._look()
            except (RayError, ThornbackError, TimeoutError, ValueError) as error:
                logger.warning("what is hot stays where it is for now: %s", error)

    async def _look(self) -> None:
        table, rates, _ = await self._ask("sharing", STEP_S)
        up, down = self._heat.look(table, rates)
        for shard in down:  # first, so that there is room
            host = await demote(self._ask, shard)
            logger.info("shard %d has cooled down, and is at %s", shard, host)
        for shard in up:
            host = await promote(self._ask, shard)
            logger.info("shard %d is hot (%.0f/s), and has %s", shard, rates[shard], host)

    async def _ask(self, method: str, *arguments: Any) -> Any:
        return await getattr(self._sharding, method)(*arguments)
