"""A feed in virtual time: from the log to live, whatever is away, and never too far ahead."""

import asyncio

import pytest

from runtime.errors import BusUnavailable, SystemNotFound
from runtime.partition.feed import Feed
from runtime.partition.log_access import LogAccess
from store.selection import EVERYTHING
from tests.unit.feeding import Partition, ReadFeed, fed, positions
from tests.virtual_time import now_s, settled, virtual_time


async def subscriptions(partition: Partition) -> int:
    """How many the bus knows of."""
    assert partition.bus is not None
    facts = await partition.bus.facts()
    assert facts is not None
    return facts.subscriptions


@virtual_time
async def test_from_a_position_it_reads_the_log_and_goes_on_live() -> None:
    partition = Partition(buffer_size=2)
    for _ in range(3):
        await partition.commit("a", "b")
    feed = partition.feed(after=1)
    assert await feed.begin() == 1
    assert await fed(feed, 5) == [2, 3, 4, 5, 6]
    await partition.commit("a")
    assert await fed(feed, 1) == [7]


@virtual_time
async def test_from_now_on_it_brings_what_is_committed_after_it_has_begun() -> None:
    partition = Partition()
    await partition.commit("a", "a")
    feed = partition.feed()
    assert await feed.begin() == 2
    await partition.commit("a")
    assert await fed(feed, 1) == [3]


@virtual_time
async def test_a_page_without_events_says_how_far_the_feed_came() -> None:
    partition = Partition()
    feed = partition.feed("wanted", after=0)
    await partition.commit("a", "b")
    page = await feed.next_page()
    assert page is not None
    assert (page.rows, page.through) == (b"", 2)


@virtual_time
async def test_empty_pages_that_nobody_takes_become_one() -> None:
    partition = Partition()
    feed = partition.feed("wanted", after=0)
    for _ in range(10):
        await partition.commit("a")
        await asyncio.sleep(2 * Feed.WAIT_S)
    assert feed.position == 10
    page = await feed.next_page()
    assert page is not None
    assert (page.rows, page.through) == (b"", 10)
    await partition.commit("wanted")
    assert await fed(feed, 1) == [11]


@virtual_time
async def test_while_the_bus_is_away_it_waits_in_growing_pauses_and_goes_on() -> None:
    partition = Partition()
    feed = partition.feed(after=0)
    await settled()
    partition.calls.clear()
    bus, partition.bus = partition.bus, None
    assert bus is not None
    waiting = asyncio.ensure_future(fed(feed, 2))
    await asyncio.sleep(60)
    pauses = [
        round(later - sooner, 6)
        for (sooner, _), (later, _) in zip(partition.calls, partition.calls[1:], strict=False)
    ]
    assert pauses == sorted(pauses)
    assert pauses[-1] == Feed.LONGEST_PAUSE_S
    assert len(pauses) < 60
    await partition.commit("a", "b")
    partition.restart_bus()
    assert await waiting == [1, 2]


@virtual_time
async def test_while_the_database_is_away_it_waits_and_goes_on() -> None:
    partition = Partition(buffer_size=1)
    await partition.commit("a", "b", "c")
    feed = partition.feed(after=0)
    assert await fed(feed, 3) == [1, 2, 3]
    await partition.commit("a", "b", "c")
    partition.log.away = True
    waiting = asyncio.ensure_future(fed(feed, 3))
    await asyncio.sleep(60)
    assert not waiting.done()
    partition.log.away = False
    assert await waiting == [4, 5, 6]


@virtual_time
async def test_a_bus_that_says_nothing_is_asked_again() -> None:
    partition = Partition()
    partition.bus_silent = True
    feed = partition.feed(after=0)
    await partition.commit("a")
    await settled()
    partition.bus_silent = False
    assert await fed(feed, 1) == [1]
    assert now_s() <= Feed.WAIT_S + LogAccess.ANSWER_S + Feed.PAUSE_S


@virtual_time
async def test_a_database_that_says_nothing_is_opened_anew() -> None:
    partition = Partition(buffer_size=1)
    await partition.commit("a", "b")
    partition.log.silent = True
    feed = partition.feed(after=0)
    await settled()
    assert partition.log.reads
    partition.log.silent = False
    assert await fed(feed, 2) == [1, 2]
    assert partition.log.opened == 3  # of the bus, of the feed, of the feed again
    assert now_s() <= LogAccess.READ_S + Feed.PAUSE_S


@virtual_time
async def test_a_log_that_ends_before_what_the_bus_says_is_asked_again_with_pauses() -> None:
    partition = Partition(buffer_size=1)
    commit = await partition.append()
    await partition.publish(commit)
    bus = partition.bus
    assert bus is not None
    access = partition.access()
    assert await access.head() == 0
    bus._buffer.head = 3  # a replica that is behind would look like that
    Feed(access, EVERYTHING, 0)
    await asyncio.sleep(10)
    assert 3 < len(partition.log.reads) < 20


@virtual_time
async def test_once_drained_it_ends_for_good_after_the_pages_that_came_before() -> None:
    partition = Partition()
    feed = partition.feed(after=0)
    await partition.commit("a")
    await settled()
    partition.drained = True
    assert await fed(feed, 1) == [1]
    for _ in range(2):
        with pytest.raises(SystemNotFound, match="thornback"):
            await feed.next_page()


@virtual_time
async def test_a_feed_goes_on_in_the_system_that_is_launched_anew() -> None:
    partition = Partition()
    feed = partition.feed(after=0)
    await partition.commit("a")
    assert await fed(feed, 1) == [1]
    partition.drained = True
    await asyncio.sleep(Feed.GONE_S / 2)
    partition.drained = False
    partition.restart_bus()
    await partition.commit("b")
    assert await fed(feed, 1) == [2]


@virtual_time
async def test_without_a_system_a_feed_from_now_on_does_not_begin() -> None:
    partition = Partition()
    partition.drained = True
    with pytest.raises(SystemNotFound):
        await partition.feed().begin()


@virtual_time
async def test_while_the_bus_is_away_a_feed_from_now_on_has_not_begun() -> None:
    partition = Partition()
    partition.bus = None
    feed = partition.feed()
    begun = asyncio.ensure_future(feed.begin())
    await asyncio.sleep(30)
    assert not begun.done()
    feed.close()
    with pytest.raises(BusUnavailable):
        await begun


@virtual_time
async def test_who_gives_up_waiting_misses_nothing() -> None:
    partition = Partition()
    feed = partition.feed(after=0)
    for count in range(1, 20):
        waiting = asyncio.ensure_future(feed.next_page())
        for _ in range(count % 7):
            await asyncio.sleep(0)
        committing = asyncio.ensure_future(partition.commit("a"))
        for _ in range(count // 2):
            await asyncio.sleep(0)
        if waiting.cancel():
            await asyncio.wait((waiting,))
        else:
            assert (page := waiting.result()) is not None
            assert positions([page])[-1] == count
            continue
        await committing
        assert (await fed(feed, 1))[-1] == count


@virtual_time
async def test_it_fetches_so_many_pages_ahead_and_then_waits_for_its_reader() -> None:
    partition = Partition()
    feed = partition.feed(after=0)
    for _ in range(10):
        await partition.commit("a")
        await settled()
    assert feed.position == Feed.AHEAD_PAGES
    page = await feed.next_page()
    assert page is not None
    await settled()
    assert feed.position > Feed.AHEAD_PAGES
    assert [1, *await fed(feed, 9)] == list(range(1, 11))


@virtual_time
async def test_it_fetches_so_many_bytes_ahead_and_then_waits_for_its_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Feed, "AHEAD_BYTES", 1)
    partition = Partition()
    feed = partition.feed(after=0)
    for _ in range(10):
        await partition.commit("a")
        await settled()
    assert feed.position == 1
    assert await fed(feed, 10) == list(range(1, 11))


@virtual_time
async def test_pages_of_the_log_grow_where_events_are_small_and_shrink_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Feed, "FIRST_PAGE", 10)
    monkeypatch.setattr(Feed, "PAGE", 30)
    partition = Partition(buffer_size=1)
    for size in (1, 1_000):
        for _ in range(10):
            await partition.commit(*(["a"] * 10), data={"text": "x" * size})
    monkeypatch.setattr(Feed, "PAGE_BYTES", 12_000)
    feed = partition.feed(after=0)
    assert await fed(feed, 200) == list(range(1, 201))
    reads = partition.log.reads
    assert reads[:2] == [10, 30]
    assert max(reads) == 30
    assert reads[-3] < 12  # about 12,000 bytes


@virtual_time
async def test_closing_releases_who_waits_and_tells_the_bus() -> None:
    partition = Partition()
    feed = partition.feed(after=0)
    waiting = asyncio.ensure_future(feed.next_page())
    await settled()
    assert await subscriptions(partition) == 1
    feed.close()
    assert await waiting is None
    await settled()
    assert await subscriptions(partition) == 0
    assert await feed.next_page() is None


@virtual_time
async def test_all_feeds_of_a_connection_share_one_store_and_end_with_it() -> None:
    partition = Partition(buffer_size=1)
    await partition.commit("a", "b")
    access = partition.access()
    feeds = [ReadFeed(access, EVERYTHING, 0) for _ in range(100)]
    for feed in feeds:
        assert await fed(feed, 2) == [1, 2]
    assert partition.log.opened == 2  # of the bus, and of the connection
    waiting = asyncio.ensure_future(feeds[0].next_page())
    await settled()
    await access.close()
    assert await waiting is None
    assert await subscriptions(partition) == 0


@virtual_time
async def test_closing_takes_no_longer_than_it_may_where_the_bus_says_nothing() -> None:
    partition = Partition()
    access = partition.access()
    Feed(access, EVERYTHING, 0)
    await settled()
    partition.bus_silent = True
    await access.close()
    assert now_s() <= 2 * LogAccess.LEAVE_S


@virtual_time
async def test_an_error_that_is_no_outage_ends_the_feed_and_is_told() -> None:
    partition = Partition(buffer_size=1)
    await partition.commit("a", "b")
    partition.log.read = _broken  # type: ignore[method-assign, assignment]
    feed = partition.feed(after=0)
    with pytest.raises(RuntimeError, match="broken"):
        await feed.next_page()


async def _broken(*_: object, **__: object) -> None:
    raise RuntimeError("broken")


@virtual_time
async def test_the_head_is_what_a_subscription_may_begin_after() -> None:
    partition = Partition()
    await partition.commit("a", "b")
    access = partition.access()
    assert await access.head() == 2
    partition.bus = None
    with pytest.raises(BusUnavailable):
        await access.head()
