"""The leave that a process asks for, which Ray has started anew: its directory, who supervises all
of them, says when it may begin.

While the directory is away nobody is kept waiting: it begins at once, and is counted by nobody.
"""

import asyncio
import logging
from functools import partial
from typing import Any, NamedTuple

from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.process.world import World
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.transport.asking import soonest

logger = logging.getLogger("thornback.process")

#: How long the directory is waited for: whoever asks has somebody waiting, too.
ASKED_S = 0.5


class Leave(NamedTuple):
    """When a process may begin."""

    rest_s: float = 0.0  #: so much later
    why: str = ""  #: for those who wait for it


AT_ONCE = Leave()


async def leave_for(name: str, world: World) -> Leave:
    """What the directory says to a process of that name that begins anew. It may be asked several
    times, and counts this incarnation once."""
    incarnation = world.random(8)
    try:
        async with asyncio.timeout(ASKED_S):
            directory: Any = await world.handle(DIRECTORY_ACTOR)
            leave: Leave = await soonest(partial(directory.begins_again.remote, name, incarnation))
    except (RayError, ThornbackError, ConnectionError, ValueError, TimeoutError) as error:
        logger.info("%s begins without the directory's leave: %s", name, type(error).__name__)
        return AT_ONCE
    return leave
