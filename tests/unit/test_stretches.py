"""What was read from the log again is that, whatever was read before and has come since."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.event import Event
from runtime.processing.stretches import Stretches
from streams.program import Stretch
from tests.contracts.appending import made_event

DAY = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE_US = 60_000_000
DAY_US = int(DAY.timestamp()) * 1_000_000

moments = st.integers(-300, 300)
steps = st.lists(
    st.tuples(moments, st.sampled_from("ab"), st.none() | st.tuples(moments, st.integers(1, 90))),
    max_size=30,
)


def route(event: Event) -> Sequence[tuple[str, Any]]:
    return [(event.source, event.position)]


@given(steps, st.integers(1, 3), st.integers(1, 10))
async def test_what_is_kept_is_what_the_log_has(
    happened: list[tuple[int, str, tuple[int, int] | None]], most: int, items: int
) -> None:
    log: list[Event] = []
    reads = 0

    async def read(stretch: Stretch, through: int) -> Sequence[Event]:
        nonlocal reads
        reads += 1
        return [
            event
            for event in log[:through]
            if stretch.start_us <= event.timestamp_us < stretch.end_us
        ]

    stretches = Stretches(read, route)
    stretches.MOST, stretches.ITEMS = most, items
    for position, (minute, name, wanted) in enumerate(happened, 1):
        event = made_event(name, timestamp=DAY + timedelta(minutes=minute), position=position)
        log.append(event)
        stretches.arrived(event, route(event))
        if wanted is None:
            continue
        start_us = DAY_US + wanted[0] * MINUTE_US
        stretch = Stretch(start_us, start_us + wanted[1] * MINUTE_US)
        found = await stretches.items(name, stretch, event)
        theirs = [
            each
            for each in sorted(log, key=lambda one: (one.timestamp_us, one.position))
            if each.source == name and stretch.start_us <= each.timestamp_us < stretch.end_us
        ]
        assert found == [(each.position, each) for each in theirs]
        assert len(stretches._kept) <= max(most, 2)


async def test_stretches_that_are_near_share_what_was_read() -> None:
    places: list[Stretch] = []

    async def read(stretch: Stretch, through: int) -> Sequence[Event]:
        places.append(stretch)
        return []

    stretches = Stretches(read, route)
    event = made_event("a", position=1)
    for minute in range(0, 600, 7):
        start_us = DAY_US + minute * MINUTE_US
        await stretches.items("a", Stretch(start_us, start_us + 60 * MINUTE_US), event)
    assert len(places) == len(set(places)) <= 11
