"""What an operator does with a system: launch it, as runtime/cluster/launching.py does, whose calls
block a thread and so have no place in a simulation."""

import asyncio

from ray.exceptions import ActorDiedError, ActorUnavailableError

from runtime.cluster.directory import Directory
from runtime.process.world import World
from runtime.settings.settings import Settings
from runtime.topology.names import DIRECTORY_ACTOR
from runtime.topology.status import Topology

#: Between two tries to reach a directory that is away.
PAUSE_S = 0.1
#: How long a launch may take.
LAUNCH_S = 30.0


async def launch(world: World, settings: Settings) -> Topology:
    """The topology of the system; what does not run yet is started. Raises what the directory
    raises."""
    while True:
        directory = world.actors.spawn(Directory, settings, DIRECTORY_ACTOR, None)
        try:
            topology: Topology | None = await directory.launch.remote(LAUNCH_S)
        except ActorUnavailableError:
            await asyncio.sleep(PAUSE_S)
        except ActorDiedError:
            continue  # whoever drained the system has just ended this one
        else:
            if topology is not None:
                return topology
