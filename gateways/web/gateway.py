"""The gateway: a process of the system that answers HTTP.

It is a client of the system like any driver: it sends commands to hosts and asks bus and log,
and nothing of the system asks it. So it may be killed at any time; whoever had no answer sends his
command again, under its key.
"""

import errno

from gateways.web.access import Access
from gateways.web.actors import ActorEndpoints
from gateways.web.bulk import BulkEndpoint
from gateways.web.catalogue import Catalogue
from gateways.web.descriptions import Descriptions
from gateways.web.log_store import LogStore
from gateways.web.readiness import Readiness
from gateways.web.reports import ReportEndpoint
from gateways.web.routes import Routes
from gateways.web.serving import Serving
from gateways.web.streams import Streams
from runtime.driver.connection import Connection
from runtime.driver.hosts import Hosts
from runtime.driver.own_loop import OwnLoop
from runtime.errors import StartFailed
from runtime.process.process import Process
from runtime.topology.names import host_name
from runtime.topology.status import GatewayFacts, Topology


class Gateway(Process):
    """Named `gateway-<n>`: one a machine."""

    _serving: Serving | None = None  #: from the first try to start on
    _connection: Connection | None = None

    async def start(self) -> None:
        settings = self.settings.gateway
        if (problem := Access.problem(settings)) is not None:
            raise StartFailed(self.name, problem)
        if self._connection is None:
            self._connection = Connection(self._topology(), self.world, OwnLoop())
        if self._serving is None:
            self._serving = self._made(self._connection)
        try:
            address = await self._serving.listen()
        except OSError as error:
            raise StartFailed(self.name, self._why_not(error)) from error
        self.address_of_http = f"http://{address}"
        self.must_live(self._readiness.keep())
        self.must_live(self._catalogue.keep())

    async def drain(self) -> int:
        """Answer what there is, and take nothing any more; how many requests were answered."""
        if self._serving is None:
            return 0
        self._streams.end()
        return await self._serving.drain()

    def close(self) -> None:
        super().close()
        if self._serving is not None:
            self._serving.close()
        if self._connection is not None:
            self._connection.close()

    async def facts(self) -> GatewayFacts | None:
        if not self._started or self._serving is None:
            return None
        return GatewayFacts(
            address=self.address_of_http,
            requests=self._serving.answered,
            under_way=self._serving.under_way - self._streams.open,
            streams=self._streams.open,
            ready=self._readiness.problem is None,
            actor_types=tuple(sorted(self._catalogue.types)),
        )

    def _made(self, connection: Connection) -> Serving:
        settings = self.settings.gateway
        hosts, self._store = Hosts(connection), LogStore(connection)
        self._readiness = Readiness(hosts, self._store)
        self._catalogue = Catalogue(hosts, self._store)
        actors = ActorEndpoints(connection, self._catalogue, self._store, settings)
        self._streams = Streams(connection, settings)
        routes = Routes(
            actors,
            BulkEndpoint(connection, actors, settings),
            ReportEndpoint(actors, connection.world, settings),
            self._streams,
            Descriptions(self._catalogue),
            self._readiness,
        )
        return Serving(settings, Access(settings), routes.answer, lambda: self._streams.open)

    def _topology(self) -> Topology:
        hosts = range(self.settings.actor_system.hosts)
        return Topology(
            settings_json=self.settings.model_dump_json(), hosts=tuple(map(host_name, hosts))
        )

    def _why_not(self, error: OSError) -> str:
        settings = self.settings.gateway
        reason = "in use" if error.errno == errno.EADDRINUSE else str(error)
        return (
            f"the gateway's port {settings.host}:{settings.port} cannot be opened ({reason}): "
            "choose another with gateway.port, 0 for any, or turn it off with gateway.enabled"
        )
