"""Devices for the gateway's tests, which the hosts import themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from actors.actor import Actor, Command, applies, handles
from actors.errors import Rejected
from actors.event import DeviceEvent


class Heat(Command):
    celsius: float


class Service(Command):
    by: UUID
    on: datetime
    parts: tuple[str, ...] = ()


class Break(Command):
    secret: str = "a secret"


class Heated(DeviceEvent):
    celsius: float


class Serviced(DeviceEvent):
    by: UUID
    on: datetime
    parts: tuple[str, ...]


class TooHot(Rejected):
    def __init__(self, celsius: float, limit: float) -> None:
        super().__init__(f"{celsius} is above {limit}")
        self.celsius, self.limit = celsius, limit


@dataclass
class BoilerState:
    celsius: float = 20.0
    services: int = 0


class Boiler(Actor[BoilerState]):
    indexes = ("celsius", "services")

    @handles
    def heat(self, message: Heat) -> Iterator[Heated]:
        if message.celsius > 90:
            raise TooHot(message.celsius, 90.0)
        yield Heated(celsius=message.celsius)

    @handles
    def service(self, message: Service) -> Iterator[Serviced]:
        yield Serviced(by=message.by, on=message.on, parts=message.parts)

    @handles
    def fail(self, message: Break) -> None:
        raise RuntimeError(message.secret)

    @applies
    def heated(self, event: Heated) -> None:
        self.state.celsius = event.celsius

    @applies
    def serviced(self, event: Serviced) -> None:
        self.state.services += 1
