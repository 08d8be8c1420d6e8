"""Events of the log that a class does not read any more: which field it is, and what to do.

The log says which event types it has, not which fields these had. So a class is held against
the history of one actor when it is registered, where one is at hand; what that does not show is
found when an actor is loaded, and breaks that actor alone.
"""

import logging

from pydantic import ValidationError

from actors.actor_type import ActorType
from actors.errors import InvalidActor, UnreadableEvent
from actors.event import Payload
from actors.event_shape import names_read
from actors.naming import aggregate_key_of
from runtime.errors import HandlerBlocked
from runtime.host.at_hand import READING, hook_of
from runtime.host.interruptible import Interruptible, Interruption
from runtime.wire.commands import MESSAGE_TYPE
from store.event_store import EventStore, Load
from store.rows.decoding import folds
from store.rows.encoding import text_field
from store.rows.tombstones import TOMBSTONE_TEXT

logger = logging.getLogger("thornback.host")

#: Where all of it is told.
_HOWTO = "docs/howto/evolve-events.md"


async def check_history(
    store: EventStore, source: str, described: ActorType, work: Interruptible, code: str
) -> None:
    """Read the first event of each type and schema in the beginning of an actor's history with a
    class, whose fingerprint is `code`. Raises InvalidActor where one does not fit or the class
    takes too long, and StoreUnavailable."""
    load = await store.load_rows({aggregate_key_of(source): 0})
    at = hook_of(source, f"{READING} {code}")
    try:
        if found := work.blocked.hook(source, at[MESSAGE_TYPE]):
            raise found.error()
        if work.blocked.at_hand.note is not None:
            work.blocked.at_hand.note(at)
        work.run(at, _read, load, source, described)
    except HandlerBlocked as error:
        problem = f"its log has events that it does not come to the end of: {error.failure}"
        raise InvalidActor(described.name, problem) from error


def _read(load: Load, source: str, described: ActorType) -> None:
    column, seen = text_field(source), set[tuple[bytes, int]]()
    for fold in folds(load.rows):
        applier = described.appliers.get(fold.event_type.decode())
        kind = fold.event_type, fold.schema
        if applier is None or kind in seen or fold.source != column:
            continue
        if fold.data == TOMBSTONE_TEXT:
            continue
        seen.add(kind)
        try:
            applier.schema.read_stored(fold.data, fold.schema)
        except ValidationError as error:
            problem = f"its log has events that it cannot read: {misfit(applier.payload, error)}"
            raise InvalidActor(described.name, problem) from error
        except UnreadableEvent as error:
            problem = f"its log has events that it cannot read: {error}"
            raise InvalidActor(described.name, problem) from error
        except Interruption:
            raise
        except BaseException as error:  # code of the class: whoever is loaded with it will say so
            logger.debug("%s: %s cannot be tried: %s", described.name, fold.event_type, error)


def misfit(payload: type[Payload], error: ValidationError) -> str:
    """Which field of an event's class does not fit an event of the log, and what to do."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"])) or "data"
    name = payload.__name__
    if first["type"] == "missing":
        said = (
            f"the field {field!r} of {name} is not in events from before it was added: give it a "
            "default, with which they are read, or count schema_version up, and put it in with an "
            "upcaster"
        )
        if unread := _unread(payload, first["input"]) if len(first["loc"]) == 1 else []:
            said += (
                f". They have {', '.join(map(repr, unread))}, which {name} does not read: if that "
                f"is its old name, Field(validation_alias={unread[0]!r})"
            )
        return f"{said} ({_HOWTO})"
    return (
        f"the field {field!r} of {name} does not fit the events that there are ({first['msg']}): "
        f"leave it as it was, and make another event for what is new ({_HOWTO})"
    )


def _unread(payload: type[Payload], data: object) -> list[str]:
    """The first few fields of stored data that a class of events does not read."""
    if not isinstance(data, dict):
        return []
    return sorted(str(name) for name in data if name not in names_read(payload))[:3]
