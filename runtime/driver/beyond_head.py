"""A subscription after a position that the log has not come to is mostly a mistake, and says so.

It is no error: the log may grow that far. Until then nothing comes, and nothing else would say why.
"""

import logging

from runtime.driver.connection import Connection
from runtime.driver.pending import Pending

logger = logging.getLogger("thornback.driver")


def say_beyond(connection: Connection, after: int) -> Pending[None] | None:
    """Have it logged if the log ends before that position. Does not wait: what ends when it is
    said, if there is anything to look for."""
    if after == 0:
        return None

    async def look() -> None:
        if after <= await connection.log.head():
            return
        # Whoever was answered may be ahead of the bus, never of the log.
        ends = await connection.log.committed_head()
        if after > ends:
            logger.warning(
                "a subscription begins after position %d, and the log ends at %d: nothing comes "
                "before the log has grown past that; after=0 reads all of it", after, ends,
            )  # fmt: skip

    return connection.errand("the head of the log", look).pending
