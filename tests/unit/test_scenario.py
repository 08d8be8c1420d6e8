"""The test kit itself: what it should pass passes, and what it should fail fails."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor, Rejected
from actors.event import DeviceEvent, Payload
from actors.lifecycle import ActorHasFailed, ActorWasStarted, ActorWasStopped
from store.scenario import Scenario


class Fill(Command):
    litres: int


class Drain(Command):
    """Not handled by anybody."""


class Filled(DeviceEvent):
    litres: int


class Overflowed(DeviceEvent):
    hour: int


class TankState(BaseModel):
    litres: int = 0


class Tank(Actor[TankState]):
    """Holds ten litres."""

    ignores = (Overflowed,)

    @handles
    def fill(self, message: Fill) -> Iterator[Payload]:
        if message.litres == 0:
            raise Rejected("nothing to fill in")
        if message.litres < 0:
            raise ValueError("less than nothing")
        yield Filled(litres=message.litres)
        if self.state.litres + message.litres > 10:
            yield Overflowed(hour=self.now.hour)

    @applies
    def filled(self, event: Filled) -> None:
        self.state.litres += event.litres


def with_more(state: TankState, litres: int) -> TankState:
    return TankState(litres=state.litres + litres)


class Tub(Tank):
    """Makes its next state where its own code does not show it."""

    actor_type = "tub"

    @applies
    def filled(self, event: Filled) -> None:
        return with_more(self.state, event.litres)  # type: ignore[return-value]


def test_a_state_that_an_applier_returns_is_told_to_whoever_gave_the_event() -> None:
    with pytest.raises(InvalidActor, match="filled returns a state, which nobody takes"):
        Scenario(Tub).given(Filled(litres=3))


def test_a_scenario_goes_from_past_events_over_commands_to_new_events() -> None:
    scenario = (
        Scenario(Tank)
        .given(Filled(litres=3), Filled(litres=4))
        .when(Fill(litres=1))
        .then(Filled(litres=1))
        .when(Fill(litres=5), at=datetime(2013, 1, 1, 17, tzinfo=UTC))
        .then(Filled(litres=5), Overflowed(hour=17))
        .when(Fill(litres=0))
        .then_rejected("nothing")
    )
    assert scenario.state == TankState(litres=13)


@pytest.mark.parametrize(
    "expected",
    [
        (),
        (Filled(litres=2),),
        (Filled(litres=1), Filled(litres=1)),
        (Overflowed(hour=0),),
    ],
    ids=repr,
)
def test_then_fails_for_anything_but_exactly_what_was_yielded(
    expected: tuple[Payload, ...],
) -> None:
    scenario = Scenario(Tank).when(Fill(litres=1))
    with pytest.raises(AssertionError, match=r"but got \[Filled\(litres=1\)\]"):
        scenario.then(*expected)


def test_then_fails_for_the_right_events_in_the_wrong_order() -> None:
    scenario = Scenario(Tank).when(Fill(litres=11))
    with pytest.raises(AssertionError):
        scenario.then(Overflowed(hour=0), Filled(litres=11))


def test_then_fails_after_a_rejection() -> None:
    scenario = Scenario(Tank).when(Fill(litres=0))
    with pytest.raises(AssertionError, match="rejected: nothing to fill in"):
        scenario.then()


def test_a_rejection_that_nobody_expected_fails_at_the_next_command() -> None:
    scenario = Scenario(Tank).when(Fill(litres=0))
    with pytest.raises(AssertionError, match="rejected: nothing to fill in"):
        scenario.when(Fill(litres=1))


def test_then_rejected_fails_where_nothing_was_rejected() -> None:
    scenario = Scenario(Tank).when(Fill(litres=1))
    with pytest.raises(AssertionError, match=r"expected a rejection, got \[Filled"):
        scenario.then_rejected()


def test_then_rejected_fails_for_another_reason() -> None:
    scenario = Scenario(Tank).when(Fill(litres=0))
    with pytest.raises(AssertionError, match="expected a rejection for 'too full', got 'nothing"):
        scenario.then_rejected("too full")


def test_a_rejection_is_expected_once() -> None:
    scenario = Scenario(Tank).when(Fill(litres=0)).then_rejected()
    with pytest.raises(AssertionError, match="expected a rejection"):
        scenario.then_rejected()


def test_a_rejected_or_failed_command_leaves_the_state_alone() -> None:
    scenario = Scenario(Tank).given(Filled(litres=3)).when(Fill(litres=0)).then_rejected()
    with pytest.raises(ValueError, match="less than nothing"):
        scenario.when(Fill(litres=-1))
    assert scenario.state.litres == 3


def test_a_command_that_nobody_handles_fails() -> None:
    with pytest.raises(AssertionError, match="tank does not handle Drain"):
        Scenario(Tank).when(Drain())


def test_a_command_among_the_past_is_told_where_it_belongs() -> None:
    with pytest.raises(TypeError, match=r"given takes events; send a command with when: .*Fill\("):
        Scenario(Tank).given(Fill(litres=3))  # type: ignore[arg-type]


class Store(Command):
    key: str


class Stored(DeviceEvent):
    key: str


class ShelfState(BaseModel):
    counts: dict[str, int] = {}
    last: int = 0


class Shelf(Actor[ShelfState]):
    """Changes its state by another name, which its code does not show."""

    @handles
    def store(self, message: Store) -> Iterator[Stored]:
        counts = self.state.counts
        yield Stored(key=message.key)
        if message.key == "changed":
            counts[message.key] = 1
        if message.key == "rejected":
            counts[message.key] = 1
            raise Rejected("no")

    @applies
    def stored(self, event: Stored) -> None:
        if event.key == "text":
            setattr(self.state, "last", "3")  # noqa: B010 - as an untyped program does
        self.state.counts[event.key] = self.state.counts.get(event.key, 0) + 1


@pytest.mark.parametrize("key", ["changed", "rejected"])
def test_a_handler_that_changes_the_state_is_named_with_the_field(key: str) -> None:
    scenario = Scenario(Shelf).given(Stored(key="a")).when(Store(key="b"))
    with pytest.raises(InvalidActor, match=r"shelf: .*store changes counts, which no event"):
        scenario.when(Store(key=key))


def test_a_state_of_a_wrong_type_is_told_at_the_step_that_made_it() -> None:
    scenario = Scenario(Shelf).given(Stored(key="a"))
    with pytest.raises(InvalidActor, match=r"last is a str and comes back as a int"):
        scenario.when(Store(key="text"))


class Reader(Actor[TankState]):
    ignores = (Filled,)

    @handles
    def fill(self, message: Fill) -> Iterator[Payload]:
        yield Filled(litres=1)
        yield from self.more(message)
        return (yield from self.more(message))

    def more(self, message: Fill) -> Iterator[Payload]:
        yield Filled(litres=message.litres)
        return message.litres or None  # type: ignore[return-value]


def test_what_a_handler_returns_among_its_yields_is_told() -> None:
    scenario = Scenario(Reader).when(Fill(litres=0)).then(*map(_filled, (1, 0, 0)))
    with pytest.raises(InvalidActor, match="fill returns 2 among its yields"):
        scenario.when(Fill(litres=2))


def _filled(litres: int) -> Filled:
    return Filled(litres=litres)


def test_whoever_was_stopped_takes_commands_again_when_it_was_started() -> None:
    stop = ActorWasStopped(reason="it failed", message_type="fill", failure="ValueError")
    scenario = Scenario(Tank).given(Filled(litres=3), stop)
    with pytest.raises(AssertionError, match="tank/scenario is stopped"):
        scenario.when(Fill(litres=1))
    scenario.given(
        ActorWasStarted(), ActorHasFailed(message_type="fill", failure="", became="restart")
    )
    scenario.when(Fill(litres=1)).then(Filled(litres=1))
    assert scenario.state.litres == 4


def test_a_handler_that_says_what_becomes_of_its_actor_is_refused() -> None:
    class Usurper(Tank):
        @handles
        def fill(self, message: Fill) -> Iterator[Payload]:
            yield ActorWasStopped(reason="so I say")

    with pytest.raises(TypeError, match="the runtime alone says what becomes of it"):
        Scenario(Usurper).when(Fill(litres=1))


def test_an_actor_may_apply_that_it_was_stopped() -> None:
    class Known(Tank):
        @applies
        def stopped(self, event: ActorWasStopped) -> None:
            self.state.litres = 0

    assert Scenario(Known).given(Filled(litres=3), ActorWasStopped(reason="")).state.litres == 0
