"""A test kit for actors: given these events, when this command, then those events.

    Scenario(Thermostat).given(TemperatureReported(celsius=20.0)) \\
        .when(ReportTemperature(celsius=90.0)) \\
        .then(TemperatureReported(celsius=90.0), Overheated(celsius=90.0, limit=80.0))

Needs neither Ray nor Postgres; time is what `when(at=...)` says, and `advance`, which has timers
fire. It is as strict as a host and the log are: every event is encoded, read back and applied, and
so is the state written.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, Self, TypeVar

from pydantic import ValidationError

from actors.actor import Actor, Command, described
from actors.actor_type import Applier, Handler, nothing_applies
from actors.errors import InvalidActor, Rejected, UnreadableEvent
from actors.event import Event, Payload, json_text
from actors.folding import Unapplied, applier_of, apply_past, begun
from actors.ids import derived_id
from actors.lifecycle import LIFECYCLE, ActorWasErased, ActorWasStarted, ActorWasStopped
from actors.messages import Yielded
from actors.moments import checked_us, microseconds, moment_of
from actors.packed_timers import Pending
from actors.pending_timers import all_pending, cancels_nothing, fold_timer, turn_of
from actors.sameness import changed_fields
from actors.state_form import NotGivenBack
from actors.tell import Tell
from actors.timer_events import TIMER_CLASSES, TimerFired, TimerSet, TimerSkipped, is_timer_event
from actors.timers import Cancel, Schedule, span_us
from store.rows.read_back import stored
from store.rows.tells import check_yielded, stored_tell
from store.rows.timers import stored_cancel, stored_schedule

S = TypeVar("S")


class Scenario(Generic[S]):
    """One actor taken through events and commands. Steps chain, in any order.

    Raises InvalidActor for a class that is not well formed, for an event that nothing applies,
    for a handler that changes the state and for a state that has no JSON, or that this does not
    give back; InvalidData for an event
    that the log cannot hold (NaN, NUL characters, more than a mebibyte) or does not give back.
    """

    def __init__(self, actor: type[Actor[S]], name: str = "scenario") -> None:
        self._type = described(actor)
        self._actor = actor(name)
        self._yielded: list[Payload | Yielded] = []
        self._rejection: Rejected | None = None
        # Time: of the system, and of commands that do not say when they happened.
        self._now_us = self._at_us = 0
        self._messages: dict[str, Any] = {}  # of timers, by their ids
        self._stopped = False

    @property
    def state(self) -> S:
        """The state after all steps so far."""
        return self._actor.state

    @property
    def timers(self) -> dict[str, datetime]:
        """When each timer that is to fire is due, by key."""
        return {key: moment_of(one.due_us) for key, one in all_pending(self._actor).items()}

    def given(self, *payloads: Payload) -> Self:
        """Fold past events into the state, as they are read from the log; also those that say
        that the actor was stopped, started, or erased. Raises TypeError for what is no event."""
        for payload in payloads:
            if isinstance(payload, Command):
                name = type(payload).__name__
                raise TypeError(f"given takes events; send a command with when: .when({name}(...))")
        for payload in payloads:
            if isinstance(payload, ActorWasStopped | ActorWasStarted | ActorWasErased):
                self._stopped = not isinstance(payload, ActorWasStarted)
        self._apply([self._given(payload) for payload in payloads])
        return self

    def given_stored(
        self, event_type: str, data: Mapping[str, Any], *, schema_version: int = 1
    ) -> Self:
        """Fold a past event as an older release has stored it: its data, in JSON's types, of that
        schema version. Raises InvalidActor where nothing applies it or it cannot be read, and says
        of an upcaster which one fails. What the runtime has stored of the actor's life and of its
        timers is taken as a host takes it."""
        try:
            applier = applier_of(self._type, event_type)
        except Unapplied as error:
            raise InvalidActor(self._type.name, f"its log has {error}") from error
        ours = LIFECYCLE.get(event_type) or TIMER_CLASSES.get(event_type)
        if ours is not None:
            return self._given_ours(ours, data)
        if applier is None:
            return self
        try:
            payload = applier.schema.read_stored(json_text(dict(data)), schema_version)
        except (UnreadableEvent, ValidationError) as error:
            problem = f"its log has events that it cannot read: {error}"
            raise InvalidActor(self._type.name, problem) from error
        self._apply([payload])
        return self

    def _given_ours(self, ours: type[Payload], data: Mapping[str, Any]) -> Self:
        """A past event that the runtime has made, which has one schema for good."""
        try:
            payload = ours.model_validate_json(json_text(dict(data)))
        except ValidationError as error:
            problem = f"its log has events that it cannot read: {error}"
            raise InvalidActor(self._type.name, problem) from error
        if isinstance(payload, TimerSet):
            handler = self._type.handlers.get(payload.message_type)
            if handler is None:
                problem = (
                    f"its log has a timer for {payload.message_type!r}, which it does not handle"
                )
                raise InvalidActor(self._type.name, problem)
            self._messages[payload.timer] = handler.read(payload.message)
        if ours in LIFECYCLE.values():
            return self.given(payload)
        self._apply([payload])
        return self

    def when(self, command: Command | Event, *, at: datetime | None = None) -> Self:
        """Send a command that happened `at`, or when 1970 began, or to when time was advanced; a
        failure other than Rejected is raised. An event comes to the method that listens to it, and
        has its own moment.

        Raises AssertionError if the last command was rejected and no `then_rejected`
        said so, and if a timer is due before: it is to fire first (`advance`).
        """
        self._expect_no_rejection()
        if self._stopped:
            raise AssertionError(f"{self._actor.source} is stopped: it takes no commands")
        if isinstance(command, Event):
            return self._hear(command)
        handler = self._type.handlers.get(getattr(command, "message_type", ""))
        if handler is None or type(command) is not handler.message:
            raise AssertionError(f"{self._type.name} does not handle {command!r}")
        return self._decide(handler, command, self._at_us if at is None else microseconds(at))

    def advance(self, by: timedelta | float, *, down: bool = False) -> Self:
        """Let time pass, a timedelta or seconds: timers fire at their times, and `then` has what
        all of them have yielded. Where the system is `down` meanwhile, they fire when that is over,
        and those with `every` have missed some. Those of an actor that is stopped wait: they fire
        as time is advanced, by 0 perhaps, once it was started.

        Raises AssertionError as `when` does, also where one of several was rejected; TypeError and
        ValueError for what is no span.
        """
        self._expect_no_rejection()
        until_us = checked_us(self._now_us + span_us("what time is advanced by", by, 0))
        if down:
            self._now_us = until_us
        yielded: list[Payload | Yielded] = []
        while (first := self._first_due(until_us)) is not None:
            self._expect_no_rejection()
            key, pending = first
            self._now_us = max(self._now_us, pending.due_us)
            self._fire(key, pending)
            yielded += self._yielded
        self._now_us = self._at_us = until_us
        self._yielded = yielded
        return self

    def _first_due(self, until_us: int) -> tuple[str, Pending] | None:
        pending = {} if self._stopped else all_pending(self._actor)
        due = [(key, one) for key, one in pending.items() if one.due_us <= until_us]
        return min(due, key=lambda each: (each[1].due_us, each[0]), default=None)

    def _fire(self, key: str, pending: Pending) -> None:
        turn = turn_of(pending, self._now_us)
        told: dict[str, Any] = {
            "key": key,
            "timer": pending.id,
            "occurrence": pending.occurrence,
            "due_us": pending.due_us,
            "missed": turn.missed,
            "next_us": turn.next_us,
        }
        self._yielded = []
        if not turn.fires:
            self._apply([TimerSkipped(**told)])
            return
        message = self._messages[pending.id]
        handler = self._type.handlers[message.message_type]
        self._decide(handler, message, self._now_us, fired=TimerFired(**told))

    def _hear(self, event: Event) -> Self:
        for listener in self._type.listeners:
            if listener.listening.wants(event) and self._actor.name in listener.listening.names(
                event
            ):
                return self._decide(listener, event, event.timestamp_us)
        raise AssertionError(
            f"{self._actor.source} does not listen to {event.event_type} of {event.source}, or "
            "that names another actor"
        )

    def _decide(
        self, handler: Handler, command: Any, at_us: int, *, fired: TimerFired | None = None
    ) -> Self:
        """Run it; what has `fired` is applied before what it yields, whatever becomes of it."""
        if due := self._first_due(at_us - 1) if fired is None else None:
            problem = f"the timer {due[0]!r} is due before: let it fire first, advance(...)"
            raise AssertionError(problem)
        self._now_us = max(self._now_us, at_us)
        self._actor.at_us, self._yielded = at_us, []
        before = self._type.states.text(self._actor.state)
        ended = fired.key if fired is not None and fired.next_us is None else ""
        each: list[tuple[Any, Payload | None]] = []
        try:
            # Each as it is yielded, and all before any is applied, as a host does.
            yielded = handler.decide(self._actor, command) or ()
            for one in self._each(handler, yielded):
                nothing = isinstance(one, Cancel) and cancels_nothing(self._actor, each, one, ended)
                each.append((one, None if nothing else self._stored(one)))
        except Rejected as rejection:
            self._rejection = rejection
        self._check_unchanged(handler, before)
        # A Tell is shown as it was yielded, and applied as the event that it makes; so are timers.
        self._yielded = [
            one if isinstance(one, Yielded) or event is None else event for one, event in each
        ]
        made = [event for _, event in each if event is not None]
        self._apply(made if fired is None else [fired, *made])
        return self

    def then(self, *payloads: Payload | Yielded) -> Self:
        """The last command, or all timers of the last `advance`, yielded exactly these payloads,
        Tells and timers, in this order."""
        self._expect_no_rejection()
        if self._yielded != list(payloads):
            raise AssertionError(f"expected {list(payloads)}\n but got {self._yielded}")
        return self

    def then_rejected(self, reason: str = "") -> Self:
        """The last command was rejected, with `reason` somewhere in its reason."""
        rejection, self._rejection = self._rejection, None
        if rejection is None:
            raise AssertionError(f"expected a rejection, got {self._yielded}")
        if reason not in rejection.reason:
            raise AssertionError(f"expected a rejection for {reason!r}, got {rejection.reason!r}")
        return self

    def end(self) -> None:
        """Nothing follows. Raises AssertionError if the last command was rejected and no
        `then_rejected` said so."""
        self._expect_no_rejection()

    def _expect_no_rejection(self) -> None:
        if self._rejection is not None:
            raise AssertionError(f"the command was rejected: {self._rejection.reason}")

    def _each(self, handler: Handler, yielded: Iterable[Any]) -> Iterator[Any]:
        returned: object = yield from yielded  # type: ignore[func-returns-value]
        if returned is not None:
            name = handler.decide.__name__
            problem = f"returns {returned!r:.80} among its yields, where nobody takes it: yield it"
            raise InvalidActor(self._type.name, f"{name} {problem}")

    def _check_unchanged(self, handler: Handler, before: str) -> None:
        """Raises InvalidActor where a handler has changed the state, by whatever name it had for
        a part of it."""
        states, state = self._type.states, self._actor.state
        if states.text(state) == before:
            return
        fields = changed_fields(states.read(before), state) or ["its state"]
        raise InvalidActor(
            self._type.name,
            f"{handler.decide.__name__} changes {', '.join(fields)}, which no event would tell: "
            "yield an event, and change the state in the method that applies it",
        )

    def _check_changed_in_place(self, applier: Applier, returned: object) -> None:
        """Raises InvalidActor where an applier returns a new state."""
        if returned is not self._actor.state and type(returned) is self._type.actor.state_type:
            problem = "returns a state, which nobody takes: an applier changes self.state"
            raise InvalidActor(self._type.name, f"{applier.apply.__name__} {problem}")

    def _given(self, payload: Any) -> Payload:
        if type(payload) not in LIFECYCLE.values():
            return self._stored(payload)
        event: Payload = stored(payload, type(payload))[1]
        return event

    def _stored(self, payload: Any) -> Payload:
        """An event as the log gives it back."""
        if isinstance(payload, Tell):
            return stored_tell(payload)[1]
        if isinstance(payload, Cancel):
            return stored_cancel(payload)[1]
        if isinstance(payload, Schedule):
            return self._scheduled(payload)
        if hasattr(payload, "kind") and not self._type.folds(payload.event_type):
            raise InvalidActor(self._type.name, f"it has {nothing_applies(type(payload))}")
        check_yielded(self._type, payload)
        applier = self._type.appliers.get(payload.event_type)
        event: Payload
        _, event = stored(payload, applier.payload if applier else type(payload))
        return event

    def _scheduled(self, schedule: Schedule) -> TimerSet:
        """The event of a timer, whose message is kept as the log gives it back."""
        timer = derived_id(0, len(self._messages).to_bytes(8, "big"))
        event = stored_schedule(self._type, schedule, timer, self._now_us)[1]
        self._messages[event.timer] = self._type.handlers[event.message_type].read(event.message)
        return event

    def _apply(self, payloads: Iterable[Payload]) -> None:
        """All of them at one moment, that of the last command; by then it was checked that each has
        an applier or needs none."""
        at_us = self._actor.at_us
        for payload in payloads:
            if isinstance(payload, ActorWasErased):
                self._actor = begun(self._type, self._actor.source)
            if is_timer_event(payload.event_type, payload.kind):
                fold_timer(self._actor, payload.event_type, payload)
            applier = applier_of(self._type, payload.event_type)
            if applier is not None:
                returned = apply_past(applier, self._actor, payload, at_us)
                self._check_changed_in_place(applier, returned)
        try:
            self._type.states.snapshot(self._actor.state)
        except NotGivenBack as error:
            problem = f"its state would not come back out of a snapshot: {error}"
            raise InvalidActor(self._type.name, problem) from error
        except Exception as error:
            problem = f"its state cannot be written as JSON: {error}"
            raise InvalidActor(self._type.name, problem) from error
