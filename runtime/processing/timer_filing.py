"""What events of timers mean for the table of those that are to fire."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from actors.event import Event, Kind
from actors.timer_events import CANCELLED, FIRED, SET, SKIPPED
from store.rows.json_text import encode_json
from store.timers import Timer, TimerChanges, TimerMove


class _Set(msgspec.Struct, frozen=True):
    key: str
    timer: UUID
    due_us: int
    message_type: str
    message: dict[str, Any]


class _Cancelled(msgspec.Struct, frozen=True):
    key: str


class _Turned(msgspec.Struct, frozen=True):
    key: str
    timer: UUID
    occurrence: int
    due_us: int
    next_us: int | None = None
    missed: int = 0


_FORMS: dict[str, Any] = {SET: _Set, CANCELLED: _Cancelled, FIRED: _Turned, SKIPPED: _Turned}

#: What becomes of one timer: it is another one, it moves, or it is gone.
_Change = Timer | TimerMove | None


class Filing:
    """Some events of timers, in the order of the log."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], _Change] = {}
        self.late_us: list[int] = []  #: of each that has fired, how late that was

    def add(self, event: Event) -> None:
        """The next one. A user's own events may have such a type: what has another form is none of
        ours."""
        form = _FORMS.get(event.event_type)
        if form is None or event.kind is not Kind.SYSTEM:
            return
        try:
            told: Any = msgspec.convert(event.data, form)
        except msgspec.ValidationError:
            return
        name = event.source, told.key
        if event.event_type == SET:
            self._changes[name] = _timer(event, told)
        elif event.event_type == CANCELLED:
            self._changes[name] = None
        else:
            self._turned(event, told)

    def add_late(self, timers: Iterable[tuple[Timer, int]]) -> None:
        """These could not be fired, and are to be looked at later, at a moment each."""
        for timer, look_us in timers:
            self._changes[timer.source, timer.key] = TimerMove(
                timer.source, timer.key, timer.timer, timer.occurrence, timer.due_us, look_us
            )

    def changes(self) -> TimerChanges | None:
        """What they come to; None for nothing."""
        if not self._changes:
            return None
        made = TimerChanges([], [], [])
        for name, change in self._changes.items():
            if change is None:
                made.gone.append(name)
            elif isinstance(change, Timer):
                made.kept.append(change)
            else:
                made.moved.append(change)
        return made

    def _turned(self, event: Event, told: _Turned) -> None:
        name = event.source, told.key
        if event.event_type == FIRED:
            self.late_us.append(event.timestamp_us - told.due_us)
        if told.next_us is None:
            self._changes[name] = None
            return
        occurrence = told.occurrence + told.missed + (event.event_type == FIRED)
        before = self._changes.get(name)
        if isinstance(before, Timer):  # it was set in these very events
            self._changes[name] = before._replace(
                occurrence=occurrence, due_us=told.next_us, look_us=told.next_us
            )
            return
        self._changes[name] = TimerMove(
            event.source, told.key, told.timer.bytes, occurrence, told.next_us, told.next_us
        )


def _timer(event: Event, told: _Set) -> Timer:
    correlation = event.correlation_id
    return Timer(
        source=event.source,
        key=told.key,
        timer=told.timer.bytes,
        event_id=event.id_bytes,
        correlation_id=None if correlation is None else correlation.bytes,
        occurrence=0,
        due_us=told.due_us,
        look_us=told.due_us,
        message_type=told.message_type,
        message=_text(told.message),
    )


def _text(message: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(message)
    except (ValueError, OverflowError):  # an integer beyond 64 bits, say
        return encode_json(SET, message)
