"""The logs of all partitions of a system, from a process of one of them."""

import asyncio

from ray.exceptions import RayError

from runtime.driver.host_link import why_away
from runtime.driver.rejoining import Rejoining
from runtime.errors import HostUnavailable
from runtime.partition.log_access import LogAccess
from runtime.process.partitioning import sibling
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.release import RELEASE
from runtime.topology.status import Topology


class LogsOfPartitions:
    """Where the others are, their directories say when they are first asked for. Lives in one event
    loop, for as long as its process."""

    def __init__(self, settings: Settings, own: LogAccess) -> None:
        self._settings = settings
        self._logs = {settings.event_store.partition: own}
        self._finding = asyncio.Lock()

    def __len__(self) -> int:
        return self._settings.event_store.partitions

    async def all(self) -> list[LogAccess]:
        """In the order of the partitions. Raises SystemNotFound where one has ended, and
        HostUnavailable where its directory does not answer."""
        async with self._finding:
            for partition in range(self._settings.event_store.partitions):
                if partition not in self._logs:
                    self._logs[partition] = await self._found(partition)
        return [self._logs[partition] for partition in sorted(self._logs)]

    async def _found(self, partition: int) -> LogAccess:
        namespace = sibling(self._settings, partition).actor_system.namespace
        world = World(namespace)
        asking = Rejoining(world, namespace, lambda _: None)
        try:
            topology: Topology = await asking.ask("join", asking.JOIN_S, RELEASE)
        except RayError as error:
            raise HostUnavailable(DIRECTORY_ACTOR, why_away(error)) from error
        settings = Settings.model_validate_json(topology.settings_json)
        world.follow_network(settings)
        return LogAccess(world, settings)
