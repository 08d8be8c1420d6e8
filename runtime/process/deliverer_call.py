"""Whoever is about to put a message between actors into the log, or a timer, has the directory
start what delivers it, or fires it. A system without any pays for none of it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from ray.exceptions import RayError

from actors.errors import ThornbackError
from actors.messages import SENT
from actors.timer_events import SET
from runtime.process.world import World
from runtime.topology.names import DIRECTORY_ACTOR, TIMEKEEPER_ACTOR
from store.event_store import EventStore

logger = logging.getLogger("thornback.process")


class ServiceCall:
    """Says it once in the life of its process, and until it is heard. That the log is about to have
    such events is noted in the store before it is said here: so whoever dies before he is heard
    looks there when he comes back (`say_if_any`), and so does every other process that starts."""

    EVENT_TYPE: ClassVar[str]  #: of what there is to be, in the log
    METHOD: ClassVar[str]  #: of the directory, which has a process for it

    #: How long the directory may take to answer, which may be starting, and between two tries.
    LIMIT_S, PAUSE_S = 30.0, 1.0

    def __init__(
        self, world: World, must_live: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._world, self._must_live = world, must_live
        self._said = False

    def say(self) -> None:
        """There is such an event, or will be. Does not wait."""
        if not self._said:
            self._said = True
            self._must_live(self._say())

    async def say_if_any(self, store: EventStore) -> None:
        """Say it if the log has such events, or has had. Raises StoreUnavailable."""
        if self.EVENT_TYPE in await store.event_types():
            self.say()

    async def _say(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self.LIMIT_S):
                    directory = await self._world.handle(DIRECTORY_ACTOR)
                    await getattr(directory, self.METHOD).remote()
                return
            except (RayError, ThornbackError, ConnectionError, ValueError, TimeoutError) as error:
                # It is away, or the system ends: who is launched next looks into the log.
                logger.debug("the directory does not %s: %s", self.METHOD, error)
                self._world.forget(DIRECTORY_ACTOR)
                await asyncio.sleep(self.PAUSE_S)


class DelivererCall(ServiceCall):
    """Has messages between actors delivered."""

    EVENT_TYPE, METHOD = SENT, "deliver_messages"


class TimekeeperCall(ServiceCall):
    """Has timers fired. What waits because its actor is stopped, or its class away, is tried again
    by and by; whoever knows that this is over says so, and it is tried at once."""

    EVENT_TYPE, METHOD = SET, "keep_timers"

    def __init__(
        self,
        world: World,
        must_live: Callable[[Coroutine[Any, Any, None]], object],
        store: EventStore,
    ) -> None:
        super().__init__(world, must_live)
        self._store = store
        self._awake: set[str] = set()
        self._waking = False

    def wake(self, name: str) -> None:
        """An actor, by its source, was started, or the class of an actor type has come. Where the
        log has no timer, nobody is told. Does not wait."""
        self._awake.add(name)
        if not self._waking:
            self._waking = True
            self._must_live(self._wake())

    async def _wake(self) -> None:
        """All that comes meanwhile goes with the next call. What is not heard is not said again:
        it is tried by and by."""
        await asyncio.sleep(0)
        while self._awake:
            names, self._awake = sorted(self._awake), set()
            try:
                async with asyncio.timeout(self.LIMIT_S):
                    if not self._said:  # others may have set one, of actors that came here since
                        await self.say_if_any(self._store)
                    if not self._said:
                        continue
                    timekeeper = await self._world.handle(TIMEKEEPER_ACTOR)
                    await timekeeper.wake.remote(names)
            except (RayError, ThornbackError, ConnectionError, ValueError, TimeoutError) as error:
                logger.debug("the timekeeper does not wake %s: %s", names[:3], error)
                self._world.forget(TIMEKEEPER_ACTOR)
        self._waking = False
