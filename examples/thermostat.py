"""A thermostat: each report is in the log before its reply, or rejected with a reason."""

from collections.abc import Iterator
from dataclasses import dataclass

from thornback import Actor, ActorSystem, Command, DeviceEvent, Rejected, applies, handles


class ReportTemperature(Command):
    celsius: float


class TemperatureReported(DeviceEvent):
    celsius: float


@dataclass
class ThermostatState:
    celsius: float | None = None


class Thermostat(Actor[ThermostatState]):
    @handles
    def report(self, message: ReportTemperature) -> Iterator[TemperatureReported]:
        if message.celsius < -273.15:
            raise Rejected("below absolute zero")
        yield TemperatureReported(celsius=message.celsius)

    @applies
    def reported(self, event: TemperatureReported) -> None:
        self.state.celsius = event.celsius


if __name__ == "__main__":
    with ActorSystem.connect() as system:
        kitchen = system.actor(Thermostat, "kitchen")
        for event in kitchen.ask(ReportTemperature(celsius=21.5)).result():
            print(event.source, event.event_type, event.data, "version", event.version)
        try:
            kitchen.ask(ReportTemperature(celsius=-300)).result()
        except Rejected as rejection:
            print("rejected:", rejection)
        print(kitchen.state().result())
