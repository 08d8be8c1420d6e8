"""The mistakes of a first day: each is told in one line that names the thing and what to do."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor, Rejected
from actors.event import DeviceEvent, Payload
from store.errors import InvalidData
from store.scenario import Scenario


class Plug(Command):
    """A car is plugged in."""


class Unplug(Command):
    """It leaves."""


class Plugged(DeviceEvent):
    by: Any = "car"


class Unplugged(DeviceEvent):
    """It has left."""


class Told(Payload):
    """An event of no kind."""


class Charge(BaseModel):
    cars: Any = 0


def returns_an_event() -> None:
    class Charger(Actor[Charge]):
        ignores = (Plugged,)

        @handles
        def plug(self, message: Plug) -> Plugged:
            return Plugged()

    Charger.described()


def returns_an_event_unsaid() -> None:
    class Charger(Actor[Charge]):
        ignores = (Plugged,)

        @handles
        def plug(self, message: Plug) -> Any:
            return Plugged()

    Scenario(Charger).when(Plug())


def decides_async() -> None:
    class Charger(Actor[Charge]):
        @handles
        async def plug(self, message: Plug) -> None: ...

    Charger.described()


def decides_async_and_yields() -> None:
    class Charger(Actor[Charge]):
        @handles
        async def plug(self, message: Plug) -> Any:
            yield Plugged()

    Charger.described()


def takes_a_union() -> None:
    class Charger(Actor[Charge]):
        @handles
        def plug(self, message: Plug | Unplug) -> None: ...

    Charger.described()


def yields_what_nothing_applies() -> None:
    class Charger(Actor[Charge]):
        @handles
        def plug(self, message: Plug) -> Iterator[Plugged | Unplugged]:
            yield Plugged()

        @applies
        def plugged(self, event: Plugged) -> None: ...

    Charger.described()


def yields_unsaid_what_nothing_applies() -> None:
    class Charger(Actor[Charge]):
        @handles
        def plug(self, message: Plug) -> Iterator[Payload]:
            yield Unplugged()

    Scenario(Charger).when(Plug())


def is_given_what_nothing_applies() -> None:
    class Charger(Actor[Charge]): ...

    Scenario(Charger).given(Unplugged())


def applies_and_ignores() -> None:
    class Charger(Actor[Charge]):
        ignores = (Plugged,)

        @applies
        def plugged(self, event: Plugged) -> None: ...

    Charger.described()


def ignores_a_text() -> None:
    class Charger(Actor[Charge]):
        ignores = "plugged"  # type: ignore[assignment]

    Charger.described()


def applies_by_yielding() -> None:
    class Charger(Actor[Charge]):
        @applies
        def plugged(self, event: Plugged) -> Iterator[None]:
            yield

    Charger.described()


def has_a_state_that_begins_without_json() -> None:
    class Opaque(BaseModel):
        what: Any = object()

    class Charger(Actor[Opaque]): ...

    Charger.described()


class Plain:
    """A state that is no dataclass."""

    cars: int = 0


def has_a_state_that_is_no_dataclass() -> None:
    class Charger(Actor[Plain]): ...

    Charger.described()


def has_an_instance_for_a_state() -> None:
    class Charger(Actor[Charge()]): ...  # type: ignore[misc]

    Charger.described()


def has_a_state_that_needs_something() -> None:
    class Needy(BaseModel):
        limit: int

    class Charger(Actor[Needy]): ...

    Charger.described()


def comes_to_a_state_without_json() -> None:
    class Charger(Actor[Charge]):
        @applies
        def plugged(self, event: Plugged) -> None:
            self.state.cars = b"\xff"

    Scenario(Charger).given(Plugged())


def yields(value: Any) -> Callable[[], None]:
    """A handler that yields what the log cannot hold."""

    def scenario() -> None:
        class Charger(Actor[Charge]):
            ignores = (Plugged,)

            @handles
            def plug(self, message: Plug) -> Iterator[Payload]:
                yield Plugged(by=value)

        Scenario(Charger).when(Plug())

    return scenario


def yields_what_is_no_event(value: Any) -> Callable[[], None]:
    """A handler that yields something else."""

    def scenario() -> None:
        class Charger(Actor[Charge]):
            ignores = (Plugged,)

            @handles
            def plug(self, message: Plug) -> Any:
                yield value

        Scenario(Charger).when(Plug())

    return scenario


def returns_what_is_no_event(value: Any) -> Callable[[], None]:
    """A handler that returns something, and its annotation does not say so."""

    def scenario() -> None:
        class Charger(Actor[Charge]):
            @handles
            def plug(self, message: Plug) -> Any:
                return value

        Scenario(Charger).when(Plug())

    return scenario


def marks_with_arguments() -> None:
    class Charger(Actor[Charge]):
        @handles(Plug)  # type: ignore[call-arg]
        def plug(self, message: Plug) -> None: ...

    Charger.described()


def yields_what_does_not_read_back() -> None:
    class Renamed(DeviceEvent):
        model_config = ConfigDict(serialize_by_alias=True)

        by: int = Field(serialization_alias="who")

    class Charger(Actor[Charge]):
        @handles
        def plug(self, message: Plug) -> Iterator[Payload]:
            yield Renamed(by=1)

        @applies
        def renamed(self, event: Renamed) -> None: ...

    Scenario(Charger).when(Plug())


@pytest.mark.parametrize(
    ("mistake", "error", "said"),
    [
        (returns_an_event, InvalidActor, "charger: plug returns Plugged: yield it, and annotate"),
        (returns_an_event_unsaid, TypeError, "plug returns Plugged: yield it instead"),
        (decides_async, InvalidActor, "charger: plug is async: an actor decides without waiting"),
        (decides_async_and_yields, InvalidActor, "charger: plug is async: .* make it a plain"),
        (takes_a_union, InvalidActor, "plug takes .*Plug.*Unplug: write a method for each"),
        (
            yields_what_nothing_applies,
            InvalidActor,
            r"charger: plug yields Unplugged, which nothing applies: .* ignores = \(Unplugged,\)",
        ),
        (
            yields_unsaid_what_nothing_applies,
            InvalidActor,
            "charger: it has Unplugged, which nothing applies",
        ),
        (
            is_given_what_nothing_applies,
            InvalidActor,
            "charger: it has Unplugged, which nothing applies",
        ),
        (applies_and_ignores, InvalidActor, "it applies 'plugged', and ignores it: do one of"),
        (ignores_a_text, InvalidActor, "ignores is a tuple of events, .* not 'plugged'"),
        (applies_by_yielding, InvalidActor, "plugged yields, so it would never run"),
        (
            has_a_state_that_begins_without_json,
            InvalidActor,
            "its state cannot be written as JSON, even as it begins",
        ),
        (has_a_state_that_needs_something, InvalidActor, "a default: limit of Needy has none"),
        (
            has_a_state_that_is_no_dataclass,
            InvalidActor,
            r"its state Plain must be a dataclass \(@dataclass\), or a pydantic model",
        ),
        (has_an_instance_for_a_state, InvalidActor, "its state is a class, not 'Charge"),
        (yields_what_is_no_event(Plugged), TypeError, r"<class .*: make one, Plugged\(\.\.\.\)"),
        (yields_what_is_no_event([Plugged()]), TypeError, "say yield from"),
        (yields_what_is_no_event(Told()), TypeError, "derive Told from DeviceEvent, SystemEvent"),
        (yields_what_is_no_event(Rejected("full")), TypeError, "Rejected.*: raise it"),
        (returns_what_is_no_event(0.0), TypeError, "plug returns float, which nobody takes"),
        (returns_what_is_no_event(Charge()), TypeError, "plug returns Charge, which nobody takes"),
        (returns_what_is_no_event(Rejected("full")), TypeError, "Rejected: raise it instead"),
        (marks_with_arguments, TypeError, r"@handles stands alone above .*: not @handles\(Plug\)"),
        (comes_to_a_state_without_json, InvalidActor, "its state cannot be written as JSON"),
        (yields(float("nan")), InvalidData, "nan is not a JSON number"),
        (yields("a\0b"), InvalidData, "NUL"),
        (yields("x" * (2 << 20)), InvalidData, "its data takes 2,097,"),
        (yields_what_does_not_read_back, InvalidData, "renamed: it cannot be read back"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_mistake_in_a_class_is_told_with_what_to_do(
    mistake: Callable[[], None], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        mistake()


def test_what_is_said_of_a_class_is_one_line() -> None:
    for mistake in (has_a_state_that_needs_something, has_a_state_that_begins_without_json):
        with pytest.raises(InvalidActor) as told:
            mistake()
        assert "\n" not in str(told.value)


def test_an_annotation_with_a_base_of_events_says_nothing_of_what_is_yielded() -> None:
    class ChargerEvent(DeviceEvent):
        pass

    class Started(ChargerEvent):
        pass

    class Charger(Actor[Charge]):
        @handles
        def plug(self, message: Plug) -> Iterator[ChargerEvent]:
            yield Started()

        @applies
        def started(self, event: Started) -> None:
            self.state.cars += 1

    assert Scenario(Charger).when(Plug()).then(Started()).state.cars == 1


def test_events_may_be_ignored_by_class_or_by_the_name_of_one_that_is_gone() -> None:
    class Charger(Actor[Charge]):
        ignores = (Plugged, "charger-dusted")

        @handles
        def plug(self, message: Plug) -> Iterator[Plugged]:
            yield Plugged()

    described = Charger.described()
    assert described.unfolded(["plugged", "charger-dusted", "unplugged"]) == ["unplugged"]
    Scenario(Charger).given(Plugged()).when(Plug()).then(Plugged())
