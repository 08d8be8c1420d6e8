"""Hooks that could not run, or whose doing nobody would hear of, are refused with their class."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from actors.actor import Actor, Command, applies, handles
from actors.errors import InvalidActor
from actors.event import DeviceEvent
from actors.hook_code import HOOKS
from store.scenario import Scenario
from tests.unit.meters_and_shelves import Base, Library, Measured, Read

logger = logging.getLogger(__name__)


class Start(Command):
    """Begin."""


class Started(DeviceEvent):
    """It has begun."""


class CountsFailures(Library):
    def on_failure(self, error: BaseException) -> None:
        self.state.titles.append(str(error))


class SetsItsState(Base):
    def on_start(self) -> None:
        self.state.kwh = 1.0


class Yields(Base):
    def on_start(self) -> Any:
        yield Measured(kwh=1)


class Waits(Base):
    async def on_start(self) -> None:  # type: ignore[override]
        """Later."""


class WaitsAndYields(Base):
    async def on_stop(self) -> Any:
        yield Measured(kwh=1)


class ReturnsEvents(Base):
    def on_stop(self) -> Any:
        return [Measured(kwh=1)]


class DropsAnEvent(Base):
    def on_start(self) -> None:
        Measured(kwh=1)


class DropsAHelper(Base):
    def on_start(self) -> None:
        self.several()

    def several(self) -> Iterator[Measured]:
        yield Measured(kwh=1)


class HandlesInIt(Base):
    @handles
    def on_start(self, message: Start) -> None:  # type: ignore[override]
        """A natural name."""


class AppliesInIt(Base):
    @applies
    def on_stop(self, event: Started) -> None:  # type: ignore[override]
        """A natural name."""


class HandlesInTheOneThatTakesSomething(Base):
    @handles
    def on_failure(self, message: Start) -> None:  # type: ignore[override]
        """It would be called with the error."""


class TakesTooMuch(Base):
    def on_start(self, system: object) -> None:  # type: ignore[override]
        """Nobody passes it."""


class TakesTooLittle(Base):
    def on_failure(self) -> None:  # type: ignore[override]
        """The error is passed."""


class IsNoMethod(Base):
    on_start = 5  # type: ignore[assignment]


class IsStatic(Base):
    @staticmethod
    def on_stop() -> None:
        """Without its actor."""


class InheritsIt(SetsItsState):
    actor_type = "inherits-it"


@pytest.mark.parametrize(
    ("mistaken", "said"),
    [
        (
            CountsFailures,
            r"on_failure changes self\.state\.titles\.append\(str\(error\)\), which no",
        ),
        (
            SetsItsState,
            r"on_start changes self\.state\.kwh, which no event would tell: a hook looks",
        ),
        (InheritsIt, r"on_start changes self\.state\.kwh, which no event would tell"),
        (Yields, "on_start yields, so it would never run: a hook decides nothing"),
        (Waits, r"on_start is async: .*; make it a plain `def on_start\(self\)`"),
        (WaitsAndYields, r"on_stop is async: .*; make it a plain `def on_stop\(self\)`"),
        (ReturnsEvents, "on_stop makes Measured, which nobody takes: a hook decides nothing"),
        (DropsAnEvent, "on_start makes Measured, which nobody takes: a hook decides nothing"),
        (DropsAHelper, r"on_start calls self\.several, which yields, so it would never run"),
        (HandlesInIt, "on_start is marked @handles, and is a hook, .*: give the method .* another"),
        (AppliesInIt, "on_stop is marked @applies, and is a hook, .*: give the method .* another"),
        (HandlesInTheOneThatTakesSomething, "on_failure is marked @handles, and is a hook"),
        (TakesTooMuch, r"on_start is a hook, .*'system'\): write `def on_start\(self\)`"),
        (TakesTooLittle, r"on_failure is a hook, .*: write `def on_failure\(self, error\)`"),
        (IsNoMethod, r"on_start is a hook, and so a plain method, `def on_start\(self\)`, not 5"),
        (IsStatic, r"on_stop is a hook, and so a plain method, .*, not staticmethod"),
    ],
)
def test_a_mistaken_hook_is_told_with_what_to_do(mistaken: type[Base], said: str) -> None:
    with pytest.raises(InvalidActor, match=said) as told:
        Scenario(mistaken)
    assert "\n" not in str(told.value)


class Tells(Base):
    """Everything that is legal."""

    def on_start(self, why: str = "") -> None:
        logger.info("%s has %s, and not %s", self.name, self.state.kwh, Measured(kwh=1))
        self._tell(f"starts {why}")

    def on_stop(self) -> None:
        titles = []
        titles.append(self.name)
        return self._tell("stops")

    def on_failure(self, error: BaseException, *more: object) -> None:
        if self.state.kwh:
            raise RuntimeError(str(Read(kwh=1))) from error

    def _tell(self, what: str) -> None:
        logger.info("%s %s", self.name, what)


def test_a_hook_that_looks_and_tells_is_a_good_one() -> None:
    Tells.described()


def test_the_hooks_are_those_that_an_actor_has() -> None:
    assert set(HOOKS) == {name for name in vars(Actor) if name.startswith("on_")}
