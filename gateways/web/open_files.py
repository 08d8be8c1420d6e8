"""How many connections a gateway has files for: each takes one of its process's."""

import logging
import resource

logger = logging.getLogger("thornback.gateway")

#: So many are for what else it has open: Ray, the database, hosts, logs.
OTHERS = 256


def connections_that_fit(wanted: int) -> int:
    """How many of these connections may be open. The process takes all the files that the system
    allows it, if it needs them: a shell begins with 1,024, and connections of which TLS is still
    being negotiated are not counted. One that has no file left accepts nobody, not even to turn him
    away, and reaches neither database nor hosts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft - OTHERS >= wanted:
        return wanted
    needed = wanted + OTHERS
    more = needed if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
    except (ValueError, OSError) as error:
        logger.warning("the system does not allow %d open files: %s", more, error)
        more = soft
    if more < needed:
        logger.warning(
            "of gateway.max_connections, %d, only %d may be open: this process may have %d files "
            "(ulimit -n)", wanted, fitting := max(more - OTHERS, 1), more,
        )  # fmt: skip
        return fitting
    return wanted
