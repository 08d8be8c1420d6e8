"""The replay in another order: a tenth of what is reported comes late, and nothing else differs."""

from collections import defaultdict

import pytest

from actors.devices import DepartFlight, ScheduleFlight
from jobs.flights.air_traffic import AirTraffic, Occurrence
from jobs.flights.late_reports import reported_late

DAYS = 3
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def in_order() -> list[Occurrence]:
    return list(AirTraffic(DAYS).occurrences())


@pytest.fixture(scope="module")
def as_reported(in_order: list[Occurrence]) -> list[Occurrence]:
    return list(reported_late(in_order, 5))


def test_they_are_the_same_and_the_order_is_the_same_in_every_run(
    in_order: list[Occurrence], as_reported: list[Occurrence]
) -> None:
    assert as_reported != in_order
    assert sorted(one.command_id for one in as_reported) == sorted(
        one.command_id for one in in_order
    )
    assert list(reported_late(in_order, 5)) == as_reported


def test_a_tenth_is_late_by_up_to_so_many_days(as_reported: list[Occurrence]) -> None:
    newest_us, late = 0, []
    departures = [one for one in as_reported if isinstance(one.message, DepartFlight)]
    for one in departures:
        if one.at_us < newest_us:
            late.append(newest_us - one.at_us)
        newest_us = max(newest_us, one.at_us)
    assert 0.08 * len(departures) < len(late) < 0.12 * len(departures)
    assert DAY_US < max(late) < 5 * DAY_US


def test_what_becomes_of_a_flight_is_reported_in_its_order(as_reported: list[Occurrence]) -> None:
    steps: dict[tuple[str, str], list[Occurrence]] = defaultdict(list)
    for one in as_reported:
        if (flight := getattr(one.message, "flight", None)) is not None:
            steps[one.name, flight].append(one)
    for taken in steps.values():
        assert isinstance(taken[0].message, ScheduleFlight)
        assert [one.at_us for one in taken] == sorted(one.at_us for one in taken)
