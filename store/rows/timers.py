"""A Schedule and a Cancel as the log has them: the texts of TimerSet and TimerCancelled."""

from typing import Any
from uuid import UUID

from actors.actor_type import ActorType
from actors.timer_events import SET, TimerCancelled, TimerSet
from actors.timers import Cancel, Schedule
from store.rows.json_text import encode_payload
from store.rows.tells import message_data, text_with_message


def stored_schedule(
    actor: ActorType, schedule: Schedule, timer: bytes, now_us: int
) -> tuple[bytes, TimerSet]:
    """The text of a Schedule that an actor of this type yields now, and the event that it makes;
    `timer` is the id that nobody else has. Raises TypeError for a message that the actor does not
    handle, ValueError for a time that no calendar has, and InvalidData for a message that JSON does
    not give back."""
    message = schedule.message
    handler = actor.handlers.get(message.message_type)
    if handler is None or not isinstance(message, handler.message):
        raise TypeError(
            f"a timer is for its own actor, and {actor.name} does not handle "
            f"{type(message).__name__}: it handles {', '.join(actor.commands) or 'nothing'}"
        )
    data: dict[str, Any] = {
        "key": schedule.key,
        "timer": str(UUID(bytes=timer)),
        "due_us": schedule.due_us(now_us),
        "every_us": schedule.every_us,
        "missed": schedule.missed,
        "message_type": message.message_type,
        "message": message_data(SET, message),
    }
    return text_with_message(SET, data), TimerSet.model_construct(**data)


def stored_cancel(cancel: Cancel) -> tuple[bytes, TimerCancelled]:
    """The same for a Cancel. Raises InvalidData."""
    event = TimerCancelled(key=cancel.key)
    return encode_payload(event.event_type, event), event
