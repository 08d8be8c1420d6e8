"""The Ray of `make run`: of one node, or of several of this machine, each with a host.

Where there are several, the embedded PostgreSQL runs beside them, so that processes of all nodes
reach it, and none is bound to one; and where that is asked for and root runs it, each node but the
head's has a network namespace of its own. Ray's head then listens at all addresses of this machine.
"""

from collections.abc import Iterator, Sequence

from jobs.command_line import console
from runtime.cluster.clearing import database_stopped
from runtime.cluster.embedded_database import folder_of, wanted
from runtime.cluster.local_nodes import LocalNode
from runtime.cluster.node_network import NodeNetwork, impossible
from runtime.cluster.ray_session import end_ray, joined_node, start_ray
from runtime.cluster.relay import Relay
from runtime.settings.settings import Settings
from runtime.topology.names import MACHINE_LETTERS
from store.embedded.server import EmbeddedPostgres


class OverNodes:
    """A Ray of so many nodes, on loopback unless namespaces are asked for and there can be some."""

    def __init__(self, settings: Settings, count: int, *, namespaces: bool) -> None:
        self._settings, self._count, self._namespaces = settings, count, namespaces
        self._beside = False  #: does the embedded PostgreSQL run beside the system?
        self._relay: Relay | None = None
        self.nodes: Sequence[LocalNode] = []  #: beside the head's

    def start(self) -> Settings:
        """Start it, with what it needs; the settings of a system on it. Raises what Ray, the
        database and the kernel do."""
        if self._count == 1:
            start_ray()
            return self._settings
        self._beside = wanted(self._settings)
        network, where = self._network()
        settings = self._over_all(network)
        self.nodes = start_ray(self._count, network=network)
        ids = [joined_node(), *(node.id for node in self.nodes)]
        shown = ", ".join(each[:MACHINE_LETTERS] for each in ids)
        console.print(
            f"{len(ids)} Ray nodes, each a raylet of its own {where}: {shown}; "
            "the first one is the head"
        )
        return settings

    def end(self) -> Iterator[str]:
        """End all of it; what did not end as it should."""
        end_ray()
        if self._relay is not None:
            self._relay.close()
        if self._beside:
            yield from database_stopped(self._settings)

    def _network(self) -> tuple[NodeNetwork | None, str]:
        """That of the nodes, where there can be one; and what is said of where they are."""
        if not self._namespaces:
            return None, "on loopback of this machine"
        # A namespace has no way out of this machine, and a database may be anywhere.
        no_way = None if self._beside else "the database of the settings is beyond namespaces"
        if why := no_way or impossible():
            return None, f"on loopback of this machine ({why})"
        return NodeNetwork(), "in a network namespace, but for the first"

    def _over_all(self, network: NodeNetwork | None) -> Settings:
        """The settings of a system that has a host on each, and a database that all reach."""
        settings = self._settings
        if settings.actor_system.hosts < self._count:
            settings = settings.replaced("actor_system", "hosts", self._count, "--nodes")
        if not self._beside:
            return settings
        with console.status("starting the embedded PostgreSQL"):
            url = EmbeddedPostgres(folder_of(settings)).start()
        if network is not None:
            self._relay = Relay(network.address, url)
            url = self._relay.url
        return settings.replaced("event_store", "connection_string", url, "--nodes")
