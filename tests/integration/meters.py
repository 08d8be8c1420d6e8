"""One meter in three releases: what its events are called, and what their fields mean, changes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent
from actors.schema import upcasts

Data = dict[str, Any]


class Charge(Command):
    kwh: float


class Charged(DeviceEvent):
    """Of the first release, which knew no schema versions: in watt-hours."""

    energy: float


@dataclass
class MeterState:
    kwh: float = 0.0


class Meter(Actor[MeterState]):
    indexes = ("kwh",)

    @handles
    def charge(self, message: Charge) -> Iterator[Charged]:
        yield Charged(energy=message.kwh * 1_000)

    @applies
    def charged(self, event: Charged) -> None:
        self.state.kwh += event.energy / 1_000


class EnergyDelivered(DeviceEvent):
    """Of the second one: another class, and the name in the log stays."""

    event_type = "charged"
    schema_version = 2
    kwh: float

    @upcasts(1)
    @staticmethod
    def in_kilowatt_hours(data: Data) -> Data:
        return {"kwh": data["energy"] / 1_000}


@dataclass
class Counted:
    """A state with one more field: a snapshot of before fits, and would be wrong."""

    kwh: float = 0.0
    charges: int = 0


class Electricity(Actor[Counted]):
    actor_type = "meter"
    replaces = (Meter.class_name(),)
    indexes = ("kwh",)

    @handles
    def charge(self, message: Charge) -> Iterator[EnergyDelivered]:
        yield EnergyDelivered(kwh=message.kwh)

    @applies
    def delivered(self, event: EnergyDelivered) -> None:
        self.state.kwh += event.kwh
        self.state.charges += 1


class Delivered(DeviceEvent):
    """Of the third one: with a tariff."""

    event_type = "charged"
    schema_version = 3
    kwh: float
    tariff: str

    in_kilowatt_hours: ClassVar[Any] = EnergyDelivered.in_kilowatt_hours

    @upcasts(2)
    @staticmethod
    def with_a_tariff(data: Data) -> Data:
        return {**data, "tariff": "standard"}


@dataclass
class ByTariff:
    kwh: float = 0.0
    by_tariff: dict[str, float] = field(default_factory=dict)


class Tariffs(Actor[ByTariff]):
    actor_type = "meter"
    replaces = (Electricity.class_name(), Meter.class_name())
    indexes = ("kwh",)

    @handles
    def charge(self, message: Charge) -> Iterator[Delivered]:
        yield Delivered(kwh=message.kwh, tariff="night")

    @applies
    def delivered(self, event: Delivered) -> None:
        self.state.kwh += event.kwh
        before = self.state.by_tariff.get(event.tariff, 0.0)
        self.state.by_tariff[event.tariff] = before + event.kwh
