"""One message for every actor of a type that the log knows, resident or not.

The log is asked for the actors, a page at a time, as fast as their hosts answer: it is a bulk call
over them. Each command's id derives from that of the broadcast and from whom it is for, so a
broadcast that is repeated reaches those whom it has not reached yet, and changes nothing for the
others.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

from actors.actor import Actor, Command, described
from actors.ids import derived_id
from actors.naming import aggregate_key_of, checked_type_name
from runtime.driver import blocking
from runtime.driver.bulk import BulkResult, Send
from runtime.driver.connection import Connection
from runtime.driver.ref import ActorRef
from runtime.driver.validation import check_message, id_bytes
from runtime.errors import InvalidMessage
from store.event_store import EventStore, SourceRecord

#: Actors that are asked for at a time.
PAGE = 1_000


def broadcast(
    connection: Connection,
    message: Command,
    actor: type[Actor[Any]] | str,
    id: UUID | bytes | None,
    patience_s: float,
) -> BulkResult:
    """ActorSystem.broadcast."""
    known = None if isinstance(actor, str) else described(actor)
    actor_type = checked_type_name(actor) if isinstance(actor, str) else actor.actor_type
    whom = f"{actor_type}/*"
    check_message(message, whom)
    if known is not None and message.message_type not in known.handlers:
        handled = ", ".join(known.commands) or "nothing"
        problem = f"{actor_type} does not handle it: it handles {handled}"
        raise InvalidMessage(whom, message.message_type, problem)
    own = connection.new_id() if id is None else id_bytes(id, whom, message.message_type)
    audience = Audience(connection, message, actor, own)
    items = _items(connection, audience, patience_s)
    return blocking.tell_many(items, patience_s=patience_s, progress=None)


class Audience:
    """Whom one broadcast is for, a page after the other: those that the log has when it is asked
    for their page. Has one user, who asks `question`, and takes what `sends` makes of the answer,
    until it is all."""

    def __init__(
        self, connection: Connection, message: Command, actor: type[Actor[Any]] | str, own: bytes
    ) -> None:
        """`own` is the broadcast's id. Raises InvalidActor."""
        self._connection, self._message, self._own = connection, message, own
        self._actor = None if isinstance(actor, str) else described(actor).actor
        self.prefix = f"{actor if isinstance(actor, str) else actor.actor_type}/"
        self.is_all = False  #: there is no page more
        self._after = ""

    async def question(self, store: EventStore) -> list[SourceRecord]:
        """Who is on the next page. Raises StoreUnavailable."""
        return await store.sources(self.prefix, self._after, PAGE)

    def sends(self, found: list[SourceRecord]) -> Iterator[Send]:
        """What is to be sent to them."""
        self.is_all = len(found) < PAGE
        for record in found:
            self._after = record.source
            ref = ActorRef(self._connection, self._actor, record.source)
            yield Send(ref, self._message, command_id(self._own, record.source))


def command_id(broadcast: bytes, source: str) -> bytes:
    """The id under which a broadcast comes to an actor."""
    return derived_id(int.from_bytes(broadcast[:6]), broadcast + aggregate_key_of(source))


def _items(connection: Connection, audience: Audience, patience_s: float) -> Iterator[Send]:
    """All of them. Raises StoreUnavailable."""
    ask = partial(connection.log.ask, audience.question)
    name, limit_s = f"the actors {audience.prefix}*", max(patience_s, 1.0)
    while not audience.is_all:
        yield from audience.sends(connection.errand(name, ask, limit_s).result())
