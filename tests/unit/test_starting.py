"""Where a reader begins that names a moment, and what one hears that does not catch up."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actors.event import Kind
from runtime.driver.selecting import selection_of
from runtime.driver.starting import check_live, checked_start, position_of
from runtime.errors import Lagged
from runtime.partition.feed import Feed
from runtime.partition.pages_ahead import Gap
from tests.contracts.appending import Log, made_event
from tests.unit.feeding import Partition, fed
from tests.unit.subscribing import LIMIT_S, Driving, taken
from tests.virtual_time import settled, virtual_time

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def driving() -> Iterator[Driving]:
    one = Driving()
    yield one
    one.connection.close()


async def written(partition: Partition, seconds: list[int]) -> None:
    """An event for each, committed at that second."""
    log = await Log.open(partition.log)
    for version, second in enumerate(seconds, 1):
        log.recorded_us = int((T0 + second * SECOND).timestamp() * 1_000_000)
        await log.append(made_event("a", version))
    partition.restart_bus()


@pytest.mark.parametrize(
    ("second", "position"), [(-1, 0), (0, 0), (1, 1), (4, 1), (5, 1), (6, 3), (9, 3), (10, 5)]
)
async def test_a_moment_begins_with_the_first_event_that_was_committed_then_or_later(
    second: int, position: int
) -> None:
    partition = Partition()
    await written(partition, [0, 5, 5, 9, 9])
    access = partition.access()
    assert await position_of(access, T0 + second * SECOND) == position
    await access.close()


async def test_in_an_empty_log_every_moment_is_the_beginning() -> None:
    access = Partition().access()
    assert await position_of(access, T0) == 0
    await access.close()


async def test_a_moment_to_come_is_now_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    partition = Partition()
    await written(partition, [0, 5])
    access = partition.access()
    with caplog.at_level(logging.WARNING, "thornback.driver"):
        assert await position_of(access, datetime(9999, 1, 1, tzinfo=UTC)) == 2
    assert "is still to come: it begins with what is committed from now on" in caplog.text
    await access.close()


@pytest.mark.parametrize("wrong", [T0.replace(tzinfo=None), -1, 1.5, "now", True])
def test_what_is_no_start_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"a position is a number|has no time zone"):
        checked_start(wrong)


def test_who_wants_to_miss_nothing_says_no_more_than_from_where() -> None:
    check_live(True, 3, None)
    check_live(False, None, None)
    for after, name in ((0, None), (T0, None), (None, "billing")):
        with pytest.raises(ValueError, match="neither after= nor name="):
            check_live(False, after, name)


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        ("device", (Kind.DEVICE,)),
        (["business", Kind.DEVICE, "device"], (Kind.DEVICE, Kind.BUSINESS)),
        (("device", "system", "business"), ()),
        ((), ()),
    ],
)
def test_kinds_are_written_down_in_one_way(kinds: Any, wanted: tuple[Kind, ...]) -> None:
    assert selection_of("*", "*", kinds).kinds == wanted


@pytest.mark.parametrize("kinds", ["alarm", ["device", "x"], 3, None])
def test_what_is_no_kind_is_refused(kinds: Any) -> None:
    with pytest.raises(ValueError, match="a kind of event is one of 'device', 'system', 'bus"):
        selection_of("*", "*", kinds)


@virtual_time
async def test_who_falls_behind_and_does_not_catch_up_has_a_gap_with_what_it_missed() -> None:
    partition = Partition(buffer_size=2)
    feed = partition.feed("a", catch_up=False)
    await feed.begin()
    for _ in range(Feed.AHEAD_PAGES):
        await partition.commit("a")
        await settled()  # each is a page of its own, and nobody takes it
    for _ in range(4):
        await partition.commit("a", "b", "a")  # of the last one two are kept
    pages = [await feed.next_page() for _ in range(4)]
    assert [page and page.through for page in pages] == [1, 2, 3, 15]
    assert [page.missed for page in pages if isinstance(page, Gap)] == [8]
    await partition.commit("a")
    assert await fed(feed, 1) == [16]


@virtual_time
async def test_a_gap_that_nobody_took_yet_is_not_lost_behind_what_says_only_how_far_it_came() -> (
    None
):
    partition = Partition()
    feed = partition.feed("a", catch_up=False)
    await feed.begin()
    await partition.append(made_event("a"), made_event("c"))
    partition.restart_bus()  # what was committed is not in its buffer
    for _ in range(3):
        await settled()
        await asyncio.sleep(Feed.WAIT_S)
        await partition.commit("b")
    page = await feed.next_page()
    assert isinstance(page, Gap)
    assert (page.missed, page.through) == (1, 2)


def test_a_live_subscription_says_how_many_it_missed_and_goes_on(driving: Driving) -> None:
    subscription = driving.subscribe(after=None, catch_up=False)
    driving.commit("a")
    assert taken(subscription, 1) == [1]
    driving.run(driving.partition.append(made_event("a", 2), made_event("a", 3)))
    driving.partition.restart_bus()
    with pytest.raises(
        Lagged, match=r"^2 events were missed, after position 1 and up to 3: "
    ) as lagged:
        next(iter(subscription))
    assert (lagged.value.missed, lagged.value.after, lagged.value.through) == (2, 1, 3)
    assert subscription.position == 3
    driving.run(
        driving.partition.publish(driving.run(driving.partition.append(made_event("a", 4))))
    )
    assert taken(subscription, 1) == [4]


async def test_so_does_one_that_is_read_asynchronously(driving: Driving) -> None:
    subscription = driving.subscribe(after=None, catch_up=False)
    driving.run(driving.partition.append(made_event("a", 1), made_event("a", 2)))
    driving.partition.restart_bus()
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(Lagged, match=r"^2 events were missed"):
            await anext(subscription)
        driving.run(
            driving.partition.publish(driving.run(driving.partition.append(made_event("a", 3))))
        )
        assert (await anext(subscription)).position == 3
