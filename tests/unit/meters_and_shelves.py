"""A meter and a library: what the mistaken classes of the tests of code derive from."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel

from actors.actor import Actor, Command
from actors.errors import Rejected
from actors.event import DeviceEvent, Payload


class Read(Command):
    kwh: float = 1.0


class Lent(Command):
    title: str = ""


class Measured(DeviceEvent):
    kwh: float = 0.0


@dataclass
class Meter:
    kwh: float = 0.0


class Base(Actor[Meter]):
    ignores: ClassVar[tuple[type[Payload] | str, ...]] = (Measured,)

    def helper(self, kwh: float) -> Iterator[Measured]:
        yield Measured(kwh=kwh)

    def check(self, kwh: float) -> None:
        if kwh < 0:
            raise Rejected("meters do not run backwards")


class Ledger(BaseModel):
    sum: int = 0

    def add(self, amount: int) -> "Ledger":
        return Ledger(sum=self.sum + amount)


@dataclass
class Shelf:
    books: int = 0
    titles: list[str] = field(default_factory=list)
    by_room: dict[str, set[str]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    shared = 0

    @property
    def pages(self) -> int:
        return 100 * self.books

    @pages.setter
    def pages(self, pages: int) -> None:
        self.books = pages // 100


class Library(Actor[Shelf]):
    ignores: ClassVar[tuple[type[Payload] | str, ...]] = (Measured,)
