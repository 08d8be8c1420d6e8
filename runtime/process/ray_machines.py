"""The machines of this Ray, asked of its head.

That one is being drained (`ray drain-node`, or SIGTERM to `ray start --block`), Ray tells in no
public way: this module alone knows the one that there is.
"""

from collections.abc import Sequence

import ray
from ray._private.state import state

from runtime.topology.machines import Machine


def machines_of_ray() -> Sequence[Machine]:
    """Those that are alive. Blocks while Ray's head is asked, and raises what Ray raises where
    that does not answer."""
    leaving = state.get_draining_nodes()
    return [
        Machine(id=each["NodeID"], labels=each["Labels"], leaving=each["NodeID"] in leaving)
        for each in ray.nodes()
        if each["Alive"]
    ]
