"""Whoever is about to put a message between actors into the log has the directory start what
delivers it. A system without such messages pays for none of it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ray.exceptions import RayError

from actors.errors import ThornbackError
from actors.messages import SENT
from runtime.process.world import World
from runtime.topology.names import DIRECTORY_ACTOR
from store.event_store import EventStore

logger = logging.getLogger("thornback.process")


class DelivererCall:
    """Says it once in the life of its process, and until it is heard. That the log is about to have
    messages is noted in the store before it is said here: so whoever dies before he is heard looks
    there when he comes back (`say_if_any`), and so does every other process that starts."""

    #: How long the directory may take to answer, which may be starting, and between two tries.
    LIMIT_S, PAUSE_S = 30.0, 1.0

    def __init__(
        self, world: World, must_live: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._world, self._must_live = world, must_live
        self._said = False

    def say(self) -> None:
        """There is a message to be delivered, or will be. Does not wait."""
        if not self._said:
            self._said = True
            self._must_live(self._say())

    async def say_if_any(self, store: EventStore) -> None:
        """Say it if the log has messages, or has had. Raises StoreUnavailable."""
        if SENT in await store.event_types():
            self.say()

    async def _say(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.LIMIT_S):
                    directory = await self._world.handle(DIRECTORY_ACTOR)
                    await directory.deliver_messages.remote()
                return
            except (RayError, ThornbackError, ConnectionError, ValueError, TimeoutError) as error:
                # It is away, or the system ends: who is launched next looks into the log.
                logger.debug("the directory starts no deliverer: %s", error)
                self._world.forget(DIRECTORY_ACTOR)
                await asyncio.sleep(self.PAUSE_S)
