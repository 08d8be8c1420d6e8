"""Which incarnation of a directory has the system: the one that Ray leads to.

Ray may take a directory for dead that lives on, and start its successor, which finds the processes
of the system and goes on with them. Whatever the older one was about to do with them, to end them
for one, it is to leave then. Which of the two is to be, Ray alone knows, so it is asked: whoever
calls a process by its name comes to that one.
"""

import asyncio
import math

from ray.exceptions import ActorUnavailableError, RayError

from runtime.process.world import World
from runtime.transport.peers import awaited


class Succession:
    """What one incarnation of a directory knows of those after it. Loop only."""

    #: Between two tries: Ray does not say when a process that restarts is back.
    PAUSE_S = 0.1
    #: For how long an answer holds, from when it was asked for: Ray takes longer to start a
    #: process, so there is no successor yet, whatever has happened since.
    HOLDS_S = 0.25
    #: Where Ray takes longer than that to answer, the one after so many late ones is taken. What
    #: slows it down slows the start of a process down, too, and an end of a system has to end.
    LATE = 10
    MARK_BYTES = 8

    def __init__(self, name: str, world: World) -> None:
        self._name, self._world = name, world  # immutable
        self.mark = world.random(self.MARK_BYTES)  #: of this incarnation, and of no other one
        self._holds_until_s = -math.inf  #: what Ray has told us last, if it was that we are the one

    async def is_ours(self) -> bool:
        """Has this incarnation the system, in this very moment? It is waited for while Ray leads to
        none: a successor is being started then."""
        loop, late = asyncio.get_running_loop(), 0
        while late <= self.LATE and (asked_s := loop.time()) > self._holds_until_s:
            try:
                directory = self._world.actors.find(self._name)
                if await awaited(directory.mark.remote()) != self.mark:
                    return False
                self._holds_until_s = asked_s + self.HOLDS_S
                late += 1
            except ActorUnavailableError:
                await asyncio.sleep(self.PAUSE_S)
            except (RayError, ValueError):
                return False  # it was ended for good, and this one lives on
        return True
