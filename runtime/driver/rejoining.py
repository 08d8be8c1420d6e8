"""How a driver finds its system again that was drained, and launched anew.

Processes that crash come back under the handles that a driver has: Ray sees to that. Those of a
system that was drained have ended for good. Whoever notices says so here; the next one who needs a
process first asks the directory of the namespace, the new one by then, how the system looks now.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError

from actors.errors import ThornbackError
from runtime.driver.directory_link import called, check_understood
from runtime.driver.host_link import why_away
from runtime.errors import AnotherRelease, AnotherSystem, HostUnavailable, SystemNotFound
from runtime.process.world import World
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.release import RELEASE
from runtime.topology.status import DrainReport, Topology
from runtime.transport.ray_stay import InNoRay
from store.errors import SystemReplaced


class Rejoining:
    """One connection's way back. Loop only."""

    #: How long the directory may take to answer while it starts the system: whoever waits has a
    #: limit of his own, and asks again.
    JOIN_S = 5.0
    #: Between two tries: Ray does not say when a process that restarts is back.
    PAUSE_S = 0.1
    MOVING = "Ray starts it anew, perhaps on another machine: try again"

    def __init__(
        self,
        world: World,
        namespace: str,
        adopt: Callable[[Topology], None],
        *,
        directory: str = "",
    ) -> None:
        self._world = world  # immutable
        self._namespace = namespace  # immutable
        self._adopt = adopt  # immutable: what is done with the topology that is found
        self._directory = directory  #: of the system as it was found last; "" if that is not known
        self._directory_ended = False  #: is it known that this one has?
        self._ends = 0  #: processes that have ended for good
        self._joined_after = 0  #: so many had when the system was asked how it looks
        self._one_at_a_time = asyncio.Lock()

    def ended(self, name: str) -> None:
        """The process of this name has ended for good: its system was drained, at least."""
        self._world.forget(name)
        self._world.forget(DIRECTORY_ACTOR)
        self._directory_ended |= name == DIRECTORY_ACTOR
        self._ends += 1

    def unknown(self) -> None:
        """Of the system its name alone is known: it is joined before it is asked anything."""
        self._ends += 1

    async def ensure(self) -> None:
        """Go on if the system is as we know it, or else join it anew. Raises SystemNotFound
        while there is none, SystemReplaced, AnotherRelease, and HostUnavailable while it is being
        started or drained."""
        if self._joined_after == self._ends:
            return
        async with self._one_at_a_time:
            if self._joined_after != self._ends:
                ends = self._ends  # what ends from here on may be of the system that answers
                found = await self._join()
                self._adopt(found)
                self._directory, self._joined_after = found.directory, ends
                self._directory_ended = False

    async def ask(self, method: str, *arguments: Any, away_s: float = 0.0) -> Any:
        """What the directory answers, the present one, which is waited for `away_s` while Ray
        starts it anew: for what may be asked twice. Raises SystemNotFound where there is none,
        HostUnavailable while it moves to another machine, and what else Ray or the directory raise.
        """
        until_s = asyncio.get_running_loop().time() + away_s
        known = True
        while True:
            try:
                directory = await self._world.handle(DIRECTORY_ACTOR)
                return await called(directory, method, *arguments)
            except InNoRay as error:
                raise SystemNotFound(self._namespace, str(error), "") from error
            except ValueError as error:
                raise SystemNotFound(self._namespace) from error
            except ActorDiedError as error:
                self.ended(DIRECTORY_ACTOR)
                if known:  # the handle that we have; next comes the one that there is
                    known = False
                    continue
                # Of one that has left its machine, Ray says so, too, but still has its name.
                if asyncio.get_running_loop().time() >= until_s:
                    raise HostUnavailable(DIRECTORY_ACTOR, self.MOVING) from error
            except ActorUnavailableError:
                if asyncio.get_running_loop().time() >= until_s:
                    raise
            await asyncio.sleep(self.PAUSE_S)

    async def drain(self, timeout_s: float) -> DrainReport:
        """Have the system drained, and end its directory: the system as it was found last, or
        the one that there is now if that one's directory is known to have ended. What is launched
        meanwhile is left alone: whoever else drains the system may have ended it, and another one
        may be there, before Ray has found the directory, or before its answer is here. Raises
        SystemNotFound, AnotherSystem, and what Ray or the directory raise."""
        meant = "" if self._directory_ended else self._directory
        self._world.forget(DIRECTORY_ACTOR)
        try:
            directory = await self._world.handle(DIRECTORY_ACTOR)
        except ValueError as error:
            raise SystemNotFound(self._namespace) from error
        try:
            report: DrainReport = await directory.stop.remote(timeout_s, meant)
        except ActorDiedError:
            self.ended(DIRECTORY_ACTOR)
            raise
        except RayTaskError as error:
            if isinstance(error.cause, AnotherSystem):
                self.ended(DIRECTORY_ACTOR)  # who drains again means the one that there is
            raise
        self._world.actors.kill(directory)
        return report

    async def _join(self) -> Topology:
        try:
            topology: Topology = await self.ask("join", self.JOIN_S, RELEASE)
        except RayTaskError as error:
            check_understood(error, "join")
            if isinstance(error.cause, SystemNotFound):
                raise SystemNotFound(*error.cause.args) from error
            if not isinstance(error.cause, ThornbackError):
                raise HostUnavailable(DIRECTORY_ACTOR, str(error)) from error
            raise _passing(error.cause) from error
        except RayError as error:
            raise HostUnavailable(DIRECTORY_ACTOR, why_away(error)) from error
        return topology


def _passing(error: Exception) -> Exception:
    """Why the directory says no, as what passes; that it was replaced, or is of another
    release, does not pass."""
    if isinstance(error, SystemReplaced | AnotherRelease):
        return error
    return HostUnavailable(DIRECTORY_ACTOR, str(error))
