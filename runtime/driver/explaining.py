"""Why an event is in the log: the question of a driver."""

from typing import Any
from uuid import UUID

from actors.event import Event
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from store.causality import LARGEST_LIMIT, Explanation

#: How long an explanation may take; it waits for its turn at the log, too.
LIMIT_S = 60.0


def explain_event(connection: Connection, event: Any, limit: Any) -> Reply[Explanation]:
    """See ActorSystem.explain."""
    id, limit = _id_of(event), _checked(limit)
    return connection.errand("explain", lambda: connection.log.explain(id, limit), LIMIT_S)


def _id_of(event: Any) -> UUID:
    if isinstance(event, Event):
        return event.id
    if isinstance(event, UUID):
        return event
    if isinstance(event, str):
        try:
            return UUID(event)
        except ValueError as error:
            raise ValueError(f"an event is named by its id, a UUID, not {event!r:.80}") from error
    raise TypeError(f"explain takes an event or its id, a UUID, not {event!r:.80}")


def _checked(limit: Any) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 < limit <= LARGEST_LIMIT:
        raise ValueError(f"limit is a number from 1 to {LARGEST_LIMIT:,}, not {limit!r:.80}")
    return limit
