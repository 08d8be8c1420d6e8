"""Actors that the integration tests drive: small, and each failure mode on demand."""

import time
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import BusinessEvent, DeviceEvent, Payload


class Add(Command):
    amount: int = 1


class Burst(Command):
    """So many events from one command."""

    count: int


class Note(Command):
    text: str


class Measure(Command):
    value: Any


class Claim(Command):
    """Granted once; whoever claims after that is refused."""

    owner: str


class Fail(Command):
    """The handler raises, after it has yielded an event."""


class Dawdle(Command):
    """The handler takes longer than any should, and not as long as it may."""


class Spoil(Command):
    """The handler is fine; applying its event raises."""


class Unhandled(Command):
    """No actor here handles this."""


class Added(DeviceEvent):
    amount: int


class Noted(DeviceEvent):
    text: str


class Measured(DeviceEvent):
    value: Any


class Claimed(BusinessEvent):
    owner: str


class Spoilt(DeviceEvent):
    pass


class CounterState(BaseModel):
    total: int = 0
    notes: int = 0
    owner: str = ""


class Counter(Actor[CounterState]):
    """Counts what it is told to add."""

    ignores = (Measured,)
    indexes = ("total",)

    @handles
    def add(self, message: Add) -> Iterator[Payload]:
        yield Added(amount=message.amount)

    @handles
    def burst(self, message: Burst) -> Iterator[Payload]:
        for _ in range(message.count):
            yield Added(amount=1)

    @handles
    def note(self, message: Note) -> Iterator[Payload]:
        yield Noted(text=message.text)

    @handles
    def measure(self, message: Measure) -> Iterator[Payload]:
        yield Measured(value=message.value)

    @handles
    def claim(self, message: Claim) -> Iterator[Payload]:
        if self.state.owner:
            raise Rejected(f"claimed by {self.state.owner}")
        yield Claimed(owner=message.owner)

    @handles
    def fail(self, message: Fail) -> Iterator[Payload]:
        yield Added(amount=1_000_000)
        raise ZeroDivisionError("on request")

    @handles
    def dawdle(self, message: Dawdle) -> Iterator[Payload]:
        time.sleep(0.6)
        yield Added(amount=0)

    @handles
    def spoil(self, message: Spoil) -> Iterator[Payload]:
        yield Spoilt()

    @applies
    def added(self, event: Added) -> None:
        self.state.total += event.amount

    @applies
    def noted(self, event: Noted) -> None:
        self.state.notes += 1

    @applies
    def claimed(self, event: Claimed) -> None:
        self.state.owner = event.owner

    @applies
    def spoilt(self, event: Spoilt) -> None:
        self.state.total = -1
        raise ZeroDivisionError("half-way")


class Beacon(Counter):
    """The same device under a type name of its own, to be placed by setting."""
