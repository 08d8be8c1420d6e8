"""Local times of 2013 as moments: what the clocks of a zone showed, and when."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

DAYS = 365
DAY_MIN = 24 * 60


@cache
def midnight(month: str, day: str) -> int:
    """What clocks show when the day begins."""
    return int(datetime(2013, int(month), int(day), tzinfo=UTC).timestamp()) // 60


@cache  # called a million times for 1,440 answers
def clock_min(hhmm: str) -> int:
    """A time of day in minutes: 517 is 5:17, and the files write midnight as 2400."""
    return int(hhmm) // 100 * 60 + int(hhmm) % 100


class LocalTime:
    """What the clocks of a time zone showed in 2013, all in whole minutes since 1970.

    For zones whose offsets are whole hours and change on the hour, as those of the United
    States are: tables by hour answer in a tenth of the time that zoneinfo takes.
    """

    def __init__(self, zone: str) -> None:
        self._first = midnight("1", "1") // 60 - 24
        self._offsets: list[int] = []  # by UTC hour
        self._shown_at: dict[int, int] = {}  # by local hour, when it was first shown
        self._shown_again: dict[int, int] = {}  # autumn's repeated hour
        for hour in range(self._first, self._first + (DAYS + 4) * 24):
            shown = datetime.fromtimestamp(hour * 3600, ZoneInfo(zone))
            offset = (shown.utcoffset() or timedelta()) // timedelta(minutes=1)
            if self._offsets and offset > self._offsets[-1]:
                # Spring's skipped hour is read as if clocks had not been changed yet.
                self._shown_at[hour + self._offsets[-1] // 60] = self._offsets[-1]
            self._offsets.append(offset)
            local = hour + offset // 60
            (self._shown_again if local in self._shown_at else self._shown_at)[local] = offset

    def at(self, local_min: int) -> int:
        """The moment at which clocks showed this, the first one if they did so twice."""
        return local_min - self._shown_at[local_min // 60]

    def nearest(self, time_of_day: int, to: int) -> int:
        """The moment nearest `to` at which clocks showed this time of day."""
        local = to + self._offsets[to // 60 - self._first]
        local += (time_of_day - local + DAY_MIN // 2) % DAY_MIN - DAY_MIN // 2
        first = self.at(local)
        if local // 60 in self._shown_again:
            second = local - self._shown_again[local // 60]
            return min(first, second, key=lambda moment: abs(moment - to))
        return first
