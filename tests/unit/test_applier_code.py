"""Appliers whose code shows that they are mistaken are refused; whatever is legal is not."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import BaseModel

from actors.actor import Actor, applies
from actors.errors import InvalidActor
from tests.unit.meters_and_shelves import Base, Ledger, Library, Measured, Meter, Shelf


class MakesTheNextState(Base):
    ignores = ()

    @applies
    def measured(self, event: Measured) -> Meter:
        return Meter(kwh=self.state.kwh + event.kwh)


class ReplacesAState(Base):
    ignores = ()

    @applies
    def measured(self, event: Measured) -> Any:
        return replace(self.state, kwh=event.kwh)


class OfModels(Actor[Ledger]):
    @applies
    def measured(self, event: Measured) -> None:
        self.state.total = 1  # type: ignore[attr-defined]


class SetsNoField(Library):
    ignores = ()

    @applies
    def measured(self, event: Measured) -> None:
        if event.kwh:
            self.state.book = 1  # type: ignore[attr-defined]


class SetsSomethingElse(Library):
    ignores = ()

    @applies
    def measured(self, event: Measured) -> None:
        self.state.books, self.state.colour = 1, "red"  # type: ignore[attr-defined]


class SetsWhatIsNotAnnotated(Library):
    ignores = ()

    @applies
    def measured(self, event: Measured) -> None:
        self.state.shared += 1


@pytest.mark.parametrize(
    ("mistaken", "said"),
    [
        (OfModels, r"measured sets self\.state\.total, and Ledger has no such field: add it"),
        (SetsNoField, r"sets self\.state\.book, and Shelf has no such field: did you mean books\?"),
        (SetsSomethingElse, r"measured sets self\.state\.colour, and Shelf has no such field: add"),
        (
            SetsWhatIsNotAnnotated,
            r"sets self\.state\.shared, and Shelf has no such field: add it, an",
        ),
        (MakesTheNextState, "measured returns a state, which nobody takes: an applier changes"),
        (ReplacesAState, "measured returns a state, which nobody takes: an applier changes"),
    ],
)
def test_a_mistake_in_an_applier_is_told_with_what_to_do(mistaken: type[Base], said: str) -> None:
    with pytest.raises(InvalidActor, match=said) as told:
        mistaken.described()
    assert "\n" not in str(told.value)


class AppliesAndReturnsNothing(Base):
    ignores = ()

    @applies
    def measured(self, event: Measured) -> None:
        kwh = [event.kwh]
        self.state.kwh += event.kwh
        return kwh.clear()


class SetsWhatThereIs(Library):
    ignores = ()

    @applies
    def measured(self, event: Measured) -> None:
        self.state.pages = 300
        self.state.books += 1
        self.state.by_room["hall"] = {"Emma"}
        self.state.titles.append("Emma")


class OfAnything(BaseModel, extra="allow"):
    kwh: float = 0.0


class SetsAnything(Actor[OfAnything]):
    @applies
    def measured(self, event: Measured) -> None:
        self.state.total = event.kwh  # type: ignore[attr-defined]


@dataclass
class Indexed:
    titles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.index = set(self.titles)


class KeepsAnIndex(Actor[Indexed]):
    @applies
    def measured(self, event: Measured) -> None:
        self.state.titles = ["Emma"]
        self.state.index = set(self.state.titles)


class TakesAnotherState(Library):
    ignores = ()

    @applies
    def measured(self, event: Measured) -> None:
        self.state = Lexicon()
        self.state.words = 1


@dataclass
class Lexicon(Shelf):
    words: int = 0


@pytest.mark.parametrize(
    "legal",
    [
        SetsWhatThereIs,
        SetsAnything,
        KeepsAnIndex,
        TakesAnotherState,
        AppliesAndReturnsNothing,
    ],
)
def test_what_appliers_may_do_is_not_refused(legal: type[Base]) -> None:
    legal.described()
