"""The table of shards, in the hands of the directory: dealt out at a launch, and changed by moves.

Its truth is in the event store. A move is made by the host that gives shards away
(runtime/host/shards.py), so it goes on, or has not happened, whatever becomes of the directory.
"""

import asyncio
import logging
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Container,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from ray.exceptions import RayError

from actors.errors import InvalidActor, ThornbackError
from runtime.cluster.promotion import Promotion
from runtime.cluster.spawning import reason_of
from runtime.cluster.system_processes import ready
from runtime.errors import HostUnavailable, StartFailed
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.balancing import moves
from runtime.topology.names import (
    DIRECTORY_ACTOR,
    MOST_HOSTS,
    SHARDED_HOSTS,
    ProcessKind,
    host_name,
    may_have_shards,
    number_of_host,
    promoted_shard,
)
from runtime.transport.peers import awaited
from store.errors import StaleEpoch, StoreUnavailable
from store.shards import SHARDS, ShardTable

logger = logging.getLogger("thornback.directory")

T = TypeVar("T")


class Processes(Protocol):
    """Those of a system, as far as shards are concerned. What SystemProcesses is."""

    def sharded(self) -> list[str]:
        """The names of the hosts that there are to be, dedicated ones aside."""

    def others(self) -> dict[str, ProcessKind]:
        """Those that there are now, beside the directory."""

    def find(self, name: str) -> Any:
        """The handle of a process as it is now. Raises ValueError when there is none."""

    def have_shards(self, hosts: Iterable[str]) -> None:
        """These hosts have them now, and no others."""

    async def start_host(self, name: str) -> Any:
        """The handle of a pooled or a promoted host, which is started if it is not there."""

    def end(self, name: str) -> None:
        """Kill a process for good; none of that name is fine."""


class Sharding:
    """The table of one system."""

    #: Between two tries to have a host that is away give shards: Ray does not say when it is back.
    PAUSE_S = 0.1
    #: How long a host may take to say what its shards have to do.
    LOADS_S = 2.0
    #: How long one is waited for that is told of shards it has got.
    HEARS_S = 2.0

    def __init__(
        self, processes: Processes, settings: Callable[[], Settings], world: World
    ) -> None:
        self._processes, self._settings, self._world = processes, settings, world
        self.table: ShardTable | None = None  #: as it was seen last
        self._one_at_a_time = asyncio.Lock()  #: nobody gives shards to a host that is about to end
        self._under_way: set[asyncio.Task[Any]] = set()  #: what may start hosts, or end them
        self._promoting: asyncio.Task[None] | None = None  #: what is hot, as long as it runs
        self._telling: asyncio.Task[ShardTable] | None = None  #: reads the table for whoever asks
        self._over = False  #: the system ends

    async def deal(self, *, launched: bool) -> None:
        """The hosts of the settings have all shards; as they have them, and whoever was added
        since, where it was for the same ones that they were dealt out last. Before any of them is
        started, and again by a directory that Ray has started anew: the one before may have come
        to its end before this. `launched`: nothing runs yet, and those of the settings are started
        that have no shards, too. Raises StoreUnavailable."""
        if self._settings().event_store.type != "memory":  # which begins with the writer
            self._saw(await self._open(anew=True), also=self._of_settings() if launched else ())

    async def known_within(self, timeout_s: float) -> ShardTable:
        """The table as it is. Raises HostUnavailable where the store does not say in time."""
        return await self._tried(
            DIRECTORY_ACTOR, "nobody says who has shards", timeout_s, self.learnt
        )

    async def learnt(self) -> ShardTable:
        """The table as it is. Raises StoreUnavailable."""
        await self.learn()
        assert self.table is not None
        return self.table

    async def told(self) -> ShardTable:
        """The table as it is, or was a moment ago: many ask at once when a host ends, and one look
        at the store answers all of them. Raises StoreUnavailable, and StartFailed where the system
        ends."""
        if self._telling is None or self._telling.done():
            reading = self._unless_over(DIRECTORY_ACTOR, self._open(anew=False))
            self._telling = asyncio.ensure_future(reading)
        return await asyncio.shield(self._telling)

    async def learn(self) -> None:
        """See how it is. Raises StoreUnavailable."""
        self._saw(await self._open(anew=False))

    async def move_shards(self, shards: Collection[int], to: str, timeout_s: float) -> ShardTable:
        """Have a host have these shards; the table as it is then. No command fails because of it.
        Raises HostUnavailable where there is no such host, or whoever has some of them does not
        give them within that time: then they may have moved, or may do so yet. Raises StartFailed
        where the system ends."""
        if not self._is_there(to):
            there = ", ".join(self._processes.sharded())
            raise HostUnavailable(to, f"there is no such host to have shards: there are {there}")
        alone = promoted_shard(to)
        if alone is not None and set(shards) - {alone}:
            raise HostUnavailable(to, f"it is there for shard {alone:,} alone")

        async def in_turn() -> ShardTable:
            async with self._one_at_a_time:
                return await self._moved(shards, to)

        async def move() -> ShardTable:
            table = await self._tried(to, "shards have not come", timeout_s, in_turn)
            await self._say_so([to])
            return table

        return await self._unless_over(to, move())

    async def add_host(self, name: str, timeout_s: float) -> None:
        """Have a pooled or a promoted host of this name, which has no shards until some are moved
        to it. Raises HostUnavailable where it is not ready in time, and for a name that no host may
        have. Raises StartFailed where the system ends."""
        number, alone = number_of_host(name), promoted_shard(name)
        pooled = number is not None and number < MOST_HOSTS
        if not pooled and (alone is None or alone >= SHARDS):
            raise HostUnavailable(name, f"pooled hosts are host-0 to host-{MOST_HOSTS - 1}")

        async def add() -> None:
            await ready(await self._started(name))

        await self._unless_over(name, self._tried(name, "it is not ready", timeout_s, add))

    async def remove_host(self, name: str, timeout_s: float) -> None:
        """End a pooled or a promoted host that has no shards any more; one that is not there is
        fine. Raises HostUnavailable where it has some, or nobody can say so in time.

        Nothing depends on its being flushed: it had nothing under way when its last shard left. So
        one that is away, or hangs, is ended, too. Raises StartFailed where the system ends, which
        ends it as well."""
        if not may_have_shards(name):
            raise HostUnavailable(name, "it is no host that may have shards")
        await self._unless_over(name, self._removed(name, timeout_s))

    def keep_promoting(self, directory: Any, stopped: Callable[[], Container[str]]) -> None:
        """From now on have what is hot be promoted, where the settings ask for that; but no host is
        started that was `stopped`. The directory is asked for it, as by anybody else: it also has
        to know of hosts that are started and ended."""
        at = self._settings().actor_system.promote_at
        if at and self._promoting is None and not self._over:
            self._promoting = asyncio.ensure_future(Promotion(directory, at, stopped).keep())
            self._under_way.add(self._promoting)

    def others_than(self, host: str, leaving: Collection[str] = ()) -> bool:
        """Is that a host that may have shards, and are there pooled ones that have some, too, and
        are not `leaving`?"""
        return may_have_shards(host) and bool(_pooled(self.table) - {host, *leaving})

    async def take_shards(
        self,
        name: str,
        timeout_s: float,
        ended: Callable[[], None] = lambda: None,
        leaving: Collection[str] = (),
    ) -> tuple[ShardTable, int]:
        """End a host for good, and have the pooled ones that have shards have its own, about as
        many each, but none of those that are leaving if there are any others; the table as it is
        then, and how many they were. `ended` is called each time when it has been ended.

        In its place the directory begins the next epoch of that host, which decides nothing and
        gives all shards away: what any incarnation of it has sent and is not in the log by then
        never will be (docs/decisions/0095). Raises HostUnavailable where there are no others, or
        the store is away for that long: then it is ended and may have shards yet, and `keep_host`
        starts it anew. Raises StartFailed where the system ends."""
        has_had = 0
        heirs: set[str] = set()

        async def in_turn() -> ShardTable:
            nonlocal has_had
            async with self._one_at_a_time:
                table = await self.learnt()
                mine = table.of(name)
                has_had = max(has_had, len(mine))
                left = _pooled(table) - {name}
                if mine and not (others := sorted(left - set(leaving) or left)):
                    raise HostUnavailable(name, "no other host has shards")
                self._processes.end(name)
                ended()
                if mine:
                    heirs.update(others)
                    table = await self._taken(table, name, others)
                return table

        async def take() -> tuple[ShardTable, int]:
            table = await self._tried(name, "its shards have not moved", timeout_s, in_turn)
            await self._say_so(heirs)
            return table, has_had

        return await self._unless_over(name, take())

    async def cancel(self) -> None:
        """Move no shards, start and end no hosts any more, and wait until nothing of that is under
        way: the system ends. Whoever waits for it is told StartFailed. A host that gives shards
        away already goes on by itself."""
        self._over = True
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _removed(self, name: str, timeout_s: float) -> None:
        until_s = asyncio.get_running_loop().time() + timeout_s

        async def in_turn() -> ShardTable:
            await self._one_at_a_time.acquire()
            try:
                return await self.learnt()
            except BaseException:  # also where its time is over: it is not its turn any more
                self._one_at_a_time.release()
                raise

        table = await self._tried(name, "it was not ended", timeout_s, in_turn)
        try:
            if left := len(table.of(name)):
                raise HostUnavailable(name, f"it is to stay: it has {left:,} shards")
            try:
                host = self._processes.find(name)
            except ValueError:
                return
            try:
                async with asyncio.timeout_at(until_s):
                    await awaited(host.drain.remote())
            except (RayError, ThornbackError, TimeoutError) as error:
                logger.warning("%s is ended without having been flushed: %s", name, error)
            self._processes.end(name)
        finally:
            self._one_at_a_time.release()

    async def _unless_over(self, host: str, work: Coroutine[Any, Any, T]) -> T:
        """What some work comes to, which `cancel` ends. Raises StartFailed where the system
        ends."""
        if self._over:
            work.close()
        self._check_not_over(host)
        self._under_way.add(task := asyncio.ensure_future(work))
        task.add_done_callback(self._under_way.discard)
        try:
            return await task
        except asyncio.CancelledError:
            self._check_not_over(host)
            raise

    async def _started(self, host: str) -> Any:
        """The handle of a pooled host, which is started if it is not there. Raises StartFailed
        where the system ends: whoever was killed by that is not to be there again."""
        self._check_not_over(host)
        return await self._processes.start_host(host)

    def _check_not_over(self, host: str) -> None:
        if self._over:
            raise StartFailed(host, "the system is being stopped")

    async def _tried(
        self, host: str, failing: str, timeout_s: float, work: Callable[[], Awaitable[T]]
    ) -> T:
        """What some work comes to, tried again while somebody whom it needs is away. Raises
        HostUnavailable when its time is over."""
        loop = asyncio.get_running_loop()
        until_s, why = loop.time() + timeout_s, ""
        while True:
            try:
                async with asyncio.timeout_at(until_s):
                    return await work()
            except (RayError, HostUnavailable, StoreUnavailable, ValueError) as error:
                self._check_not_over(host)
                why = f": {reason_of(error)}"
                if loop.time() + self.PAUSE_S >= until_s:
                    raise HostUnavailable(host, failing + why) from error
                logger.info("%s: %s yet%s", host, failing, why)
                await asyncio.sleep(self.PAUSE_S)
            except TimeoutError as error:
                reason = f"{failing} within {timeout_s:g} s{why}"
                raise HostUnavailable(host, reason) from error

    async def keep_host(self, name: str) -> bool:
        """Have a host be there that has shards: whoever made a move may have given it up,
        and ended the host that was to get them, before they came. One that has none, or that is
        there, is left alone; is it there now? Raises StoreUnavailable, and StartFailed where the
        system ends."""

        async def keep() -> bool:
            async with self._one_at_a_time:
                if not (await self.learnt()).of(name):
                    return False
                logger.warning("%s has shards, and is started anew", name)
                await self._started(name)
                return True

        return self._is_there(name) or await self._unless_over(name, keep())

    async def sharing(self, timeout_s: float) -> tuple[ShardTable, dict[int, float], list[str]]:
        """Which host has which shard, about how many commands a second came for each lately, but
        for those of hosts that do not say, and which hosts there are that may have some. Raises
        HostUnavailable where the store does not say in time."""
        table = await self.known_within(timeout_s)
        others = await self._world.aside(self._processes.others)
        there = [name for name, kind in others.items() if kind in SHARDED_HOSTS]
        return table, await self._loads(table), there

    async def _loads(self, table: ShardTable) -> dict[int, float]:
        hosts = sorted(set(table.hosts))
        said = dict(zip(hosts, await asyncio.gather(*map(self._loads_of, hosts)), strict=True))
        found = {one: 0.0 for one, host in enumerate(table.hosts) if said[host] is not None}
        for loads in said.values():
            for shard, rate in (loads or {}).items():  # one that has just moved is known to both
                found[shard] = found.get(shard, 0.0) + rate
        return found

    async def _loads_of(self, host: str) -> Mapping[int, float] | None:
        try:
            async with asyncio.timeout(self.LOADS_S):
                asked = self._processes.find(host).shard_loads.remote()
                loads: Mapping[int, float] = await awaited(asked)
        except (RayError, ThornbackError, ValueError, TimeoutError) as error:
            logger.info("%s does not say what its shards have to do: %s", host, error)
            return None
        return loads

    def _is_there(self, host: str) -> bool:
        try:
            return may_have_shards(host) and self._processes.find(host) is not None
        except ValueError:
            return False

    def _saw(self, table: ShardTable, *, also: Collection[str] = ()) -> None:
        self.table = table
        self._processes.have_shards({*table.hosts, *also})

    def _of_settings(self) -> list[str]:
        return [host_name(number) for number in range(self._settings().actor_system.hosts)]

    async def _moved(self, shards: Collection[int], to: str) -> ShardTable:
        table = await self.learnt()
        # Of one that does not come to life, on a machine without room say, nobody can have actors.
        await ready(self._processes.find(to))
        for host in sorted({table.hosts[shard] for shard in shards} - {to}):
            giving = await self._started(host)
            await self._bring_classes(giving, host, to)
            self._saw(await awaited(giving.give_shards.remote(sorted(shards), to)))
        assert self.table is not None
        return self.table

    async def _taken(self, table: ShardTable, name: str, others: Sequence[str]) -> ShardTable:
        """All shards of a host that has ended are those of others."""
        settings = self._settings()
        node, holder = f"{settings.event_bus.node_id}.{name}", self._world.holder(settings)
        going: dict[str, list[int]] = {}
        for move in moves(table, others, {}, ended=name):
            if move.host == name:
                going.setdefault(move.to, []).extend(move.shards)
        store = await self._world.open_store(settings)
        try:
            epoch = await store.open_epoch(node, holder)
            for to, shards in sorted(going.items()):
                attempt = int.from_bytes(self._world.random(7)) + 1
                moved = await store.move_shards(shards, name, to, epoch, attempt)
                epoch = moved.epoch
                self._saw(moved.table)
        except StaleEpoch as error:  # an incarnation of it has begun late; there is none any more
            raise HostUnavailable(name, str(error)) from error
        finally:
            await store.close()
        assert self.table is not None
        return self.table

    async def _say_so(self, hosts: Iterable[str]) -> None:
        """Have hosts know that they have got shards. That is so whether they hear of it or not, so
        nobody waits for long for one that hangs, and no other move does at all."""

        async def say(host: str) -> None:
            # Otherwise it hears of it from drivers, or when it starts.
            with suppress(RayError, ValueError, TimeoutError):
                async with asyncio.timeout(self.HEARS_S):
                    await awaited(self._processes.find(host).learn_shards.remote())

        await asyncio.gather(*map(say, hosts))

    async def _bring_classes(self, giving: Any, host: str, to: str) -> None:
        """Have a host know the classes that another one was sent: whoever speaks to its actors
        without their classes, a gateway say, has none to send."""
        sent = await awaited(giving.sent_classes.remote())
        for actor_type, code in sorted(sent.items()):
            try:
                await awaited(self._processes.find(to).offer.remote(actor_type, code))
            except InvalidActor as error:  # as it would have told whoever brings it
                logger.warning("%s does not take %s of %s: %s", to, actor_type, host, error)

    async def _open(self, *, anew: bool) -> ShardTable:
        store = await self._world.open_store(self._settings())
        try:
            return await store.open_shards(self._of_settings(), anew=anew)
        finally:
            await store.close()


def _pooled(table: ShardTable | None) -> set[str]:
    """The pooled hosts that have shards."""
    hosts = () if table is None else table.hosts
    return {host for host in hosts if number_of_host(host) is not None}
