"""The example pipelines over days of real traffic, a tenth of which comes up to two days late,
against what plain Python makes of the same events in order."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any

import pytest

from actors.event import Event
from streams.examples import (
    AIRCRAFT_DAYS,
    AIRPORT_DELAYS,
    CARRIER_DELAYS,
    DEPARTURES_IN_WEATHER,
    AircraftDay,
    AirportDelay,
    CarrierDelay,
    DepartureInWeather,
)
from streams.pipeline import EventPipeline
from streams.scenario import StreamScenario
from tests.unit.streams.flown import flown, out_of_order

DAYS = 2
HOUR = timedelta(hours=1)
HALF_AN_HOUR = timedelta(minutes=30)

#: Long after the last arrival.
END = datetime.fromisoformat("2013-02-01T00:00:00Z")


@cache
def in_order() -> list[Event]:
    return flown(DAYS)


def run(pipeline: EventPipeline, *, shuffled: bool) -> StreamScenario:
    events = out_of_order(in_order(), Random(2013)) if shuffled else in_order()
    return StreamScenario(pipeline).given(*events).given_time(END)


def standing(scenario: StreamScenario) -> list[Any]:
    """Of results of windows those that nothing has replaced."""
    found: dict[tuple[Any, ...], Any] = {}
    for key, result, _ in scenario.outputs:
        assert isinstance(result, (CarrierDelay, AirportDelay, AircraftDay))
        for each in result.replaces:
            del found[key, each.start, each.end, each.revision]
        found[key, result.window.start, result.window.end, result.revision] = result
    return list(found.values())


def of_types(*event_types: str) -> list[Event]:
    return [event for event in in_order() if event.event_type in event_types]


def mean(values: list[int]) -> float | None:
    return sum(values) / len(values) if values else None


def floor(moment: datetime, minutes: int) -> datetime:
    return moment.replace(minute=moment.minute // minutes * minutes, second=0, microsecond=0)


both_orders = pytest.mark.parametrize("shuffled", [False, True], ids=["in-order", "shuffled"])


@both_orders
def test_mean_delay_by_carrier_in_tumbling_hours(shuffled: bool) -> None:
    delays: dict[tuple[str, datetime], list[int]] = defaultdict(list)
    for event in of_types("flight-departed"):
        delays[event.data["carrier"], floor(event.timestamp, 60)].append(event.data["delay_min"])
    expected = {
        (carrier, hour, hour + HOUR): (len(found), mean(found), max(found))
        for (carrier, hour), found in delays.items()
    }
    scenario = run(CARRIER_DELAYS, shuffled=shuffled)
    last = standing(scenario)
    assert len(expected) > 300
    assert {
        (each.carrier, each.window.start, each.window.end): (
            each.departures,
            each.mean_delay_min,
            each.worst_delay_min,
        )
        for each in last
    } == expected
    assert len(last) == len(expected)
    assert (len(scenario.outputs) > len(expected)) is shuffled


@both_orders
def test_rolling_delay_by_airport_with_visibility(shuffled: bool) -> None:
    inside: dict[tuple[str, datetime], list[Event]] = defaultdict(list)
    for event in of_types("flight-departed", "weather-observed"):
        airport = event.data.get("origin") or event.source.partition("/")[2]
        start = floor(event.timestamp, 30)
        while start > event.timestamp - HOUR:
            inside[airport, start].append(event)
            start -= HALF_AN_HOUR
    expected = {}
    for (airport, start), events in inside.items():
        delays = [event.data["delay_min"] for event in events if "delay_min" in event.data]
        seen = [(event.timestamp, event.data["visibility_mi"]) for event in events
                if event.data.get("visibility_mi") is not None]  # fmt: skip
        latest = max(seen)[1] if seen else None
        expected[airport, start] = (len(delays), mean(delays), latest)
    last = standing(run(AIRPORT_DELAYS, shuffled=shuffled))
    assert len(expected) > 250
    assert {
        (each.airport, each.window.start): (
            each.departures,
            each.mean_delay_min,
            each.visibility_mi,
        )
        for each in last
    } == expected
    assert {each.window.end - each.window.start for each in last} == {HOUR}


@both_orders
def test_days_of_aircraft(shuffled: bool) -> None:
    rest = timedelta(hours=6)
    of_aircraft: dict[str, list[Event]] = defaultdict(list)
    for event in of_types("flight-departed", "flight-arrived", "flight-diverted"):
        of_aircraft[event.source.partition("/")[2]].append(event)
    expected = {}
    for tail_number, events in of_aircraft.items():
        for day in _days(events, rest):
            whole = (tail_number, day[0].timestamp, day[-1].timestamp + rest)
            expected[whole] = (
                sum(event.event_type == "flight-departed" for event in day),
                sum(event.event_type == "flight-arrived" for event in day),
                sum(event.data.get("air_time_min", 0) for event in day),
            )
    last = standing(run(AIRCRAFT_DAYS, shuffled=shuffled))
    assert len(expected) > 1000
    assert {
        (each.tail_number, each.window.start, each.window.end): (
            each.departures,
            each.arrivals,
            each.air_time_min,
        )
        for each in last
    } == expected


def _days(events: list[Event], rest: timedelta) -> Iterable[list[Event]]:
    day: list[Event] = []
    for event in events:
        if day and event.timestamp - day[-1].timestamp >= rest:
            yield day
            day = []
        day.append(event)
    yield day


@both_orders
def test_departures_with_the_weather_at_that_hour(shuffled: bool) -> None:
    seen: dict[str, list[tuple[datetime, Any]]] = defaultdict(list)
    for event in of_types("weather-observed"):
        seen[event.source.partition("/")[2]].append((event.timestamp, event.data["visibility_mi"]))
    expected = {}
    for event in of_types("flight-departed"):
        then = [each for each in seen[event.data["origin"]]
                if timedelta(0) <= event.timestamp - each[0] <= 2 * HOUR]  # fmt: skip
        expected[str(event.id)] = (event.data["flight"], max(then)[1] if then else None)
    last: dict[str, DepartureInWeather] = {}
    for _, each, _ in run(DEPARTURES_IN_WEATHER, shuffled=shuffled).outputs:
        assert isinstance(each, DepartureInWeather)
        assert each.replaces == (last[each.of].revision if each.of in last else None)
        last[each.of] = each
    assert len(expected) > 1500
    assert {of: (each.flight, each.visibility_mi) for of, each in last.items()} == expected
