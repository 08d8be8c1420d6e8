"""What a process of the system speaks to actors by: a driver's connection, in its own loop."""

from collections.abc import Callable

from runtime.driver.connection import Connection
from runtime.driver.own_loop import OwnLoop
from runtime.process.partitioning import sibling
from runtime.process.world import World
from runtime.processing.posting import Elsewhere
from runtime.settings.settings import Settings
from runtime.topology.names import host_name
from runtime.topology.status import Topology


def connecting(settings: Settings, world: World) -> Callable[[], Connection]:
    """What makes one, in the loop in which it is called."""

    def connect() -> Connection:
        hosts = tuple(host_name(number) for number in range(settings.actor_system.hosts))
        topology = Topology(settings_json=settings.model_dump_json(), hosts=hosts)
        return Connection(topology, world, OwnLoop(), of_system=True)

    return connect


def connecting_all(settings: Settings, world: World) -> list[Connection]:
    """Those to all partitions, in their order, by a process of one of them. What another one is
    like, and where its log is, its directory is asked before anything else is asked of it: it may
    be launched later than this one."""
    store = settings.event_store
    own, elsewhere = connecting(settings, world), connecting_elsewhere(settings)
    made: list[Connection] = []
    for partition in range(store.partitions):
        made.append(own() if partition == store.partition else elsewhere(partition))
        if partition != store.partition:
            made[-1].rejoining.unknown()
    return made


def connecting_elsewhere(settings: Settings) -> Elsewhere:
    """What makes one to another partition, likewise."""

    def connect(partition: int) -> Connection:
        theirs = sibling(settings, partition)
        return connecting(theirs, World(theirs.actor_system.namespace))()

    return connect
