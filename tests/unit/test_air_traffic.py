"""The traffic of 2013, checked on the real files: counts, times in UTC, order, ids."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from statistics import median
from typing import NamedTuple
from uuid import UUID

import pytest

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
from jobs import air_traffic
from jobs.air_traffic import AirTraffic, Clocks, DataUnusable, LocalTime, Occurrence

type_order = [ScheduleFlight, DepartFlight, CancelFlight, ArriveFlight, DivertFlight]


class Seen(NamedTuple):
    """One walk over the year, kept small: what the tests below ask about."""

    flights: dict[str, list[tuple[int, str]]]  # flight -> (minute, command) in their order
    air_time: dict[str, int]
    destination: dict[str, str]
    ids: set[bytes]
    total: int
    out_of_order: int
    wrong_id_times: int
    observations: dict[tuple[str, int], float | None]  # (station, minute) -> temperature
    aircraft: set[str]


@pytest.fixture(scope="module")
def year() -> AirTraffic:
    return AirTraffic()


@pytest.fixture(scope="module")
def seen(year: AirTraffic) -> Seen:
    return walk(year.occurrences())
