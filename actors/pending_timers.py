"""The timers of one actor that are still to fire: what events say of them, and whose turn it is.

Beside its state, an actor has its pending timers by key. They follow from the log alone: hosts,
snapshots and the test kit fold them with what stands here, and nothing of it reads a clock.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from actors.timer_events import CANCELLED, FIRED, SET, SKIPPED


class Pending(NamedTuple):
    """One timer that is to fire."""

    timer: str  #: its id
    due_us: int  #: of the next occurrence
    occurrence: int = 0  #: the number of that
    every_us: int | None = None
    missed: str = "once"


#: The timers of one actor, by key; None where it never had any, as most have not.
PendingTimers: TypeAlias = dict[str, Pending]


class Turn(NamedTuple):
    """What becomes of an occurrence whose time has come."""

    fires: bool
    missed: int  #: that follow it, and are passed over with it; of those that are skipped, all
    next_us: int | None


class _Set(msgspec.Struct, frozen=True):
    key: str
    timer: str
    due_us: int
    every_us: int | None = None
    missed: str = "once"


class _Cancelled(msgspec.Struct, frozen=True):
    key: str


class _Turned(msgspec.Struct, frozen=True):
    key: str
    timer: str
    occurrence: int
    next_us: int | None = None
    missed: int = 0


_FORMS: Mapping[str, Any] = {SET: _Set, CANCELLED: _Cancelled, FIRED: _Turned, SKIPPED: _Turned}
_decoders = {name: msgspec.json.Decoder(form).decode for name, form in _FORMS.items()}
_decode_all = msgspec.json.Decoder(dict[str, Pending]).decode
_encode = msgspec.json.Encoder().encode


def turn_of(pending: Pending, now_us: int) -> Turn:
    """What becomes of the next occurrence of a timer, which is due by now. An occurrence is missed
    when its successor is due, too; all are due at the first one's time plus a multiple of
    `every`."""
    every_us = pending.every_us
    if every_us is None:
        return Turn(True, 0, None)
    missed = 0 if pending.missed == "all" else (now_us - pending.due_us) // every_us
    if missed and pending.missed == "skip":
        return Turn(False, missed + 1, pending.due_us + (missed + 1) * every_us)
    return Turn(True, missed, pending.due_us + (missed + 1) * every_us)


def fold_timer(actor: Any, event_type: str, event: Any) -> None:
    """What an event of timers, or its data by name, means for the pending timers of its actor."""
    timers: PendingTimers = actor._pending_timers or {}
    key = event.key
    if event_type == SET:
        timers[key] = Pending(event.timer, event.due_us, 0, event.every_us, event.missed)
    elif event_type == CANCELLED:
        timers.pop(key, None)
    elif key in timers and timers[key].timer == event.timer:
        if event.next_us is None:
            del timers[key]
        else:
            passed = event.missed if event_type == SKIPPED else event.missed + 1
            timers[key] = timers[key]._replace(
                due_us=event.next_us, occurrence=event.occurrence + passed
            )
    actor._pending_timers = timers or None


def fold_stored_timer(actor: Any, event_type: str, data: bytes) -> None:
    """The same for the text that the log has. One of a time without timers may have such types of
    its own: what has another form is none of ours."""
    try:
        event = _decoders[event_type](data)
    except msgspec.DecodeError:
        return
    fold_timer(actor, event_type, event)


def encode_pending(timers: PendingTimers) -> bytes:
    """As a snapshot keeps them: JSON, in one line."""
    return _encode(timers)


def decode_pending(text: bytes) -> PendingTimers:
    """What `encode_pending` made. Raises ValueError."""
    return _decode_all(text)
