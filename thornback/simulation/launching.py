"""Launching a simulated system: what runtime/cluster/launching.py does, whose calls block a thread
and so have no place in a simulation."""

import asyncio

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from actors.errors import ThornbackError
from runtime.cluster.directory import Directory
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.release import RELEASE
from runtime.topology.status import Topology

#: Between two tries to reach a directory that is away, or to launch what is being drained.
PAUSE_S = 0.1
#: Between two launches of somebody who is impatient.
AGAIN_S = 0.01
#: How long one try to launch may take.
LAUNCH_S = 30.0


async def launch(world: World, settings: Settings, *, take_over: bool = False) -> Topology:
    """The topology of the system; what does not run yet is started. Tries until it runs."""
    while True:
        directory = world.actors.spawn(Directory, settings, DIRECTORY_ACTOR, None)
        try:
            topology: Topology | None = await directory.launch.remote(LAUNCH_S, take_over, RELEASE)
            if topology is not None:
                return topology
            if await directory.over.remote():
                world.actors.kill(directory)
        except ActorDiedError:
            continue  # whoever drained the system has just ended this one
        except ActorUnavailableError:
            await asyncio.sleep(PAUSE_S)
        except RayTaskError as error:
            if not isinstance(error.cause, ThornbackError):
                raise
            await asyncio.sleep(AGAIN_S)
