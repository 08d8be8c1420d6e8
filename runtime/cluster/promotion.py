"""What is hot gets a host of its own by itself, and gives it back when it has cooled down.

The directory's. It remembers only how long each shard has been hot or cold, and how long a promoted
host has had none; a directory that Ray has started anew begins that anew.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Mapping
from typing import Any, Protocol

from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.driver.promoting import demote, promote
from runtime.driver.scaling import STEP_S
from runtime.topology.names import promoted_name, promoted_shard
from store.shards import ShardTable

logger = logging.getLogger("thornback.directory")


class Heat:
    """Which shards are to be promoted, and which demoted, by what they were sent at each look."""

    #: So many looks in a row a shard is hot before it is promoted: a burst moves nothing.
    HOT_LOOKS = 2
    #: It is cold with less than this part of what makes it hot, and demoted after so many looks. A
    #: promoted host without its shard is left over after as many: somebody may be about to move it.
    COLD, COLD_LOOKS = 0.5, 6

    def __init__(self, promote_at: float) -> None:
        """`promote_at`: commands a second that make a shard hot."""
        self._promote_at = promote_at
        self._hot: Counter[int] = Counter()  #: looks in a row
        self._cold: Counter[int] = Counter()  #: of those that are promoted
        self._empty: Counter[str] = Counter()  #: of promoted hosts

    def look(self, table: ShardTable, rates: Mapping[int, float]) -> tuple[list[int], list[int]]:
        """Those to be promoted, the hottest first, and those to be demoted. What is not among the
        rates nobody knows, and it stays as hot or as cold as it was: its host may have too much to
        do to answer."""
        promoted = {one for one, host in enumerate(table.hosts) if promoted_shard(host) is not None}
        hot = {one for one, rate in rates.items() if rate >= self._promote_at} - promoted
        cold = {one for one, rate in rates.items() if rate < self.COLD * self._promote_at}
        self._hot = _counted(self._hot, hot, rates)
        self._cold = _counted(self._cold, cold & promoted, rates)
        up = [one for one in hot if self._hot[one] >= self.HOT_LOOKS]
        down = [one for one in cold & promoted if self._cold[one] >= self.COLD_LOOKS]
        return sorted(up, key=lambda one: (-rates[one], one)), sorted(down)

    def left_over(self, table: ShardTable, there: Iterable[str]) -> list[str]:
        """Of the hosts that there are, those that are promoted for no shard any more."""
        names = {name for name in there if promoted_shard(name) is not None} - set(table.hosts)
        self._empty = Counter({name: self._empty[name] + 1 for name in names})
        return sorted(name for name, looks in self._empty.items() if looks >= self.COLD_LOOKS)


def _counted(before: Counter[int], now: Collection[int], known: Collection[int]) -> Counter[int]:
    """So many looks in a row each was it; of what is not known, as many as before."""
    unknown = {one: looks for one, looks in before.items() if one not in known}
    return Counter({one: before[one] + 1 for one in now} | unknown)


class Sharing(Protocol):
    """What promoting asks for (driver/promoting.py). What a directory is."""

    async def sharing(self, timeout_s: float) -> tuple[ShardTable, dict[int, float], list[str]]:
        """The table, what is sent to each shard, and the hosts that there are."""

    async def add_host(self, name: str, timeout_s: float) -> None:
        """Have a host of this name."""

    async def move_shards(self, shards: list[int], to: str, timeout_s: float) -> ShardTable:
        """Have a host have these shards."""

    async def remove_host(self, name: str, timeout_s: float) -> None:
        """End a host that has no shards."""


class Promotion:
    """Looks again and again at what the shards are sent."""

    #: Between two looks: as long as a window of ShardLoads.
    LOOK_S = 10.0

    def __init__(
        self, directory: Sharing, promote_at: float, stopped: Callable[[], Container[str]]
    ) -> None:
        """`stopped` hosts have ended too often: whoever wants one back says so."""
        self._directory, self._heat, self._stopped = directory, Heat(promote_at), stopped

    async def keep(self) -> None:
        """Look, and do what is to be done, until this is cancelled. What fails is logged, and
        tried again at the next look."""
        while True:
            await asyncio.sleep(self.LOOK_S)
            await self._tried("nobody knows what is hot", self._look())

    async def _look(self) -> None:
        table, rates, there = await self._ask("sharing", STEP_S)
        up, down = self._heat.look(table, rates)
        for name in self._heat.left_over(table, there):  # first, so that there is room
            await self._tried(f"{name} is left over", self._ask("remove_host", name, STEP_S))
        for shard in down:
            await self._tried(f"shard {shard:,} has cooled down", demote(self._ask, shard))
        for shard in up:
            if promoted_name(shard) not in self._stopped():
                hot = f"shard {shard:,} is hot ({rates[shard]:,.0f}/s)"
                await self._tried(hot, promote(self._ask, shard))

    async def _tried(self, why: str, work: Awaitable[Any]) -> None:
        """One that fails keeps no other from its turn."""
        try:
            done = await work
        except (RayError, ThornbackError, TimeoutError, ValueError) as error:
            logger.warning("%s, and all stays as it is for now: %s", why, error)
        else:
            if done is not None:
                logger.info("%s: its host is %s", why, done)

    async def _ask(self, method: str, *arguments: Any) -> Any:
        return await getattr(self._directory, method)(*arguments)
