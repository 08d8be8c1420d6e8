"""The example of actors that listen: an airport that says when it is congested."""

from datetime import UTC, datetime, timedelta

from actors.event import Event, Kind
from actors.examples.airport import (
    Airport,
    AirportCleared,
    AirportCongested,
    DepartureSeen,
    WeatherSeen,
)
from actors.ids import uuid_of
from actors.naming import aggregate_id_of
from store.scenario import Scenario

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


def event(event_type: str, source: str, minute: float, **data: object) -> Event:
    number = int(minute * 100) + 1
    return Event(
        id=uuid_of(number.to_bytes(16)),
        event_type=event_type,
        kind=Kind.DEVICE,
        source=source,
        aggregate_id=aggregate_id_of(source),
        timestamp=NOON + timedelta(minutes=minute),
        data=dict(data),
    )


def departed(minute: float, delay_min: int, origin: str = "EWR") -> Event:
    return event("flight-departed", "aircraft/N1", minute, origin=origin, delay_min=delay_min)


def observed(minute: float, visibility_mi: float, wind_mph: float = 5.0) -> Event:
    return event(
        "weather-observed", "weather-station/EWR", minute,
        visibility_mi=visibility_mi, wind_speed_mph=wind_mph,
    )  # fmt: skip


def test_it_is_congested_when_ten_of_an_hour_were_late_and_says_what_contributed() -> None:
    airport = Scenario(Airport, "EWR")
    fog = observed(0, 0.5, 30.0)
    airport.when(fog).then(
        WeatherSeen(observed=str(fog.id), visibility_mi=0.5, wind_speed_mph=30.0)
    )
    for minute in range(1, 10):
        airport.when(departed(minute, 40)).then(DepartureSeen(delay_min=40))
    airport.when(departed(10, 20)).then(
        DepartureSeen(delay_min=20),
        AirportCongested(
            departures=10,
            mean_delay_min=38.0,
            contributing=("one sees 0.5 miles", "wind of 30 miles an hour"),
            weather=str(fog.id),
        ),
    )
    airport.when(departed(11, 40)).then(DepartureSeen(delay_min=40))


def test_it_is_cleared_when_flights_leave_in_time_again() -> None:
    airport = Scenario(Airport, "EWR")
    for minute in range(10):
        airport.when(departed(minute, 30))
    assert airport.state.congested
    for minute in range(10, 20):
        airport.when(departed(minute, 0)).then(DepartureSeen(delay_min=0))
    airport.when(departed(20, 0)).then(
        DepartureSeen(delay_min=0), AirportCleared(departures=21, mean_delay_min=300 / 21)
    )


def test_an_hour_later_what_was_late_counts_no_more() -> None:
    airport = Scenario(Airport, "EWR")
    for minute in range(9):
        airport.when(departed(minute, 60))
    airport.when(departed(90, 60)).then(DepartureSeen(delay_min=60))
    assert len(airport.state.departures) == 1


def test_the_weather_alone_makes_no_congestion_and_other_airports_are_none() -> None:
    airport = Scenario(Airport, "EWR")
    airport.when(observed(0, 0.1))
    assert not airport.state.congested
    listeners = {each.message_type: each.listening for each in Airport.described().listeners}
    flights = listeners["$heard.departed"]
    assert flights.names(departed(0, 0, "LGA")) == ("LGA",)
    assert flights.names(departed(0, 0, "BOS")) == ()
