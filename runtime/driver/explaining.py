"""Why an event is in the log: the question of a driver."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from actors.event import Event
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from runtime.topology.partitions import is_of_each, partition_of
from store.causality import LARGEST_LIMIT, Explanation, explain
from store.event_store import EventStore, Found
from store.rows.layout import joined

#: How long an explanation may take; it waits for its turn at the log, too.
LIMIT_S = 60.0


def explain_event(connection: Connection, event: Any, limit: Any) -> Reply[Explanation]:
    """See ActorSystem.explain."""
    id, limit = _id_of(event), _checked(limit)
    return connection.errand("explain", lambda: connection.log.explain(id, limit), LIMIT_S)


def explain_in(connections: Sequence[Connection], event: Any, limit: Any) -> Reply[Explanation]:
    """The same for a system of several partitions, by a connection to each, in their order; they
    work in one loop."""
    id, limit = _id_of(event), _checked(limit)
    traced = SeveralLogs(connections)
    return connections[0].errand(
        "explain", lambda: explain(traced, id, limit, traced.log_of), LIMIT_S
    )


class SeveralLogs:
    """Reads all of them, as one log (store.causality.Traced)."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections

    def log_of(self, event: Event) -> int | None:
        """The partition that an event is in; None where its source is one that each of them has."""
        if is_of_each(event.source):
            return None
        return partition_of(event.source, len(self._connections))

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        """See EventStore."""
        return await self._found(lambda store: store.find_rows(event_ids))

    async def find_caused(self, causes: Sequence[bytes], limit: int) -> Found:
        """See EventStore."""
        return await self._found(lambda store: store.find_caused(causes, limit))

    async def find_correlated(self, correlation_id: bytes, limit: int) -> Found:
        """See EventStore."""
        return await self._found(lambda store: store.find_correlated(correlation_id, limit))

    async def _found(self, ask: Callable[[EventStore], Awaitable[Found]]) -> Found:
        found = await asyncio.gather(*(each.log.ask(ask) for each in self._connections))
        return Found(
            rows=joined(each.rows for each in found), more=any(each.more for each in found)
        )


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
