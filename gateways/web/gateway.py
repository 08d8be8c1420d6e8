"""The gateway: a process of the system that answers HTTP.

It is a client of the system like any driver: it sends commands to hosts and asks bus and log,
and nothing of the system asks it. So it may be killed at any time; whoever had no answer sends his
command again, under its key. Of a system of several partitions it is a process of the first one,
and a client of all of them.
"""

import asyncio
import errno
import logging

from gateways.console.pages import Console
from gateways.web.access import Access, is_loopback
from gateways.web.actors import ActorEndpoints
from gateways.web.bulk import BulkEndpoint
from gateways.web.catalogue import Catalogue
from gateways.web.counting import Counting
from gateways.web.descriptions import Descriptions
from gateways.web.erasing import ErasingEndpoint
from gateways.web.explanations import ExplanationEndpoint
from gateways.web.insight import Insight
from gateways.web.known_tokens import KnownTokens
from gateways.web.parts import Parts
from gateways.web.readiness import Readiness
from gateways.web.reports import ReportEndpoint
from gateways.web.routes import Routes
from gateways.web.serving import Serving
from gateways.web.streams import Streams
from gateways.web.tls import CannotUseCertificate, Tls, tls_of
from runtime.driver.connection import Connection
from runtime.errors import StartFailed
from runtime.process.process import Process
from runtime.processing.own_connection import connecting_all
from runtime.topology.status import GatewayFacts

logger = logging.getLogger("thornback.gateway")


class Gateway(Process):
    """Named `gateway-0`, or `gateway-<machine>` where each machine that is for it has one."""

    _serving: Serving | None = None  #: from the first try to start on
    _connections: tuple[Connection, ...] = ()  #: to each partition

    async def start(self) -> None:
        settings = self.settings.gateway
        try:
            tls = tls_of(settings.tls_certificate, settings.tls_key)
        except CannotUseCertificate as error:
            raise StartFailed(self.name, str(error)) from error
        if self._serving is None:
            self._connections = tuple(connecting_all(self.settings, self.world))
            self._serving = self._made(Parts(self._connections))
        if (problem := await self._access.problem()) is not None:
            raise StartFailed(self.name, problem)
        await self._tokens.look()
        try:
            address = await self._serving.listen(tls.context if tls else None)
        except OSError as error:
            raise StartFailed(self.name, self._why_not(error)) from error
        self.address_of_http = f"{'https' if tls else 'http'}://{address}"
        self.must_live(self._readiness.keep())
        self.must_live(self._catalogue.keep())
        self.must_live(self._tokens.keep())
        if tls is not None:
            self.must_live(_renewed(tls))
        elif not is_loopback(settings.host):
            logger.warning(
                "without gateway.tls_certificate tokens travel as they are: whoever carries them "
                "has to be trusted, or to add TLS"
            )

    async def ready(self) -> str:
        """The node's name, once it has started. One that was drained takes no request any more:
        who asks it then goes on with its system, as the successor of a directory does that ended
        in the middle of a drain. So this incarnation ends, and Ray starts another one."""
        if self._serving is not None and self._serving.draining:
            logger.warning("%s was drained, and its system goes on: it begins anew", self.name)
            self.world.end()
        return await super().ready()

    async def drain(self) -> int:
        """Answer what there is, and take nothing any more; how many requests were answered."""
        if self._serving is None:
            return 0
        self._streams.end()
        self._bulk.end()
        return await self._serving.drain()

    def close(self) -> None:
        super().close()
        if self._serving is not None:
            self._serving.close()
        for connection in self._connections:
            connection.close()

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

    def _made(self, parts: Parts) -> Serving:
        settings = self.settings.gateway
        self._readiness = Readiness(parts)
        self._catalogue = Catalogue(parts)
        counting = Counting(self.metrics, self.node, log=settings.access_log)
        self._streams = Streams(parts, settings, counting)
        self._tokens = KnownTokens(
            parts.first.store,
            always=settings.tokens_required or not is_loopback(settings.host),
            on_end=self._streams.look_again,
        )
        self._access = Access(settings, self._tokens, asyncio.get_running_loop().time)
        actors = ActorEndpoints(parts, self._catalogue, settings)
        self._bulk = BulkEndpoint(parts, actors, settings)
        routes = Routes(
            actors,
            ErasingEndpoint(parts),
            self._bulk,
            ReportEndpoint(actors, self.world, settings),
            self._streams,
            ExplanationEndpoint(parts),
            Descriptions(self._catalogue, self._tokens, len(parts)),
            Insight(parts, self._catalogue, self.settings),
            Console(),
            self._readiness,
        )
        return Serving(settings, self._access, routes.answer, lambda: self._streams.open, counting)

    def _why_not(self, error: OSError) -> str:
        settings = self.settings.gateway
        reason = "in use" if error.errno == errno.EADDRINUSE else str(error)
        return (
            f"the gateway's port {settings.host}:{settings.port} cannot be opened ({reason}): "
            "choose another with gateway.port, 0 for any, or turn it off with gateway.enabled"
        )


async def _renewed(tls: Tls) -> None:
    """Show a certificate as it is in its file."""
    while True:
        await asyncio.sleep(tls.LOOK_S)
        await asyncio.to_thread(tls.renew)
