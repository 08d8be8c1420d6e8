"""The three airports of New York: each listens to the flights that leave it and to its weather
station, and says when it is congested, and when it is so no longer.

It is congested when at least TEN departures of the last hour were LATE minutes late on average, and
is cleared when that falls below half of it, or hardly anything leaves. So it does not say both in
turns at the limit. The weather decides nothing: it is recorded as what may have contributed.

    system.run(Airport)
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from actors.actor import Actor, applies
from actors.event import BusinessEvent, Event
from actors.listening import listens

AIRPORTS = ("EWR", "JFK", "LGA")

#: Departures of an hour that are enough to speak of, and minutes late on average that are too many.
TEN, LATE = 10, 30.0
#: Miles that one sees, and miles an hour of wind, beyond which the weather is in the way.
SEES_MI, WIND_MPH = 3.0, 25.0

HOUR_US = 3_600_000_000


class DepartureSeen(BusinessEvent):
    delay_min: int


class WeatherSeen(BusinessEvent):
    observed: str  #: the id of the event that says so
    visibility_mi: float | None
    wind_speed_mph: float | None


class AirportCongested(BusinessEvent):
    departures: int  #: of the last hour
    mean_delay_min: float
    contributing: tuple[str, ...] = ()  #: what of the weather may have contributed
    weather: str | None = None  #: the id of the event that says so


class AirportCleared(BusinessEvent):
    departures: int
    mean_delay_min: float | None


@dataclass
class Departure:
    at_us: int
    delay_min: int


@dataclass
class AirportState:
    departures: list[Departure] = field(default_factory=list)  #: of the last hour of event time
    congested: bool = False
    observed: str = ""
    visibility_mi: float | None = None
    wind_speed_mph: float | None = None


def _origin(event: Event) -> str | None:
    origin: str | None = event.data.get("origin")
    return origin if origin in AIRPORTS else None


def _station(event: Event) -> str | None:
    name = event.source.partition("/")[2]
    return name if name in AIRPORTS else None


class Airport(Actor[AirportState]):
    """One of AIRPORTS, by its code."""

    @listens("flight-departed", sources="aircraft/*", name=_origin)
    def departed(self, event: Event) -> Iterator[DepartureSeen | AirportCongested | AirportCleared]:
        delay_min = int(event.data["delay_min"])
        yield DepartureSeen(delay_min=delay_min)
        hour = [*_of_hour(self.state.departures, self.at_us), Departure(self.at_us, delay_min)]
        mean_min = sum(one.delay_min for one in hour) / len(hour)
        if not self.state.congested and len(hour) >= TEN and mean_min >= LATE:
            contributing = tuple(self._contributing())
            yield AirportCongested(
                departures=len(hour),
                mean_delay_min=mean_min,
                contributing=contributing,
                weather=self.state.observed if contributing else None,
            )
        elif self.state.congested and (len(hour) < TEN // 2 or mean_min < LATE / 2):
            yield AirportCleared(departures=len(hour), mean_delay_min=mean_min)

    @listens("weather-observed", sources="weather-station/*", name=_station)
    def observed(self, event: Event) -> Iterator[WeatherSeen]:
        yield WeatherSeen(
            observed=str(event.id),
            visibility_mi=event.data.get("visibility_mi"),
            wind_speed_mph=event.data.get("wind_speed_mph"),
        )

    def _contributing(self) -> Iterator[str]:
        sees, wind = self.state.visibility_mi, self.state.wind_speed_mph
        if sees is not None and sees < SEES_MI:
            yield f"one sees {sees:g} miles"
        if wind is not None and wind > WIND_MPH:
            yield f"wind of {wind:g} miles an hour"

    @applies
    def saw_departure(self, event: DepartureSeen) -> None:
        kept = _of_hour(self.state.departures, self.at_us)
        self.state.departures = [*kept, Departure(self.at_us, event.delay_min)]

    @applies
    def saw_weather(self, event: WeatherSeen) -> None:
        self.state.observed = event.observed
        self.state.visibility_mi = event.visibility_mi
        self.state.wind_speed_mph = event.wind_speed_mph

    @applies
    def became_congested(self, event: AirportCongested) -> None:
        self.state.congested = True

    @applies
    def became_clear(self, event: AirportCleared) -> None:
        self.state.congested = False


def _of_hour(departures: list[Departure], at_us: int) -> list[Departure]:
    """Those of the hour up to a moment; flights are reported a little out of order."""
    newest_us = max([at_us, *(one.at_us for one in departures)])
    return [one for one in departures if one.at_us > newest_us - HOUR_US]
