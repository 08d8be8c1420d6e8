"""Stopping an actor, starting it again, ending what it was: commands that its host itself takes."""

from typing import Any
from uuid import UUID

from actors.event import Event
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.driver.validation import id_bytes
from runtime.wire.answers import read_events
from runtime.wire.commands import START, STOP, told


def start_actor(
    ref: ActorRef[Any], reason: str, id: UUID | bytes | None = None
) -> Reply[list[Event]]:
    """See ActorSystem.start."""
    return asked_life(ref, START, reason, id)


def stop_actor(
    ref: ActorRef[Any], reason: str, id: UUID | bytes | None = None
) -> Reply[list[Event]]:
    """See ActorSystem.stop."""
    return asked_life(ref, STOP, reason, id)


def asked_life(ref: Any, what: str, reason: Any, id: UUID | bytes | None) -> Reply[list[Event]]:
    """Have its host do it. Raises TypeError."""
    if not isinstance(ref, ActorRef):
        or_name = ", or a stream program's name as a text" if what == STOP else ""
        problem = f"it takes a ref, system.actor(CLASS, name){or_name}, not {ref!r:.80}"
        raise TypeError(problem)
    if not isinstance(reason, str):
        raise TypeError(f"a reason is a text, not {reason!r:.80}")
    connection = ref.connection
    fields = (
        ref.source,
        what,
        connection.new_id() if id is None else id_bytes(id, ref.source, told(what)),
        connection.world.now_us(),
        {"reason": reason},
        None,
        None,
    )
    outgoing, index = ref.add(fields, want_events=True)
    return Reply(outgoing, index, read_events)
