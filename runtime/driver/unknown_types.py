"""A subscription to an event type, or to devices of a type, that nobody knows is surely a mistake.

It is no error: the first event may be on its way. So it is logged. What this program's classes
know is not looked for; for anything else the log is asked, beside the subscription.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from actors.actor import Actor
from actors.errors import InvalidName
from actors.event import Payload
from actors.naming import actor_type_of, checked_type_name
from runtime.driver.connection import Connection
from runtime.driver.pending import Pending
from store.selection import Selection

logger = logging.getLogger("thornback.driver")

#: So long a call waits at most for what is said of its names.
LOOK_S = 1.0


def say_unknown(
    connection: Connection, selection: Selection, beside: Sequence[Connection] = ()
) -> Pending[None] | None:
    """Have it logged if a name is neither known here nor in the log, nor in the logs `beside` it.
    Does not wait: what ends when it is said, if there is anything to look for."""
    events, devices = set(_named(Payload, "event_type")), set(_named(Actor, "actor_type"))
    names = [each for each in selection.event_types if "*" not in each and each not in events]
    sources = {
        actor_type_of(each): each
        for each in selection.sources
        if _of_devices(each) and actor_type_of(each) not in devices
    }
    if not names and not sources:
        return None

    async def look() -> None:
        logs = [each.log for each in (connection, *beside)]
        if names:
            found = await asyncio.gather(*(log.event_types() for log in logs))
            _say_event_types(names, events.union(*found))
        if sources:
            unknown = await asyncio.gather(*(log.unknown_actor_types(sources) for log in logs))
            for actor_type in sorted(set.intersection(*unknown)):
                _say_source(sources[actor_type], actor_type, devices)

    return connection.errand("the types of the log", look).pending


def _say_event_types(names: list[str], known: set[str]) -> None:
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


def _say_source(source: str, actor_type: str, known: set[str]) -> None:
    close = get_close_matches(actor_type, sorted(known), n=1)
    hint = f"did you mean {close[0]!r}?" if close else "a device is named TYPE/NAME"
    logger.warning(
        "a subscription waits for events of %r, and nothing of the type %r is in the log or known "
        "to a class of this program: %s", source, actor_type, hint,
    )  # fmt: skip


def _of_devices(source: str) -> bool:
    """Can it be one of an actor? Of others the log keeps no types."""
    try:
        return "/" in source and bool(checked_type_name(actor_type_of(source)))
    except InvalidName:
        return False


def _named(base: type[Any], name: str) -> Iterator[str]:
    """The names of the classes that are derived from that one."""
    for derived in base.__subclasses__():
        if name in derived.__dict__:
            yield derived.__dict__[name]
        yield from _named(derived, name)
