"""Handlers whose code shows that they are mistaken are refused; whatever is legal is not."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from types import FunctionType
from typing import Any

import pytest
from pydantic import ValidationError

from actors import devices
from actors.actor import Actor, handles
from actors.actor_type import ActorType
from actors.errors import InvalidActor, Rejected
from actors.event import DeviceEvent, Payload
from runtime.host.failing_code import own_frames
from tests.unit.meters_and_shelves import Base, Lent, Library, Measured, Meter, Read


def several(kwh: float) -> Iterator[Measured]:
    yield Measured(kwh=kwh)


class MakesAndDrops(Base):
    @handles
    def read(self, message: Read) -> None:
        Measured(kwh=message.kwh)


class YieldsOneAndDropsAnother(Base):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        yield Measured(kwh=message.kwh)
        if message.kwh > 5:
            Measured(kwh=0)


class DropsAnEventOfAnotherModule(Base):
    @handles
    def read(self, message: Read) -> None:
        devices.FlightCancelled(flight="UA1", leg=None)  # type: ignore[call-arg]


class KeepsItAndForgets(Base):
    @handles
    def read(self, message: Read) -> None:
        event = Measured(kwh=message.kwh)  # noqa: F841 - the mistake


class ReturnsItAmongYields(Base):
    @handles
    def read(self, message: Read) -> Any:
        if message.kwh > 5:
            yield Measured(kwh=5)
        return Measured(kwh=message.kwh)


class DropsAHelper(Base):
    @handles
    def read(self, message: Read) -> None:
        self.helper(message.kwh)


class DropsAFunction(Base):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        several(message.kwh)
        yield Measured(kwh=message.kwh)


class ReturnsAHelperAmongYields(Base):
    @handles
    def read(self, message: Read) -> Any:
        yield Measured(kwh=0)
        return self.helper(message.kwh)


class ChangesItsState(Base):
    @handles
    def read(self, message: Read) -> None:
        self.state.kwh += message.kwh


class ReplacesItsState(Base):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        self.state = Meter(kwh=message.kwh)
        yield Measured(kwh=message.kwh)


class PromisesAndNeverYields(Base):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:  # type: ignore[return]
        if message.kwh < 0:
            raise Rejected("meters do not run backwards")


class AnswersAQuestion(Base):
    @handles
    def read(self, message: Read) -> float:
        return self.state.kwh


class IsStatic(Base):
    @staticmethod
    @handles
    def read(self: Any, message: Read) -> None: ...  # noqa: PLW0211 - the mistake


class IsMadeOfNothing(Base):
    def __init__(self) -> None:
        super().__init__("meter")


class ReturnsARefusal(Library):
    @handles
    def read(self, message: Read) -> Any:
        if message.kwh < 0:
            return Rejected("no")
        yield Measured(kwh=message.kwh)


class ReturnsAClassPerhaps(Library):
    @handles
    def read(self, message: Read) -> Any:
        yield Measured(kwh=message.kwh)
        return ValueError if message.kwh < 0 else None


class ReturnsANameAmongYields(Library):
    @handles
    def read(self, message: Read) -> Any:
        event = Measured(kwh=1)
        yield Measured(kwh=message.kwh)
        return event


class ReturnsAListAmongYields(Library):
    @handles
    def read(self, message: Read) -> Any:
        yield Measured(kwh=message.kwh)
        return [Measured(kwh=1)]


class MakesARefusal(Library):
    @handles
    def read(self, message: Read) -> None:
        if message.kwh < 0:
            Rejected("no")


class Appends(Library):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        self.state.titles.append("Emma")
        yield Measured(kwh=message.kwh)


class PopsAndTakes(Library):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        title = self.state.titles.pop()
        yield Measured(kwh=len(title))


class AddsDeepInside(Library):
    @handles
    def read(self, message: Read) -> None:
        self.state.by_room["hall"].add("Emma")


class HidesOne(Library):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        yield Measured(kwh=message.kwh)

    @handles  # type: ignore[no-redef]
    def read(self, message: Lent) -> None:  # noqa: F811 - the mistake
        """Another one."""


@pytest.mark.parametrize(
    ("mistaken", "said"),
    [
        (ReturnsARefusal, r"read returns Rejected and does not raise it: `raise Rejected\('no'\)`"),
        (ReturnsAClassPerhaps, "read returns ValueError and does not raise it: `raise ValueError`"),
        (
            ReturnsANameAmongYields,
            "read returns event among its yields, where nobody takes it: `yield event`, and",
        ),
        (ReturnsAListAmongYields, r"nobody takes it: `yield from \[Measured\(kwh=1\)\]`, and"),
        (MakesARefusal, r"read makes Rejected and does not raise it: `raise Rejected\('no'\)`"),
        (Appends, r"read changes self\.state\.titles\.append\('Emma'\), which no event would tell"),
        (PopsAndTakes, r"read changes self\.state\.titles\.pop\(\), which no event would tell"),
        (AddsDeepInside, r"read changes self\.state\.by_room\['hall'\]\.add\('Emma'\), which no"),
        (
            HidesOne,
            "read is defined twice in HidesOne, and the second hides the one marked @handles",
        ),
        (MakesAndDrops, r"read makes Measured and drops it: yield it, `yield Measured\(...\)`"),
        (YieldsOneAndDropsAnother, "read makes Measured and drops it: yield it"),
        (DropsAnEventOfAnotherModule, "read makes FlightCancelled and drops it: yield it"),
        (KeepsItAndForgets, "read makes Measured and drops it: yield it"),
        (ReturnsItAmongYields, "read makes Measured and drops it: yield it"),
        (DropsAHelper, r"read calls self.helper, which yields.*: `yield from self.helper\(...\)`"),
        (DropsAFunction, "read calls several, which yields, and drops what comes: `yield from"),
        (ReturnsAHelperAmongYields, "read calls self.helper, which yields, and drops what comes"),
        (ChangesItsState, r"read changes self\.state\.kwh, .*: yield an event, and change the"),
        (ReplacesItsState, r"read changes self\.state, which no event would tell: yield an"),
        (PromisesAndNeverYields, r"read says that it yields \(-> Iterator\[Measured\]\) and never"),
        (AnswersAQuestion, r"read returns float, which nobody takes: .* the state, ref\.state\(\)"),
        (IsStatic, "read is a staticmethod: make it a plain method, with self"),
        (IsMadeOfNothing, r"its __init__ does not fit .*: write __init__\(self, name\), and call"),
    ],
)
def test_a_mistake_in_code_is_told_with_what_to_do(mistaken: type[Base], said: str) -> None:
    with pytest.raises(InvalidActor, match=said) as told:
        mistaken.described()
    assert "\n" not in str(told.value)


class Checks(Base):
    @handles
    def read(self, message: Read) -> None:
        self.check(message.kwh)
        if message.kwh > self.state.kwh:
            raise Rejected("too much")


class OnlyRejects(Base):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        reason = f"not {message.kwh}"
        raise Rejected(reason)


class ReturnsThem(Base):
    @handles
    def read(self, message: Read) -> list[Measured]:
        return [Measured(kwh=message.kwh)]


class ReturnsAnIterator(Base):
    @handles
    def read(self, message: Read) -> Iterator[Payload]:
        return self.helper(message.kwh)


class TriesToMakeOne(Base):
    @handles
    def read(self, message: Read) -> None:
        try:
            Measured(kwh=message.kwh)
        except ValidationError as error:
            raise Rejected("no measurement") from error


class KeepsItAndYields(Base):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        event = Measured(kwh=message.kwh)
        state = replace(self.state, kwh=1.0)
        state.kwh = 2.0
        if state.kwh:
            yield event


class CallsWhatHasItsName(Base):
    @handles
    def read(self, message: Read) -> None:
        Measured = self.check  # noqa: N806 - the point
        Measured(message.kwh)


class LeavesItToSubclasses(Base):
    @handles
    @abstractmethod
    def read(self, message: Read) -> Iterator[Measured]:
        """What there is to yield, they know."""


class AsksTheState(Library):
    @handles
    def read(self, message: Read) -> Iterator[Measured]:
        titles = list(self.state.titles)
        titles.append("Emma")
        self.state.ledger.add(1)
        if self.state.ledger.add(1).sum > 2 or self.state.by_room.get("hall"):
            yield Measured(kwh=message.kwh)


class ReturnsNothing(Library):
    @handles
    def read(self, message: Read) -> Any:
        if message.kwh < 0:
            return
        yield Measured(kwh=message.kwh)


class EndsAmongYields(Library):
    @handles
    def read(self, message: Read) -> Any:
        if message.kwh < 0:
            return None
        return (yield from several(message.kwh))


class OverridesOne(ReturnsNothing):
    @handles
    def read(self, message: Read) -> None: ...


@pytest.mark.parametrize(
    "legal",
    [
        AsksTheState,
        ReturnsNothing,
        EndsAmongYields,
        OverridesOne,
        Checks,
        OnlyRejects,
        ReturnsThem,
        ReturnsAnIterator,
        TriesToMakeOne,
        KeepsItAndYields,
        CallsWhatHasItsName,
        LeavesItToSubclasses,
    ],
)
def test_what_is_legal_is_not_refused(legal: type[Base]) -> None:
    legal.described()


def test_what_is_defined_further_down_is_not_looked_for() -> None:
    class Early(Base):
        @handles
        def read(self, message: Read) -> None:
            Later(kwh=message.kwh)

    Early.described()

    class Later(DeviceEvent):
        kwh: float


@pytest.mark.parametrize(
    "device", [getattr(devices, name) for name in ("Aircraft", "DeviceTwin", "WeatherStation")]
)
def test_our_own_devices_are_legal(device: type[Actor[Any]]) -> None:
    ActorType(device)


def test_a_class_that_has_travelled_is_not_read_in_a_file_that_may_be_another() -> None:
    sent = MakesAndDrops.read
    arrived = FunctionType(sent.__code__, dict(sent.__globals__), "read")  # as cloudpickle does
    arrived.__annotations__, arrived.__module__ = sent.__annotations__, sent.__module__
    type("Arrived", (Base,), {"read": handles(arrived)}).described()  # type: ignore[attr-defined]


def test_what_calls_a_handler_is_no_code_of_its_user() -> None:
    class ReturnsOne(Base):
        @handles
        def read(self, message: Read) -> Any:
            return Measured(kwh=message.kwh)

    decide = ReturnsOne.described().handlers["read"].decide
    with pytest.raises(TypeError, match="read returns Measured: yield it instead") as failed:
        decide(ReturnsOne("a"), Read())
    beyond_here = failed.value.__traceback__.tb_next  # type: ignore[union-attr]
    assert beyond_here is not None
    assert own_frames(failed.value.with_traceback(beyond_here)) == []
