"""What looks like the supervision of a class, and is none, is refused: it would never apply."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from actors.actor import Actor, handles
from actors.errors import InvalidActor
from actors.event import Event, Payload
from actors.supervision import RestartPolicy, Scope, Strategy, Supervision
from streams.errors import InvalidProgram
from streams.handler import Handler, described
from tests.unit.meters_and_shelves import Base, Measured, Meter, Read


class Misspelt(Base):
    supervison = Supervision(strategy="stop")


class MisspeltBesideItsBase(Base):
    supervision = Supervision(strategy="stop")
    on_failing = Supervision(strategy="resume")


class InheritsAMisspeltOne(Misspelt):
    actor_type = "inherits-a-misspelt-one"


class PolicyAlone(Base):
    policy = RestartPolicy(intensity=1)


class StrategyAlone(Base):
    strategy = "stop"


class NameOfTheSetting(Base):
    supervisor_strategy = "stop"


class ScopeAlone(Base):
    scope = Scope.ALL_FOR_ONE


class StrategyOfAnyName(Base):
    when_it_fails = Strategy.STOP


class TypeAlone(Base):
    supervision: ClassVar[Supervision]


class TypeAsText(Base):
    supervision: "Supervision"  # type: ignore[misc]


class SetsItWhenMade(Base):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.supervision = Supervision(strategy="stop")  # type: ignore[misc]


class SetsItInAHandler(Base):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        self.supervision = Supervision(strategy="stop")  # type: ignore[misc]
        yield Measured(kwh=1)


class SetsItForAll(Base):
    @handles
    def read(self, message: Read) -> None:
        type(self).supervision = Supervision(strategy="stop")


@pytest.mark.parametrize(
    ("mistaken", "said"),
    [
        (
            Misspelt,
            r"supervison = Supervision\(.* never applies: a class says .* as `supervision =",
        ),
        (MisspeltBesideItsBase, r"on_failing = Supervision\(.* never applies"),
        (InheritsAMisspeltOne, r"supervison = Supervision\(.* never applies"),
        (PolicyAlone, r"policy = RestartPolicy\(intensity=1.* never applies"),
        (StrategyAlone, r"strategy = 'stop' never applies"),
        (NameOfTheSetting, r"supervisor_strategy = 'stop' never applies"),
        (ScopeAlone, "scope = <Scope.ALL_FOR_ONE.* never applies"),
        (StrategyOfAnyName, "when_it_fails = <Strategy.STOP.* never applies"),
        (TypeAlone, "supervision has a type and no value, so it never applies"),
        (TypeAsText, "supervision has a type and no value, so it never applies"),
        (SetsItWhenMade, r"__init__ sets self\.supervision, which never applies: its class says"),
        (SetsItInAHandler, r"read sets self\.supervision, which never applies"),
        (SetsItForAll, r"read sets type\(self\)\.supervision, which never applies"),
    ],
)
def test_what_never_applies_is_told_with_what_to_do(mistaken: type[Base], said: str) -> None:
    with pytest.raises(InvalidActor, match=said) as told:
        mistaken.described()
    assert "\n" not in str(told.value)


class Abstract(Actor[Meter]):
    """Whoever derives from it says it."""

    supervision: ClassVar[Supervision]
    ignores: ClassVar[tuple[type[Payload] | str, ...]] = (Measured,)


class Concrete(Abstract):
    supervision = Supervision(strategy="stop")


class MadeOfParts(Base):
    policy = RestartPolicy(intensity=1)
    strategy = "restart"
    supervision = Supervision(policy=policy, strategy=strategy)


class MeansSomethingElse(Base):
    strategy = "cheapest first"
    scope = 3


class TakesItBack(Concrete):
    actor_type = "takes-it-back"
    supervision = None  # type: ignore[assignment]


class LooksAtIt(Base):
    @handles
    def read(self, message: Read) -> None:
        other: Any = message
        if self.supervision is None:
            other.supervision = None


@pytest.mark.parametrize(
    "good", [Concrete, MadeOfParts, MeansSomethingElse, TakesItBack, LooksAtIt]
)
def test_what_applies_or_is_something_else_is_left_alone(good: type[Actor[Any]]) -> None:
    good.described()


def test_a_stream_handler_has_no_supervision() -> None:
    class Alarms(Handler):
        event_types = ("measured",)
        supervision = Supervision(strategy="stop")

        def handle(self, event: Event) -> Iterator[Payload]:
            yield Measured()

    with pytest.raises(InvalidProgram, match=r"supervision never applies: .* says on_failure"):
        described(Alarms)
