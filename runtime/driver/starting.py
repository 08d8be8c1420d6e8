"""From where on a reader reads: a position, a moment of the log, or now."""

import logging
from datetime import datetime
from typing import Any

from actors.moments import checked_us, moment_of
from runtime.driver.selecting import checked_after
from runtime.partition.log_access import LogAccess
from store.rows.decoding import Decoder
from store.selection import EVERYTHING

logger = logging.getLogger("thornback.driver")

#: A position; or a moment, from which on whatever was committed is wanted; or None: from now on.
Start = int | datetime | None


def checked_start(after: Any) -> Start:
    """What somebody gave as such. Raises ValueError."""
    if isinstance(after, datetime):
        return moment_of(checked_us(after))
    return None if after is None else checked_after(after)


def check_live(catch_up: bool, after: Start, name: str | None) -> None:
    """Who does not catch up begins now. Raises ValueError."""
    if not catch_up and (after is not None or name is not None):
        raise ValueError(
            "catch_up=False is for who wants what happens now, and nothing that was missed: it has "
            "neither after= nor name="
        )


def check_named(group: Any, name: str | None) -> None:
    """A group has a name. Raises ValueError."""
    if not isinstance(group, bool):
        raise ValueError(f"group= is True or False, not {group!r:.80}: the name is said by name=")
    if group and name is None:
        raise ValueError("group=True is for a durable subscription, which has a name: say name=")


async def position_of(log: LogAccess, start: Start) -> int:
    """The position after which what is wanted comes. Raises BusUnavailable and SystemNotFound, and
    for a moment StoreUnavailable.

    That of a moment is found by halving, which takes it for granted that what stands later in the
    log was committed later. By the writer's clock it was, but where that was set back.
    """
    if isinstance(start, int):
        return start
    head = await log.head()
    if start is None:
        return head
    wanted_us = checked_us(start)
    if wanted_us > log.world.now_us():
        logger.warning("%s is still to come: it begins with what is committed from now on", start)
        return head
    decoder = Decoder()
    before, through = 0, head  # the wanted position is neither below the one nor above the other
    while before < through:
        middle = (before + through + 1) // 2
        page = await log.read(middle - 1, 1, EVERYTHING)
        (event,) = decoder.events(page.rows)
        if event.recorded_at is not None and checked_us(event.recorded_at) < wanted_us:
            before = middle
        else:
            through = middle - 1
    return before
