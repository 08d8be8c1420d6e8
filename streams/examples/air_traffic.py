"""Four pipelines over flights and weather, and the events that they put out.

Event time is that of departures, arrivals and observations. Results wait for some hours of it;
whatever comes later corrects what is out. Who replays months in a minute has events come days out
of order, and runs them `with_disorder`.
"""

from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from actors.event import BusinessEvent, Event
from streams.aggregates import Count, Latest, Max, Mean, Min, Sum
from streams.join import Joined
from streams.pipeline import EventPipeline
from streams.windows import Session, Sliding, Tumbling, WindowResult

_HOUR = timedelta(hours=1)

#: So much later than another event one may come and be in time.
_DISORDER = timedelta(hours=6)
#: So long a correction needs no look into the log.
_LATENESS = timedelta(days=2)


class Window(BaseModel):
    """A stretch of event time; its end is not in it."""

    start: datetime
    end: datetime


class ReplacedWindow(Window):
    """A result that no longer holds."""

    revision: int


class Windowed(BaseModel):
    """What every result of a window has."""

    window: Window
    revision: int
    replaces: list[ReplacedWindow]


class CarrierDelay(Windowed, BusinessEvent):
    """How late the departures of one carrier were in one hour."""

    carrier: str
    departures: int
    mean_delay_min: float | None
    worst_delay_min: int | None


class AirportDelay(Windowed, BusinessEvent):
    """How late the departures of an airport were in an hour, and how far one could see."""

    airport: str
    departures: int
    mean_delay_min: float | None
    visibility_mi: float | None  #: the last that was observed in that hour
    least_visibility_mi: float | None


class AircraftDay(Windowed, BusinessEvent):
    """What an aircraft did between two long rests."""

    tail_number: str
    departures: int
    arrivals: int
    air_time_min: int
    worst_delay_min: int | None


class DepartureInWeather(BusinessEvent):
    """A departure, with the weather of its origin at that hour."""

    flight: str
    origin: str
    delay_min: int
    visibility_mi: float | None
    wind_speed_mph: float | None
    of: str  #: the id of the departure's event
    revision: int
    replaces: int | None


def _carrier_delay(result: WindowResult) -> CarrierDelay:
    return CarrierDelay(carrier=result.key, **result.data)


def _airport_of(event: Event) -> str:
    """Where it was: a station is named by its airport."""
    origin: str = event.data.get("origin") or event.source.partition("/")[2]
    return origin


def _airport_delay(result: WindowResult) -> AirportDelay:
    return AirportDelay(airport=result.key, **result.data)


def _tail_number(event: Event) -> str:
    return event.source.partition("/")[2]


def _aircraft_day(result: WindowResult) -> AircraftDay:
    return AircraftDay(tail_number=result.key, **result.data)


def _of_type(event_type: str) -> Any:
    return lambda event: True if event.event_type == event_type else None


def _departure_in_weather(joined: Joined) -> DepartureInWeather:
    weather = joined.other or {}
    return DepartureInWeather(
        **joined.item.data,
        visibility_mi=weather.get("visibility_mi"),
        wind_speed_mph=weather.get("wind_speed_mph"),
        of=joined.of,
        revision=joined.revision,
        replaces=joined.replaces,
    )


#: The mean delay of departures by carrier, in hours that follow on one another.
CARRIER_DELAYS = (
    EventPipeline("carrier-delays", "flight-departed", disorder=_DISORDER)
    .key_by("carrier")
    .window(
        Tumbling(_HOUR),
        {
            "departures": Count(),
            "mean_delay_min": Mean("delay_min"),
            "worst_delay_min": Max("delay_min"),
        },
        lateness=_LATENESS,
    )
    .emit(_carrier_delay)
)

#: The delay at each airport in the last hour, every half hour, with what could be seen then.
AIRPORT_DELAYS = (
    EventPipeline("airport-delays", ["flight-departed", "weather-observed"], disorder=_DISORDER)
    .key_by(_airport_of)
    .window(
        Sliding(_HOUR, every=timedelta(minutes=30)),
        {
            "departures": Count("delay_min"),
            "mean_delay_min": Mean("delay_min"),
            "visibility_mi": Latest("visibility_mi"),
            "least_visibility_mi": Min("visibility_mi"),
        },
        lateness=_LATENESS,
    )
    .emit(_airport_delay)
)

#: What each aircraft does from its first departure until it has rested for six hours.
AIRCRAFT_DAYS = (
    EventPipeline(
        "aircraft-days",
        ["flight-departed", "flight-arrived", "flight-diverted"],
        disorder=_DISORDER,
    )
    .key_by(_tail_number)
    .window(
        Session(timedelta(hours=6)),
        {
            "departures": Count(_of_type("flight-departed")),
            "arrivals": Count(_of_type("flight-arrived")),
            "air_time_min": Sum("air_time_min"),
            "worst_delay_min": Max("delay_min"),
        },
        lateness=_LATENESS,
    )
    .emit(_aircraft_day)
)

#: Each departure with the latest observation at its origin, which is at most two hours old.
DEPARTURES_IN_WEATHER = (
    EventPipeline("departures-in-weather", "flight-departed", disorder=_DISORDER)
    .key_by("origin")
    .join_latest("weather-observed", key=_airport_of, within=timedelta(hours=2), lateness=_LATENESS)
    .emit(_departure_in_weather)
)
