"""A charger that cars are plugged into, for tests of what users call."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent


class Plug(Command):
    """A car is plugged in."""


class Plugged(DeviceEvent):
    """It is plugged in."""


class Charge(BaseModel):
    cars: int = 0


class Charger(Actor[Charge]):
    @handles
    def plug(self, message: Plug) -> Iterator[Plugged]:
        yield Plugged()

    @applies
    def plugged(self, event: Plugged) -> None:
        self.state.cars += 1


Call = Callable[[Any], object]
