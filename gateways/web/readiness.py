"""Whether the gateway can do its work: does it reach the database and every pooled host?"""

import asyncio
import logging

from actors.errors import ThornbackError
from gateways.web.log_store import LogStore
from runtime.driver.hosts import Hosts

logger = logging.getLogger("thornback.gateway")


class Readiness:
    """Looks, and remembers. Lives in one event loop."""

    #: Between two looks, and how long one may take: who is lost is noticed within their sum.
    PAUSE_S, LIMIT_S = 1.0, 2.0

    def __init__(self, hosts: Hosts, store: LogStore) -> None:
        self._hosts, self._store = hosts, store
        self.problem: str | None = "the gateway has just begun"  #: why not; None: it is ready

    async def keep(self) -> None:
        """Look again and again."""
        while True:
            problem = await self._look()
            if problem != self.problem:
                if problem is None:
                    logger.info("the gateway is ready")
                else:
                    logger.warning("the gateway is not ready: %s", problem)
            self.problem = problem
            await asyncio.sleep(self.PAUSE_S)

    async def _look(self) -> str | None:
        try:
            await asyncio.gather(
                self._store.ask(lambda store: store.head(), self.LIMIT_S),
                self._hosts.check_ready(self.LIMIT_S),
            )
        except ThornbackError as error:
            return str(error)
        return None
