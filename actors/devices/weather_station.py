"""Weather stations: hourly observations of one airport's weather, and their extremes.

A value that the station did not measure is None. The units are those of the US
stations (degrees Fahrenheit, miles an hour, inches, millibars, miles): they are facts
as reported, so they are kept as they came, implausible ones too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from actors.actor import Actor, Command, applies, handles
from actors.event import DeviceEvent, Payload


class Readings(BaseModel):
    """What a station measures; where is the station's name, when the message's time."""

    temperature_f: float | None = None
    dew_point_f: float | None = None
    humidity_percent: float | None = None
    wind_direction_deg: int | None = None
    wind_speed_mph: float | None = None
    wind_gust_mph: float | None = None
    precipitation_in: float | None = None
    pressure_mbar: float | None = None
    visibility_mi: float | None = None


class ObserveWeather(Readings, Command):
    """Take down one observation."""


class WeatherObserved(Readings, DeviceEvent):
    """One observation was made."""


@dataclass(slots=True)
class WeatherStationState:
    """The last observation, how many there were, and the extremes of temperature."""

    last: WeatherObserved | None = None
    observations: int = 0
    without_temperature: int = 0
    min_temperature_f: float | None = None
    max_temperature_f: float | None = None


class WeatherStation(Actor[WeatherStationState]):
    """One station, named by its airport. Takes every observation; `last` is the one that
    came last, which is the newest as long as they come in their order."""

    @handles
    def observe(self, message: ObserveWeather) -> Iterator[Payload]:
        """Every observation is a fact."""
        yield WeatherObserved(**message.__dict__)

    @applies
    def observed(self, event: WeatherObserved) -> None:
        """Keep the last one and the extremes."""
        state = self.state
        state.last = event
        state.observations += 1
        temperature = event.temperature_f
        if temperature is None:
            state.without_temperature += 1
            return
        if state.min_temperature_f is None or temperature < state.min_temperature_f:
            state.min_temperature_f = temperature
        if state.max_temperature_f is None or temperature > state.max_temperature_f:
            state.max_temperature_f = temperature
