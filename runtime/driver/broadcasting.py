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
    items = (
        Send(ActorRef(connection, None if known is None else known.actor, source), message, each)
        for source in _sources(connection, actor_type, patience_s)
        for each in (command_id(own, source),)
    )
    return blocking.tell_many(items, patience_s=patience_s, progress=None)


def command_id(broadcast: bytes, source: str) -> bytes:
    """The id under which a broadcast comes to an actor."""
    return derived_id(int.from_bytes(broadcast[:6]), broadcast + aggregate_key_of(source))


def _sources(connection: Connection, actor_type: str, patience_s: float) -> Iterator[str]:
    """Of all actors of a type, in an order: those that the log has when it is asked for their page.
    Raises StoreUnavailable."""
    after = ""
    while True:
        found = _page(connection, f"{actor_type}/", after, patience_s)
        yield from (record.source for record in found)
        if len(found) < PAGE:
            return
        after = found[-1].source


def _page(connection: Connection, prefix: str, after: str, patience_s: float) -> list[SourceRecord]:
    def asked(store: EventStore) -> Any:
        return store.sources(prefix, after, PAGE)

    ask = partial(connection.log.ask, asked)
    found: list[SourceRecord] = connection.errand(
        f"the actors {prefix}*", ask, max(patience_s, 1.0)
    ).result()
    return found
