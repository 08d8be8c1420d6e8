"""What a spare process has behind it before it is anybody's (runtime/process/spares.py): everything
that a process of a system imports; the devices that every host knows, which take as long to
describe as all else that a host does before it starts; and what Ray imports when a process reads
its first values, which is numpy and pyarrow where they are installed: a sixth of a second.
"""

import logging

from ray._private.serialization import SerializationContext
from ray._private.worker import global_worker

from runtime.cluster import directory as directory
from runtime.host.registration import Registration

logger = logging.getLogger("thornback.process")


def meet_values() -> None:
    """Have Ray import what it reads and writes values with. It makes the like for itself then."""
    try:
        SerializationContext(global_worker)
    except Exception:  # it is a class of Ray's own; without it a process begins as well, and later
        logger.warning("a spare process has not all that Ray imports", exc_info=True)


Registration("a spare process").know_module("actors.devices")
meet_values()
