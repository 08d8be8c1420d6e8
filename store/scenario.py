"""A test kit for actors: given these events, when this command, then those events.

    Scenario(Thermostat).given(TemperatureReported(celsius=20.0)) \\
        .when(ReportTemperature(celsius=90.0)) \\
        .then(TemperatureReported(celsius=90.0), Overheated(celsius=90.0, limit=80.0))

Needs neither Ray nor Postgres; time is what `when(at=...)` says. It is as strict as a host and
the log are: every event is encoded, read back and applied, and so is the state written.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from actors.actor import Actor, Command, described
from actors.actor_type import Handler, nothing_applies
from actors.errors import InvalidActor, Rejected
from actors.event import Event, Payload
from actors.moments import EPOCH, microseconds
from actors.sameness import changed_fields
from actors.state_form import NotGivenBack
from actors.tell import Tell
from store.rows.read_back import stored
from store.rows.tells import check_yielded, stored_tell

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
        self._yielded: list[Payload | Tell] = []
        self._rejection: Rejected | None = None

    @property
    def state(self) -> S:
        """The state after all steps so far."""
        return self._actor.state

    def given(self, *payloads: Payload) -> Self:
        """Fold past events into the state, as they are read from the log. Raises TypeError for
        what is no event."""
        for payload in payloads:
            if isinstance(payload, Command):
                name = type(payload).__name__
                raise TypeError(f"given takes events; send a command with when: .when({name}(...))")
        self._apply([self._stored(payload) for payload in payloads])
        return self

    def when(self, command: Command | Event, *, at: datetime = EPOCH) -> Self:
        """Send a command that happened `at`; a failure other than Rejected is raised. An event
        comes to the method that listens to it, and has its own moment.

        Raises AssertionError if the last command was rejected and no `then_rejected`
        said so.
        """
        self._expect_no_rejection()
        if isinstance(command, Event):
            return self._hear(command)
        handler = self._type.handlers.get(getattr(command, "message_type", ""))
        if handler is None or type(command) is not handler.message:
            raise AssertionError(f"{self._type.name} does not handle {command!r}")
        return self._decide(handler, command, microseconds(at))

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

    def _decide(self, handler: Handler, command: Any, at_us: int) -> Self:
        self._actor.at_us, self._yielded = at_us, []
        before = self._type.states.text(self._actor.state)
        each: list[tuple[Any, Payload]] = []
        try:
            # Each as it is yielded, and all before any is applied, as a host does.
            yielded = handler.decide(self._actor, command) or ()
            each = [(one, self._stored(one)) for one in self._each(handler, yielded)]
        except Rejected as rejection:
            self._rejection = rejection
        self._check_unchanged(handler, before)
        # A Tell is shown as it was yielded, and applied as the event that it makes.
        self._yielded = [one if isinstance(one, Tell) else event for one, event in each]
        self._apply([event for _, event in each])
        return self

    def then(self, *payloads: Payload | Tell) -> Self:
        """The last command yielded exactly these payloads and Tells, in this order."""
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

    def _stored(self, payload: Any) -> Payload:
        """An event as the log gives it back."""
        if isinstance(payload, Tell):
            return stored_tell(payload)[1]
        if hasattr(payload, "kind") and not self._type.folds(payload.event_type):
            raise InvalidActor(self._type.name, f"it has {nothing_applies(type(payload))}")
        check_yielded(self._type, payload)
        applier = self._type.appliers.get(payload.event_type)
        event: Payload
        _, event = stored(payload, applier.payload if applier else type(payload))
        return event

    def _apply(self, payloads: Iterable[Payload]) -> None:
        for payload in payloads:
            applier = self._type.appliers.get(payload.event_type)
            if applier is not None:
                returned = applier.apply(self._actor, payload)  # type: ignore[func-returns-value]
                if (
                    returned is not self._actor.state
                    and type(returned) is self._type.actor.state_type
                ):
                    name = applier.apply.__name__
                    problem = "returns a state, which nobody takes: an applier changes self.state"
                    raise InvalidActor(self._type.name, f"{name} {problem}")
        try:
            self._type.states.snapshot(self._actor.state)
        except NotGivenBack as error:
            problem = f"its state would not come back out of a snapshot: {error}"
            raise InvalidActor(self._type.name, problem) from error
        except Exception as error:
            problem = f"its state cannot be written as JSON: {error}"
            raise InvalidActor(self._type.name, problem) from error
