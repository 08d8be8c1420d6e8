"""The timers of one actor that are still to fire: what events say of them, and whose turn it is.

Beside its state, an actor has its pending timers by key. They follow from the log alone: hosts,
snapshots and the test kit fold them with what stands here, and nothing of it reads a clock. How
they are kept in memory stands in packed_timers.py.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from actors.packed_timers import (
    PackedTimers,
    Pending,
    all_packed,
    find_packed,
    pack_all,
    timer_bytes,
    with_timer,
    without_timer,
)
from actors.timer_events import CANCELLED, FIRED, SET, SKIPPED, TimerCancelled, TimerSet
from actors.timers import Cancel


class Turn(NamedTuple):
    """What becomes of an occurrence whose time has come."""

    fires: bool
    missed: int  #: that follow it, and are passed over with it; of those that are skipped, all
    next_us: int | None


#: What the log may say of a moment, or of a number: 64 bits.
_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Missed = Literal["once", "all", "skip"]


class _Set(msgspec.Struct, frozen=True):
    key: str
    timer: str
    due_us: _Whole
    every_us: _Whole | None = None
    missed: _Missed = "once"


class _Cancelled(msgspec.Struct, frozen=True):
    key: str


class _Turned(msgspec.Struct, frozen=True):
    key: str
    timer: str
    occurrence: _Whole
    next_us: _Whole | None = None
    missed: _Whole = 0


_FORMS: Mapping[str, Any] = {SET: _Set, CANCELLED: _Cancelled, FIRED: _Turned, SKIPPED: _Turned}
_decoders = {name: msgspec.json.Decoder(form).decode for name, form in _FORMS.items()}
#: A snapshot has the id of a timer as a text, which stands first.
_Told = tuple[str, _Whole, _Whole, _Whole | None, _Missed]
_decode_all = msgspec.json.Decoder(dict[str, _Told]).decode
_encode = msgspec.json.Encoder().encode


def pending_of(actor: Any, key: str) -> Pending | None:
    """The timer of an actor that has this key, if one has."""
    packed: PackedTimers | None = actor._pending_timers
    return None if packed is None else find_packed(packed, key)


def all_pending(actor: Any) -> dict[str, Pending]:
    """All of an actor that are to fire, by key."""
    packed: PackedTimers | None = actor._pending_timers
    return {} if packed is None else all_packed(packed)


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


def cancels_nothing(actor: Any, made: Sequence[Any], cancel: Cancel, ended: str = "") -> bool:
    """Has no timer the key of a Cancel? It is yielded behind these events of its command, each with
    its payload in second place, and behind a firing that ends the timer of the key `ended`. Then
    the log has nothing to say of it."""
    for each in reversed(made):
        payload = each[1]
        if isinstance(payload, TimerSet | TimerCancelled) and payload.key == cancel.key:
            return isinstance(payload, TimerCancelled)
    return cancel.key == ended or pending_of(actor, cancel.key) is None


def fold_timer(actor: Any, event_type: str, event: Any) -> None:
    """What an event of timers, or its data by name, means for the pending timers of its actor."""
    packed: PackedTimers | None = actor._pending_timers
    key = event.key
    if event_type == SET:
        timer = timer_bytes(event.timer)
        pending = Pending(timer, event.due_us, 0, event.every_us, event.missed)
        actor._pending_timers = with_timer(packed, key, pending)
    elif packed is None:
        return
    elif event_type == CANCELLED:
        actor._pending_timers = without_timer(packed, key)
    elif (found := find_packed(packed, key)) and found.timer == timer_bytes(event.timer):
        if event.next_us is None:
            actor._pending_timers = without_timer(packed, key)
            return
        passed = event.missed if event_type == SKIPPED else event.missed + 1
        found = found._replace(due_us=event.next_us, occurrence=event.occurrence + passed)
        actor._pending_timers = with_timer(packed, key, found)


def fold_stored_timer(actor: Any, event_type: str, data: bytes) -> None:
    """The same for the text that the log has. One of a time without timers may have such types of
    its own: what has another form is none of ours."""
    try:
        event = _decoders[event_type](data)
        if event_type != CANCELLED:
            timer_bytes(event.timer)
    except ValueError:
        return
    fold_timer(actor, event_type, event)


def encode_pending(packed: PackedTimers) -> bytes:
    """As a snapshot keeps them: JSON, in one line."""
    told = {key: (one.id, *one[1:]) for key, one in all_packed(packed).items()}
    return _encode(told)


def decode_pending(text: bytes) -> PackedTimers | None:
    """What `encode_pending` made. Raises ValueError."""
    told = _decode_all(text)
    return pack_all({key: Pending(timer_bytes(one[0]), *one[1:]) for key, one in told.items()})
