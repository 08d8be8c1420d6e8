"""What an actor class may look like, and what is said of one that is not well formed."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor, InvalidName
from actors.event import BusinessEvent, DeviceEvent, Event, Payload, SystemEvent


class Open(Command):
    """Open it."""


class ShutTheDoor(Command):
    """Close it, under a name of its own."""

    message_type = "shut"


class Opened(DeviceEvent):
    """It is open."""

    wide: bool = False


class HeldOpen(BusinessEvent):
    """It was open for too long, under a name of its own."""

    event_type = "door.held-open"


@dataclass
class DoorState:
    open: bool = False


class Door(Actor[DoorState]):
    """A well-formed actor."""

    @handles
    def open_it(self, message: Open) -> Iterator[Payload]:
        yield Opened()

    @handles
    def shut(self, message: ShutTheDoor) -> None:
        return None

    @applies
    def opened(self, event: Opened) -> None:
        self.state.open = True

    @applies
    def held(self, event: HeldOpen) -> None:
        self.state.open = True


class RevolvingDoor(Door):
    """Inherits handlers, and has one of its own instead of one of them."""

    actor_type = "revolving"

    @handles
    def open_it(self, message: Open) -> Iterator[Payload]:
        yield from ()


def test_an_actor_says_what_it_handles_and_applies_by_stable_names() -> None:
    described = Door.described()
    assert (described.name, Door.state_type) == ("door", DoorState)
    assert {name: handler.message for name, handler in described.handlers.items()} == {
        "open": Open,
        "shut": ShutTheDoor,
    }
    assert {name: applier.payload for name, applier in described.appliers.items()} == {
        "opened": Opened,
        "door.held-open": HeldOpen,
    }


def test_an_actor_is_described_once() -> None:
    assert Door.described() is Door.described()


def test_a_subclass_inherits_and_overrides_and_has_a_name_of_its_own() -> None:
    described = RevolvingDoor.described()
    assert described is not Door.described()
    assert (described.name, RevolvingDoor.state_type) == ("revolving", DoorState)
    assert sorted(described.handlers) == ["open", "shut"]
    assert described.handlers["open"].decide is not Door.described().handlers["open"].decide


def test_an_actor_begins_with_a_fresh_state_under_its_source() -> None:
    first, second = Door("front"), Door("back")
    assert first.source == "door/front"
    assert first.state == DoorState()
    assert first.state is not second.state


def test_an_actor_without_a_state_type_is_refused() -> None:
    class Stateless(Actor):  # type: ignore[type-arg]
        pass

    with pytest.raises(InvalidActor, match="stateless: say its state type"):
        Stateless.described()


def test_a_handler_of_something_else_than_a_command_is_refused() -> None:
    class Eager(Actor[DoorState]):
        @handles
        def act(self, message: Opened) -> None: ...

    with pytest.raises(InvalidActor, match=r"eager: act handles .*Opened.*, not a Command"):
        Eager.described()


@pytest.mark.parametrize("model", [Open, Payload, BaseModel, Event])
def test_an_applier_of_something_else_than_an_event_of_a_kind_is_refused(model: type) -> None:
    def fold(self: Door, event: object) -> None: ...

    fold.__annotations__["event"] = model
    actor: type[Door] = type("Folding", (Door,), {"fold": applies(fold)})
    with pytest.raises(InvalidActor, match="not a DeviceEvent, SystemEvent or BusinessEvent"):
        actor.described()


def test_two_handlers_of_one_message_are_refused() -> None:
    class Torn(Actor[DoorState]):
        @handles
        def first(self, message: Open) -> None: ...

        @handles
        def second(self, message: Open) -> None: ...

    with pytest.raises(InvalidActor, match="second: open has a method already, first: each"):
        Torn.described()


def test_two_appliers_of_one_event_are_refused() -> None:
    class Torn(Actor[DoorState]):
        @applies
        def first(self, event: Opened) -> None: ...

        @applies
        def second(self, event: Opened) -> None: ...

    with pytest.raises(InvalidActor, match="second: opened has a method already, first: "):
        Torn.described()


def test_a_method_that_takes_no_message_or_more_than_one_is_refused() -> None:
    class Deaf(Actor[DoorState]):
        @handles
        def act(self) -> None: ...

    class Greedy(Actor[DoorState]):
        @handles
        def act(self, message: Open, other: Open) -> None: ...

    for actor in (Deaf, Greedy):
        with pytest.raises(InvalidActor, match="act takes exactly one message"):
            actor.described()


def test_a_message_without_a_class_for_annotation_is_refused() -> None:
    class Vague(Actor[DoorState]):
        @handles
        def act(self, message) -> None: ...  # type: ignore[no-untyped-def]

    class Undecided(Actor[DoorState]):
        @handles
        def act(self, message: "Open | ShutTheDoor") -> None: ...

    for actor in (Vague, Undecided):
        with pytest.raises(InvalidActor, match="annotate its message with a class"):
            actor.described()


def test_an_annotation_that_nobody_can_find_is_refused_with_a_way_out() -> None:
    class Lost(Actor[DoorState]):
        @handles
        def act(self, message: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidActor, match="'Nowhere' is not defined; define messages at module"):
        Lost.described()


@pytest.mark.parametrize("name", ["Not Kebab", "", "door/front"])
def test_a_name_that_is_not_kebab_case_is_refused_where_the_class_is_made(name: str) -> None:
    with pytest.raises(InvalidName, match="kebab-case"):
        type("Named", (Door,), {"actor_type": name})
    with pytest.raises(InvalidName, match="kebab-case"):
        type("Named", (Command,), {"message_type": name, "__module__": __name__})
    with pytest.raises(InvalidName, match="kebab-case"):
        type("Named", (SystemEvent,), {"event_type": name, "__module__": __name__})


def test_commands_and_events_are_frozen_and_commands_take_no_unknown_field() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Opened().wide = True  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs"):
        Open.model_validate({"wide": True})
    assert HeldOpen.model_validate({"since": 1}) == HeldOpen()
