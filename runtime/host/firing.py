"""Timers in a host: what a Schedule of a handler becomes, and what is done when its time has come.

Whoever fires timers (runtime/processing/timekeeping.py) sends a command of the type FIRE. It is
held against the pending timers of its actor, which follow from the log: one that was cancelled,
whose key was set anew, or that has fired, has no effect any more. Otherwise a TimerFired is
written, and behind it the events of the message's handler, as those of one command. Nothing fires
before its time by the clock of this host, from whose `now` the span of a Schedule counted.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec
from pydantic import ValidationError

from actors.actor_type import ActorType
from actors.errors import Rejected, ThornbackError
from actors.event import Payload
from actors.ids import derived_id, event_id
from actors.packed_timers import Pending
from actors.pending_timers import Turn, cancels_nothing, fold_timer, pending_of, turn_of
from actors.timer_events import TimerCancelled, TimerFired, TimerSet, TimerSkipped
from actors.timers import Cancel, Schedule
from runtime.clocks import NodeClock
from runtime.errors import HandlerBlocked, InvalidMessage, UnknownMessage
from runtime.host.batch import Attempt
from runtime.host.blocked import Found
from runtime.host.failing_code import own_frames
from runtime.host.interruptible import Interruptible
from runtime.host.misfits import misfit_message
from runtime.host.resident import FAILURES, Resident
from runtime.wire.commands import CAUSATION_ID, CORRELATION_ID, DATA, FIRE, ID
from runtime.wire.error_codec import encode_error, message_of_error, text_of_error
from runtime.wire.values import pack_value
from store.errors import InvalidData
from store.rows.json_text import decode_json, encode_payload
from store.rows.timers import stored_cancel, stored_schedule

#: Letters of a reason that are kept.
MAX_REASON = 2_000
#: Timers of one attempt of which it is told where their messages were rejected.
MOST_FRAMES = 10


class EventType(Protocol):
    """What a decider knows of the events of one class, for one actor type."""

    name: str
    fields: bytes
    encode: Callable[..., bytes]
    apply: Callable[[Any, Any], None] | None
    open: Any


class Deciding(Protocol):
    """The decider, as its timers see it."""

    clock: NodeClock
    work: Interruptible  #: that it is doing

    def event_type(self, resident: Resident, payload: Any) -> Any:
        """What it knows of the events of a class. Raises TypeError for what is no event."""

    def timer_type(self, resident: Resident, event: type[Payload]) -> Any:
        """The same for events that no handler yields."""

    def stored(self, attempt: Attempt, index: int, resident: Resident, count: int) -> None:
        """The last rows of an attempt, so many, are the events of a command."""


class Wanted(msgspec.Struct, array_like=True, frozen=True):
    """What is to fire: the data of a FIRE."""

    key: str
    timer: str
    occurrence: int
    message_type: str
    message: bytes  #: JSON text


class Made(NamedTuple):
    """An event that is to be stored."""

    type: EventType
    payload: Payload
    text: bytes


class Outcome(NamedTuple):
    """What the message of a timer has led to: events, or an error."""

    events: Sequence[Made]
    error: BaseException | None = None


class Timers:
    """Of one host; the line of work alone calls it."""

    def __init__(
        self,
        decider: Deciding,
        failed: Callable[..., None],
        now_us: Callable[[], int],
        *,
        most_bytes: int,
    ) -> None:
        """`failed` says what is done with an actor whose code has failed; `most_bytes` is what the
        rows of one command may take."""
        self._decider, self._failed, self._now_us = decider, failed, now_us
        self._most_bytes = most_bytes
        self._set = 0  #: so many timers, in the life of this host

    def opening(self, actor: ActorType, yielded: type) -> Callable[[Any], tuple[bytes, Payload]]:
        """What makes an event, and its text, of a Schedule or a Cancel of an actor type."""
        return stored_cancel if yielded is Cancel else partial(self._schedule, actor)

    def fire(self, attempt: Attempt, index: int, resident: Resident) -> None:
        """Decide one FIRE; its outcome is left in the attempt."""
        command = attempt.batch.commands[index]
        try:
            wanted = msgspec.convert(command[DATA], Wanted)
        except msgspec.ValidationError as error:
            attempt.failed(index, InvalidMessage(resident.source, FIRE, str(error)))
            return
        pending = pending_of(resident.actor, wanted.key)
        if pending is None or (pending.id, pending.occurrence) != (
            wanted.timer,
            wanted.occurrence,
        ):
            attempt.in_vain.append(index)  # the log may have it as fired, by this very command
            return
        now_us = self._now_us()
        if now_us < pending.due_us:
            attempt.values[index] = pack_value({"early_us": pending.due_us - now_us})
            return
        turn = turn_of(pending, now_us)
        if turn.fires and wanted.message_type not in resident.handlers:
            # It waits: perhaps this host has an older class, or the class is to come.
            known = ", ".join(resident.type.commands) if resident.type else ""
            unknown = UnknownMessage(resident.source, wanted.message_type, known)
            attempt.without_effect(index, unknown)
            return
        resident.batch = attempt.batch.number
        outcome = Outcome(())
        if found := self._decider.work.blocked.command(command):
            outcome = self._not_run(attempt, index, resident, found)
        elif turn.fires:
            ended = wanted.key if turn.next_us is None else ""
            outcome = self._decided(attempt, index, resident, wanted, ended, now_us)
        self._store(attempt, index, resident, wanted, pending, turn, outcome, now_us)

    def _schedule(self, actor: ActorType, schedule: Schedule) -> tuple[bytes, TimerSet]:
        now_us = self._now_us()
        self._set += 1
        assert self._decider.work.at is not None
        key = self._decider.work.at[ID] + b"timer" + self._set.to_bytes(8, "big")
        timer = derived_id(now_us // 1000, key)
        return stored_schedule(actor, schedule, timer, now_us)

    def _decided(
        self,
        attempt: Attempt,
        index: int,
        resident: Resident,
        wanted: Wanted,
        ended: str,
        now_us: int,
    ) -> Outcome:
        """Run the handler of a timer's message; nothing is applied yet. There is no timer of the
        key `ended` any more."""
        handler, actor = resident.handlers[wanted.message_type], resident.actor
        actor.at_us = now_us
        made: list[Made] = []
        size = 0
        message = None
        try:
            message = handler.read(decode_json(wanted.message))
            for yielded in handler.decide(actor, message) or ():
                payload = yielded
                event_type = self._decider.event_type(resident, payload)
                if isinstance(payload, Cancel) and cancels_nothing(actor, made, payload, ended):
                    continue
                if event_type.open is None:
                    text = encode_payload(event_type.name, payload)
                else:
                    text, payload = event_type.open(payload)
                size += len(text)
                if size > self._most_bytes:
                    raise InvalidData(event_type.name, "the events of its timer take too much")
                made.append(Made(event_type, payload, text))
        except (Rejected, InvalidData) as error:
            return self._untold(attempt, index, error)
        except FAILURES as error:
            if message is None and isinstance(error, ValidationError):
                misfit = misfit_message(error, resident.source, wanted.message_type)
                return self._untold(attempt, index, misfit)
            self._failed(attempt, index, resident, error)
            attempt.took_effect(index)  # it has fired all the same, and the log says so
            return Outcome((), error)
        return Outcome(made)

    def _not_run(self, attempt: Attempt, index: int, resident: Resident, found: Found) -> Outcome:
        """It is known to block: the message's handler, or what the actor applies the timer by."""
        self._failed(attempt, index, resident, found.error())
        self._decider.work.blocked.judged(found)
        attempt.took_effect(index)
        return Outcome((), found.error())

    def _untold(self, attempt: Attempt, index: int, error: Exception) -> Outcome:
        attempt.untold[index] = encode_error(error)
        if len(attempt.raised) < MOST_FRAMES:
            attempt.raised[index] = own_frames(error)
        return Outcome((), error)

    def _store(
        self,
        attempt: Attempt,
        index: int,
        resident: Resident,
        wanted: Wanted,
        pending: Pending,
        turn: Turn,
        outcome: Outcome,
        now_us: int,
    ) -> None:
        """Put what the log is to say into the attempt, and apply it."""
        try:
            first = self._first(resident, wanted, pending, turn, outcome.error)
            if isinstance(outcome.error, HandlerBlocked):
                _fold(attempt, resident, first)
            else:
                _apply(resident, first)
        except FAILURES as error:  # the actor applies it, and fails: nothing has happened
            self._failed(attempt, index, resident, error, state_spoilt=True)
            attempt.untold.pop(index, None)
            return
        events = outcome.events
        try:
            for each in events:
                _apply(resident, each)
        except FAILURES as error:
            self._failed(attempt, index, resident, error, state_spoilt=True)
            attempt.took_effect(index)
            events = ()
            first = self._first(resident, wanted, pending, turn, error)
        self._put(attempt, index, resident, [first, *events], now_us)

    def _first(
        self,
        resident: Resident,
        wanted: Wanted,
        pending: Pending,
        turn: Turn,
        error: BaseException | None,
    ) -> Made:
        """The event that says what has become of the timer."""
        event: TimerFired | TimerSkipped
        if turn.fires:
            event = TimerFired(
                key=wanted.key,
                timer=wanted.timer,
                occurrence=wanted.occurrence,
                due_us=pending.due_us,
                missed=turn.missed,
                next_us=turn.next_us,
                error=None if error is None else _name_of(error),
                reason=None if error is None else _kept(_reason_of(error)),
            )
        else:
            assert turn.next_us is not None
            event = TimerSkipped(
                key=wanted.key,
                timer=wanted.timer,
                occurrence=wanted.occurrence,
                due_us=pending.due_us,
                missed=turn.missed,
                next_us=turn.next_us,
            )
        event_type = self._decider.timer_type(resident, type(event))
        return Made(event_type, event, encode_payload(event_type.name, event))

    def _put(
        self,
        attempt: Attempt,
        index: int,
        resident: Resident,
        events: Sequence[Made],
        now_us: int,
    ) -> None:
        clock, command = self._decider.clock, attempt.batch.commands[index]
        command_id = command[ID]
        for number, each in enumerate(events):
            clock.ticks += 1
            resident.version += 1
            attempt.rows.append(
                each.type.encode(
                    event_id(command_id, number),
                    resident.aggregate_id,
                    resident.version,
                    now_us,
                    each.type.fields,
                    resident.source_field,
                    each.text,
                    clock.prefix,
                    clock.ticks,
                    command[CORRELATION_ID] or command_id,
                    command[CAUSATION_ID] or command_id,
                )
            )
            attempt.types.append(each.type.name)
        self._decider.stored(attempt, index, resident, len(events))


def applying(applier: Callable[[Any, Any], None] | None) -> Callable[[Any, Any], None]:
    """What applies an event of timers: to the pending ones, and then by the actor's own method, if
    it has one."""

    def apply(actor: Any, event: Any) -> None:
        fold_timer(actor, event.event_type, event)
        if applier is not None:
            applier(actor, event)

    return apply


#: What a handler yields of timers, and what that becomes.
YIELDED: dict[type, type[Payload]] = {Schedule: TimerSet, Cancel: TimerCancelled}


def _apply(resident: Resident, made: Made) -> None:
    if made.type.apply is not None:
        made.type.apply(resident.actor, made.payload)


def _fold(attempt: Attempt, resident: Resident, made: Made) -> None:
    """Apply it to the pending timers alone, since the actor's own method may be what blocks. An
    actor that has one is rebuilt before it decides anything, as one whose past may block."""
    fold_timer(resident.actor, made.type.name, made.payload)
    if resident.type is not None and made.type.name in resident.type.appliers:
        resident.ready = False
        attempt.rebuild.add(resident.source)


def _name_of(error: BaseException) -> str:
    """A failure of an actor's code is told as whoever sends commands is told of it."""
    return type(error).__name__ if isinstance(error, ThornbackError) else "HandlerFailed"


def _reason_of(error: BaseException) -> str:
    """Of a failure with the name of what was raised, as whoever sends commands is told."""
    return (message_of_error if isinstance(error, ThornbackError) else text_of_error)(error)


def _kept(reason: str) -> str:
    """As much of it as the log can hold."""
    text = reason.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]} ..."
