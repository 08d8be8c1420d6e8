"""The machines of this Ray, asked of its head.

That one is being drained (`ray drain-node`, or SIGTERM to `ray start --block`), Ray tells in no
public way: this module alone knows the one that there is.
"""

import math
from collections.abc import Sequence

import ray
from ray._private.state import state

from runtime.clocks import now_us
from runtime.topology.machines import Machine


def machines_of_ray() -> Sequence[Machine]:
    """Those that are alive. Blocks while Ray's head is asked, and raises what Ray raises where
    that does not answer."""
    leaving = state.get_draining_nodes()
    return [
        Machine(
            id=(number := each["NodeID"]),
            labels=each["Labels"],
            leaving=number in leaving,
            goes_in_s=_left_s(leaving.get(number, 0)),
        )
        for each in ray.nodes()
        if each["Alive"]
    ]


def _left_s(goes_ms: int) -> float:
    """Until a moment in Unix milliseconds; Ray has 0 where nobody has said when."""
    return goes_ms / 1e3 - now_us() / 1e6 if goes_ms else math.inf
