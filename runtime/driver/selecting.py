"""What a subscriber says that he wants, checked where he says it: names, patterns, a position."""

import re
from collections.abc import Iterable
from operator import index
from typing import Any

from actors.actor import Actor
from actors.errors import InvalidName
from actors.event import Payload
from actors.naming import check_not_ours, checked_source
from actors.patterns import as_kinds
from runtime.driver.ref import ActorRef
from runtime.wire.polls import MAX_GLOBS, MAX_GLOBS_LENGTH
from store.selection import Selection

_SUBSCRIPTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_AFTER = (
    "after=0 reads from the start of the log, after=system.head().result() what is committed from "
    "now on"
)

#: No log is longer.
MAX_POSITION = 2**63 - 1


def selection_of(
    event_types: str | Iterable[str],
    sources: str | Iterable[str],
    kinds: str | Iterable[str] = (),
) -> Selection:
    """What a subscriber wants. Raises InvalidName for what is no name and no pattern, or that
    no log can be asked for, and ValueError for what is no kind of event."""
    return Selection(
        event_types=_globs(event_types, "an event type"),
        sources=_globs(sources, "a source"),
        kinds=as_kinds(kinds),
    )


def checked_position(given: Any, hint: str = "") -> int:
    """A position of the log. Raises ValueError, with a hint for whoever gave it."""
    try:
        position = -1 if isinstance(given, bool) else index(given)
    except TypeError:
        position = -1
    if not 0 <= position <= MAX_POSITION:
        problem = f"a position is a number from 0 on, not {given!r:.80}"
        raise ValueError(f"{problem}: {hint}" if hint else problem)
    return position


def checked_after(after: Any) -> int:
    """A position to read on after. Raises ValueError."""
    return checked_position(after, _AFTER)


def checked_subscription_name(name: Any) -> str:
    """The name of a durable subscription. Raises InvalidName."""
    if not isinstance(name, str) or not _SUBSCRIPTION_NAME.fullmatch(name):
        raise InvalidName(
            f"{name:.80}" if isinstance(name, str) else f"{name!r:.80}",
            "the name of a durable subscription has 1 to 100 letters (a to z), digits, - _ and ., "
            "and begins with a letter or digit",
        )
    check_not_ours(name)
    return name


def checked_seconds(timeout_s: Any) -> float | None:
    """How long to wait, or None. Raises ValueError."""
    if timeout_s is None or (isinstance(timeout_s, int | float) and timeout_s >= 0):
        return timeout_s
    raise ValueError(f"timeout_s= is a number of seconds, not {timeout_s!r:.80}")


def _globs(globs: Any, what: str) -> tuple[str, ...]:
    if isinstance(globs, str):
        found: tuple[Any, ...] = (globs,)
    elif isinstance(globs, type | ActorRef):
        found = (globs,)  # pydantic's classes can be iterated, as far as Python knows
    else:
        try:
            found = tuple(globs)
        except TypeError:
            found = (globs,)
    if len(found) > MAX_GLOBS:
        raise InvalidName(f"{len(found)} patterns", f"a subscription names at most {MAX_GLOBS}")
    for glob in found:
        if not isinstance(glob, str):
            raise _no_name(glob, what)
        checked_source(glob)
    if sum(map(len, found)) > MAX_GLOBS_LENGTH:
        problem = f"the patterns of a subscription have at most {MAX_GLOBS_LENGTH} letters"
        raise InvalidName(f"{found[0]} and others", problem)
    return () if "*" in found else found


def _no_name(given: Any, what: str) -> InvalidName:
    """What is said of something that is no text, and what to say instead."""
    name = given.__name__ if isinstance(given, type) else f"{given!r:.80}"
    instead = "a text, which may have a * for any text"
    if isinstance(given, ActorRef):
        instead = f"sources={given.source!r}"
    elif isinstance(given, type) and issubclass(given, Actor) and hasattr(given, "actor_type"):
        instead = f"sources='{given.actor_type}/*'"
    elif isinstance(given, type) and issubclass(given, Payload) and hasattr(given, "event_type"):
        instead = f"its event type, {given.event_type!r}"
    return InvalidName(name, f"it is not {what}: say {instead}")
