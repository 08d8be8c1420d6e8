"""The clocks of a zone through 2013, with the hour that was skipped and the one shown twice."""

from datetime import datetime

import pytest

from jobs.flights.local_time import LocalTime


def minute(text: str) -> int:
    """`2013-01-01T10:17Z` in minutes since 1970."""
    return int(datetime.fromisoformat(text).timestamp()) // 60


@pytest.mark.parametrize(
    ("time_of_day", "near", "found"),
    [
        (90, "2013-11-03T05:10Z", "2013-11-03T05:30Z"),  # 1:30 for the first time
        (90, "2013-11-03T06:20Z", "2013-11-03T06:30Z"),  # and again
        (150, "2013-03-10T07:00Z", "2013-03-10T07:30Z"),  # 2:30 was skipped: 3:30
        (5, "2013-06-01T03:50Z", "2013-06-01T04:05Z"),  # over midnight
        (23 * 60, "2013-06-01T04:10Z", "2013-06-01T03:00Z"),  # and back
    ],
)
def test_the_nearest_time_of_day_is_found_across_midnight_and_changes_of_clocks(
    time_of_day: int, near: str, found: str
) -> None:
    clocks = LocalTime("America/New_York")
    assert clocks.nearest(time_of_day, minute(near)) == minute(found)
