"""Whether the gateway can do its work: does it reach each log and every pooled host?"""

import asyncio
import logging

from actors.errors import ThornbackError
from gateways.web.parts import Part, Parts

logger = logging.getLogger("thornback.gateway")


class Readiness:
    """Looks, and remembers. Lives in one event loop."""

    #: Between two looks, and how long one may take: who is lost is noticed within their sum.
    PAUSE_S, LIMIT_S = 1.0, 2.0

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
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
            await asyncio.gather(*map(self._check, self._parts))
        except ThornbackError as error:
            return str(error)
        return None

    async def _check(self, part: Part) -> None:
        await asyncio.gather(
            part.store.ask(lambda store: store.head(), self.LIMIT_S),
            part.hosts.check_ready(self.LIMIT_S),
        )
