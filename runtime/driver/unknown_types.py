"""A subscription to an event type that nobody knows is surely a mistake, and says so.

It is no error: the first event of that type may be on its way. What this program's classes
know is not looked for; for anything else the log is asked, beside the subscription.
"""

import logging
from collections.abc import Iterator
from difflib import get_close_matches

from actors.event import Payload
from runtime.driver.connection import Connection
from runtime.driver.pending import Pending
from store.selection import Selection

logger = logging.getLogger("thornback.driver")

#: So long a call waits at most for what is said of its names.
LOOK_S = 1.0


def say_unknown(connection: Connection, selection: Selection) -> Pending[None] | None:
    """Have it logged if a name is neither known here nor in the log. Does not wait: what ends
    when it is said, if there is anything to look for."""
    here = {payload.event_type for payload in _subclasses(Payload)}
    names = [each for each in selection.event_types if "*" not in each and each not in here]
    if not names:
        return None

    async def look() -> None:
        known = here | await connection.log.event_types()
        for name in names:
            if name not in known:
                close = get_close_matches(name, sorted(known), n=1)
                hint = f"did you mean {close[0]!r}?" if close else "names are kebab-case"
                if "/" in name:
                    hint = f"a source is named so: sources={name!r}"
                logger.warning(
                    "a subscription waits for %r, and no event of that type is in the log or known "
                    "to a class of this program: %s", name, hint,
                )  # fmt: skip

    return connection.errand("the event types of the log", look).pending


def _subclasses(payload: type[Payload]) -> Iterator[type[Payload]]:
    for derived in payload.__subclasses__():
        if "event_type" in derived.__dict__:
            yield derived
        yield from _subclasses(derived)
