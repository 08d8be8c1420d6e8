"""What becomes of actors, as events of their own: rows that no handler has made.

They go into the log with the events of the attempt in which it happened, in one append: an actor is
stopped by the same commit that its sender's answer waits for. Those that a failure leads to stand
behind all events of the attempt, so that each command's rows still stand together.
"""

from collections.abc import Callable
from typing import Any

from actors.errors import ThornbackError
from actors.ids import derived_id, event_id
from actors.lifecycle import ActorWasErased, ActorWasStarted, ActorWasStopped, LifecycleEvent
from actors.naming import actor_type_of
from runtime.clocks import NodeClock
from runtime.errors import InvalidMessage
from runtime.host.batch import Attempt
from runtime.host.resident import Resident
from runtime.host.type_checks import EventTypesMet
from runtime.wire.commands import (
    AT_US,
    CAUSATION_ID,
    CORRELATION_ID,
    DATA,
    ERASE,
    FIRE,
    ID,
    MESSAGE_TYPE,
    SOURCE,
    START,
)
from runtime.wire.error_codec import cut
from store.rows.encoding import encode_decided, type_fields
from store.rows.json_text import encode_payload

#: Letters of a reason that somebody gives.
_MOST = 2_000


def write_row(
    event: LifecycleEvent,
    resident: Resident,
    clock: NodeClock,
    command: Any,
    event_id: bytes,
    at_us: int,
) -> bytes:
    """The row of one, as its actor's next event, because of a command. Raises InvalidData, and then
    nothing has changed."""
    row = encode_decided(
        event_id,
        resident.aggregate_id,
        resident.version + 1,
        at_us,
        type_fields(event.event_type, event.kind.value),
        resident.source_field,
        encode_payload(event.event_type, event),
        clock.prefix,
        clock.ticks + 1,
        command[CORRELATION_ID] or command[ID],
        command[CAUSATION_ID] or command[ID],
    )
    clock.ticks += 1
    resident.version += 1
    return row


def write_rest(
    attempt: Attempt, clock: NodeClock, met: EventTypesMet, now_us: Callable[[], int]
) -> None:
    """All is decided: what failures have led to becomes the last rows of the attempt."""
    for resident, event, command in attempt.lifecycle:
        key = command[ID] + resident.aggregate_id + (resident.version + 1).to_bytes(8, "big")
        # By the version, too: a command that is sent again may fail again.
        made = derived_id(int.from_bytes(command[ID][:6], "big"), key)
        # A FIRE keeps the moment at which it was sent first; what it leads to has this host's.
        at_us = now_us() if command[MESSAGE_TYPE] == FIRE else command[AT_US]
        attempt.rows.append(write_row(event, resident, clock, command, made, at_us))
        attempt.types.append(event.event_type)
        attempt.effects.beside += 1
        met.meet(actor_type_of(resident.source), event.event_type)


def change_life(
    attempt: Attempt, index: int, resident: Resident, clock: NodeClock, met: EventTypesMet
) -> bool:
    """Do what somebody asks for: its event is the command's. False where it comes to none."""
    command = attempt.batch.commands[index]
    try:
        event = _asked_event(resident, command)
        if event is None:  # it is so already
            attempt.in_vain.append(index)
            attempt.vain.append(index)
            if command[MESSAGE_TYPE] == ERASE:  # who has written its end may not have heard of that
                attempt.erased = (*attempt.erased, resident.source)
            return False
        row = write_row(event, resident, clock, command, event_id(command[ID], 0), command[AT_US])
    except ThornbackError as error:
        attempt.without_effect(index, error)
        return False
    # Whoever is started is rebuilt: of one that was stopped an event may be applied half.
    resident.ready, resident.batch = False, attempt.batch.number
    if isinstance(event, ActorWasErased):
        _end(attempt, resident, event)
    elif isinstance(event, ActorWasStopped):
        resident.stopped = event.reason
        attempt.stopped[resident.source] = resident
    else:
        resident.stopped, resident.erased = "", False
        attempt.rebuild.add(resident.source)
    met.meet(actor_type_of(resident.source), event.event_type)
    attempt.rows.append(row)
    attempt.types.append(event.event_type)
    attempt.effects.counts[command[ID]] = 1
    attempt.effects.message_types.append(command[MESSAGE_TYPE])
    return True


def _end(attempt: Attempt, resident: Resident, event: ActorWasErased) -> None:
    """Of one that is erased nothing stays in memory, once that is durable."""
    if not resident.stopped:
        attempt.stopped[resident.source] = resident
    resident.stopped, resident.erased = event.reason, True
    attempt.rebuild.add(resident.source)
    attempt.erased = (*attempt.erased, resident.source)


def _asked_event(resident: Resident, command: Any) -> LifecycleEvent | None:
    """What somebody has asked for, a start, a stop or an erasure; None where it is so already.
    Raises InvalidMessage for a reason that is no text."""
    data = command[DATA]
    reason = data.get("reason") if isinstance(data, dict) else None
    if not isinstance(reason, str):
        problem = "its data is a reason, which is a text"
        raise InvalidMessage(command[SOURCE], command[MESSAGE_TYPE], problem)
    reason = clean(reason)[:_MOST]
    if command[MESSAGE_TYPE] == ERASE:
        if resident.erased or not resident.version:  # there is nothing, or it is to go already
            return None
        return ActorWasErased(reason=reason or "somebody asked for it", events=resident.version)
    if command[MESSAGE_TYPE] == START:
        return ActorWasStarted(reason=reason) if resident.stopped else None
    return None if resident.stopped else ActorWasStopped(reason=reason or "somebody asked for it")


def clean(text: str) -> str:
    """A text that the log can hold."""
    return cut(text).replace("\0", "\\0")
