"""The same traffic, reported out of order: a tenth of what flights and stations report comes late.

Who is late, and how late, follows from the report alone, so it is the same in every run. A flight
that is late is so with all that becomes of it, because nobody arrives before he has left; that it
is scheduled is known in time.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import count
from zlib import crc32

from actors.devices import ScheduleFlight
from jobs.flights.air_traffic import MINUTE_US, Occurrence
from jobs.flights.local_time import DAY_MIN


def reported_late(occurrences: Iterable[Occurrence], days: int) -> Iterator[Occurrence]:
    """Occurrences by time, in the order in which they are reported: of ten, nine at once, and one
    up to so many days late. Each keeps the moment at which it happened."""
    waiting: list[tuple[int, int, Occurrence]] = []
    for number, occurrence in zip(count(), occurrences):
        while waiting and waiting[0][0] <= occurrence.at_us:
            yield heappop(waiting)[2]
        late_us = _late_us(occurrence, days)
        if late_us:
            heappush(waiting, (occurrence.at_us + late_us, number, occurrence))
        else:
            yield occurrence
    while waiting:
        yield heappop(waiting)[2]


def _late_us(occurrence: Occurrence, days: int) -> int:
    message = occurrence.message
    if isinstance(message, ScheduleFlight):
        return 0
    of = getattr(message, "flight", occurrence.at_us)
    drawn = crc32(f"{occurrence.name} {of}".encode())
    return 0 if drawn % 10 else drawn // 10 % (days * DAY_MIN) * MINUTE_US
