"""What the log says of the timers of actors.

An actor's handler yields a Schedule or a Cancel (actors/timers.py); it becomes a TimerSet or a
TimerCancelled of that actor, committed with the events that it was yielded beside. When its time
has come, the actor's host writes a TimerFired, and with it the events of the message's handler.
"""

from typing import Any

from actors.event import Kind, SystemEvent


class TimerSet(SystemEvent):
    """A timer runs from now on, in the place of the one that had this key, if one had. Its actor is
    the event's source; no state depends on it, but an actor may apply it."""

    key: str
    timer: str  #: an id: no other timer has it, not even the next one of this key
    due_us: int  #: Unix microseconds
    every_us: int | None = None  #: from one occurrence to the next
    missed: str = "once"
    message_type: str
    message: dict[str, Any]  #: its data


class TimerCancelled(SystemEvent):
    """No timer has this key any more, if one had."""

    key: str


class TimerFired(SystemEvent):
    """The time of a timer has come; what its message has led to are the events beside this one."""

    key: str
    timer: str
    occurrence: int  #: 0, 1, 2 ...; each that was passed over has a number, too
    due_us: int  #: when it was to be; the event's own moment is when it was
    missed: int = 0  #: so many that follow it were due as well, and this one stands for them
    next_us: int | None = None  #: when the next one is due, if there is one
    error: str | None = None  #: the name of what its handler raised: it has led to nothing
    reason: str | None = None


class TimerSkipped(SystemEvent):
    """The time of a timer had passed, and it was to be skipped then."""

    key: str
    timer: str
    occurrence: int  #: the first of those that are skipped
    due_us: int
    missed: int  #: how many they are
    next_us: int


SET, CANCELLED = TimerSet.event_type, TimerCancelled.event_type
FIRED, SKIPPED = TimerFired.event_type, TimerSkipped.event_type

#: Their event types.
TIMER_TYPES = frozenset((SET, CANCELLED, FIRED, SKIPPED))


#: The classes of them, by event type.
TIMER_CLASSES: dict[str, type[SystemEvent]] = {
    each.event_type: each for each in (TimerSet, TimerCancelled, TimerFired, TimerSkipped)
}


def is_timer_event(event_type: str, kind: str) -> bool:
    """Do timers alone make events of this type and kind? Those of an actor have these types of no
    other kind either; what programs put out may."""
    return event_type in TIMER_TYPES and kind == Kind.SYSTEM


def forged(payload: Any) -> bool:
    """Does this class of events, somebody else's, have the name of one of these?"""
    event_type = getattr(payload, "event_type", None)
    return event_type in TIMER_TYPES and payload is not TIMER_CLASSES[event_type]


def reserved(event_type: str) -> str:
    """What is said of one."""
    return f"{event_type!r} is what the log says of an actor's timers: give it another event_type"
