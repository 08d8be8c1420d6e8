"""What Ray's processes tell every program: in its log, where it would be on its standard output.

Ray sends warnings of its processes to all programs that have joined it, and prints them on standard
output, among lines of JSON that another program may be reading.
"""

import logging
from typing import Any

import ray._private.worker

logger = logging.getLogger("thornback.ray")

#: So says a machine on which more processes run than it has cores. Ours wait for messages, and are
#: as many as the settings say.
_USUAL = "maximum expected startup concurrency"


def into_the_log() -> None:
    """From now on they are in this program's log: the usual ones as information, which is not shown
    unless somebody asks for it, and others as warnings."""
    ray._private.worker.print_to_stdstream = _logged


def _logged(said: dict[str, Any], ignore_prefix: bool) -> None:
    """In the place of Ray's own function, which prints the lines and who has said them."""
    for line in said["lines"]:
        level = logging.INFO if _USUAL in line else logging.WARNING
        logger.log(level, "Ray says (%s): %s", said.get("pid"), line)
