"""Stopping an actor, and starting it again: commands that its host itself takes."""

from typing import Any
from uuid import UUID

from actors.event import Event
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.driver.validation import id_bytes
from runtime.wire.answers import read_events
from runtime.wire.commands import START, STOP


def start_actor(
    ref: ActorRef[Any], reason: str, id: UUID | bytes | None = None
) -> Reply[list[Event]]:
    """See ActorSystem.start."""
    return _ask(ref, START, reason, id)


def stop_actor(
    ref: ActorRef[Any], reason: str, id: UUID | bytes | None = None
) -> Reply[list[Event]]:
    """See ActorSystem.stop."""
    return _ask(ref, STOP, reason, id)


def _ask(ref: Any, what: str, reason: Any, id: UUID | bytes | None) -> Reply[list[Event]]:
    if not isinstance(ref, ActorRef):
        raise TypeError(f"it takes a ref, system.actor(CLASS, name), not {ref!r:.80}")
    if not isinstance(reason, str):
        raise TypeError(f"a reason is a text, not {reason!r:.80}")
    connection = ref.connection
    fields = (
        ref.source,
        what,
        connection.new_id() if id is None else id_bytes(id, ref.source, what),
        connection.world.now_us(),
        {"reason": reason},
        None,
        None,
    )
    outgoing, index = connection.channels.add(fields, ref.actor, want_events=True)
    return Reply(outgoing, index, read_events)
