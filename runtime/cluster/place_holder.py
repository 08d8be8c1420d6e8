"""Who has the name of a directory while what is left of a system is ended without one."""

import asyncio

from runtime.cluster.directory import Directory
from runtime.process.world import World
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.status import DrainReport


class PlaceHolder(Directory):
    """A directory that does nothing. Ray gives a name to one actor, so as long as this one has that
    of the directory, there is no other: its system counts as being drained, and a launch, which
    would go on with the processes that there are, is told so. Ends with whoever has made it."""

    def __init__(self, settings_json: str, *, world: World | None = None) -> None:
        super().__init__(DIRECTORY_ACTOR, settings_json, None, world=world)
        self._life.draining = asyncio.ensure_future(self._until_the_end())

    async def _until_the_end(self) -> DrainReport:
        ended: asyncio.Future[DrainReport] = asyncio.get_running_loop().create_future()
        return await ended  # which it never is: whoever waits hears of the end of the process
