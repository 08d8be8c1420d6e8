"""Subscriptions over a feed: any reader, in any thread or loop, and each event once."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from actors.errors import InvalidName
from runtime.driver.courier import Courier
from runtime.driver.selecting import selection_of
from runtime.driver.subscription import Subscription
from runtime.errors import ConnectionClosed, SubscribeTimeout, SystemNotFound
from store.rows.decoding import Decoded
from store.selection import EVERYTHING
from tests.unit.feeding import Partition
from tests.unit.subscribing import LIMIT_S, Driving, taken


@pytest.fixture
def driving() -> Iterator[Driving]:
    one = Driving()
    yield one
    one.connection.close()


async def taken_async(subscription: Subscription, count: int) -> list[int | None]:
    """The positions of the next events, read in this loop."""
    async with asyncio.timeout(LIMIT_S):
        return [(await anext(subscription)).position for _ in range(count)]


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Run something in a thread; what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, raised


def joined(thread: threading.Thread) -> None:
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_what_is_committed_after_subscribe_returned_comes(driving: Driving) -> None:
    driving.commit("a", "b")
    subscription = driving.subscribe(after=None)
    assert subscription.position == 2
    driving.commit("c")
    assert taken(subscription, 1) == [3]


def test_readers_in_threads_and_loops_that_follow_one_another_miss_nothing(
    driving: Driving,
) -> None:
    subscription = driving.subscribe()
    driving.commit(*"abcdefgh")
    assert taken(subscription, 2) == [1, 2]
    assert asyncio.run(taken_async(subscription, 2)) == [3, 4]
    assert asyncio.run(taken_async(subscription, 1)) == [5]
    found: list[int | None] = []
    thread, _ = in_thread(lambda: found.extend(taken(subscription, 2)))
    joined(thread)
    assert found == [6, 7]
    assert taken(subscription, 1) == [8]


def test_an_async_reader_that_gives_up_takes_no_page_along(driving: Driving) -> None:
    subscription = driving.subscribe()

    async def give_up() -> None:
        waiting = asyncio.ensure_future(anext(subscription))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))

    asyncio.run(give_up())
    driving.commit("a", "b")
    assert taken(subscription, 1) == [1]  # a reader of another kind
    asyncio.run(give_up_late(subscription))
    driving.commit("c")
    assert asyncio.run(taken_async(subscription, 1)) == [3]  # and one in another loop


async def give_up_late(subscription: Subscription) -> None:
    """Read what is there, and give up waiting for more."""
    assert await taken_async(subscription, 1) == [2]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(subscription)


async def test_who_gives_up_reads_on_with_the_same_iterator(driving: Driving) -> None:
    stream = aiter(driving.subscribe())
    await give_up_late_on(stream)
    driving.commit("a")
    async with asyncio.timeout(LIMIT_S):
        assert (await anext(stream)).position == 1


async def give_up_late_on(stream: Any) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(stream)


async def test_giving_up_again_and_again_leaves_nothing_behind(driving: Driving) -> None:
    subscription = driving.subscribe()
    for _ in range(5):
        await give_up_late_on(subscription)
    assert not subscription._inlet._waiting


async def test_many_quiet_subscriptions_take_no_thread_and_starve_nobody(
    driving: Driving,
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))  # whoever waits in it starves the others
    before = threading.active_count()
    quiet = [driving.subscribe(after=10_000) for _ in range(100)]
    waiting = [asyncio.ensure_future(anext(one)) for one in quiet]
    busy = driving.subscribe()
    for number in range(1, 4):
        await loop.run_in_executor(None, driving.commit, "a")  # as anything else may
        assert await taken_async(busy, 1) == [number]
    assert threading.active_count() <= before + 1  # the one that committed
    for one in waiting:
        one.cancel()
    await asyncio.wait(waiting)


def test_two_readers_at_once_get_each_event_once(driving: Driving) -> None:
    subscription = driving.subscribe()
    found: list[list[int | None]] = [[], []]

    def read(mine: list[int | None]) -> None:
        for event in subscription:
            mine.append(event.position)
            if event.source == "end":
                subscription.close()

    readers = [in_thread(lambda mine=mine: read(mine))[0] for mine in found]  # type: ignore[misc]
    for _ in range(100):
        driving.commit(*"abcde")
    driving.commit("end")
    for reader in readers:
        joined(reader)
    both = [position or 0 for mine in found for position in mine]
    assert sorted(both)[:500] == list(range(1, 501))
    assert len(both) == len(set(both))


def test_pages_and_events_may_be_mixed(driving: Driving) -> None:
    subscription = driving.subscribe()
    driving.commit(*"abcd")
    assert taken(subscription, 1) == [1]
    pages = subscription.pages()
    assert [event.position for event in next(pages)] == [2, 3, 4]
    assert subscription.position == 4
    driving.commit("e")
    assert [event.position for event in next(pages)] == [5]
    driving.commit("f")
    assert taken(subscription, 1) == [6]


def test_a_page_that_does_not_decode_is_not_passed_over(
    driving: Driving, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = driving.subscribe()
    driving.commit("a")

    def refuse(_rows: bytes) -> Decoded:
        raise ValueError("cannot be read")

    decode = subscription._decoder.page
    monkeypatch.setattr(subscription._decoder, "page", refuse)
    for _ in range(2):
        with pytest.raises(ValueError, match="cannot be read"):
            taken(subscription, 1)
    monkeypatch.setattr(subscription._decoder, "page", decode)
    assert taken(subscription, 1) == [1]


def test_closing_a_subscription_ends_whoever_reads_it(driving: Driving) -> None:
    subscription = driving.subscribe()
    thread, raised = in_thread(lambda: taken(subscription, 1))
    subscription.close()
    subscription.close()
    joined(thread)
    assert [type(one) for one in raised] == [StopIteration]
    assert list(subscription) == []


async def test_closing_a_subscription_ends_a_coroutine_that_reads_it(driving: Driving) -> None:
    subscription = driving.subscribe()
    waiting = asyncio.ensure_future(anext(subscription, None))
    await asyncio.sleep(0)
    subscription.close()
    async with asyncio.timeout(LIMIT_S):
        assert await waiting is None


def test_closing_the_connection_releases_a_thread_that_reads(driving: Driving) -> None:
    subscription = driving.subscribe()
    thread, raised = in_thread(lambda: taken(subscription, 1))
    driving.connection.close()
    joined(thread)
    assert [type(one) for one in raised] == [ConnectionClosed]
    with pytest.raises(ConnectionClosed):
        taken(subscription, 1)
    subscription.close()


async def test_closing_the_connection_releases_a_coroutine_that_reads(driving: Driving) -> None:
    waiting = asyncio.ensure_future(anext(driving.subscribe()))
    await asyncio.sleep(0)
    driving.connection.close()
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(ConnectionClosed):
            await waiting


def test_a_connection_that_is_closed_in_its_own_loop_gives_everything_back(
    driving: Driving,
) -> None:
    driving.partition = Partition(buffer_size=1)
    driving.connection.log.world = driving.partition.world
    driving.commit("a", "b", "c")
    assert taken(driving.subscribe(), 3) == [1, 2, 3]  # out of the log

    async def nothing() -> None:
        """What a drain would be."""

    driving.connection.last_errand("drain", nothing).result(LIMIT_S)
    courier = driving.connection.courier
    assert isinstance(courier, Courier)
    joined(courier._thread)
    assert driving.partition.given_back == ["bus", "log"]


async def test_a_closed_connection_is_not_subscribed_to_nor_asked(driving: Driving) -> None:
    driving.connection.close()
    for after in (0, None):
        with pytest.raises(ConnectionClosed):
            driving.subscribe(after)
    with pytest.raises(ConnectionClosed):
        await driving.connection.head()


def test_a_subscription_that_does_not_begin_in_time_says_so_and_is_none(
    driving: Driving,
) -> None:
    driving.partition.bus = None
    subscription = Subscription(driving.connection, EVERYTHING, None)
    with pytest.raises(SubscribeTimeout, match=r"0\.01 s"):
        subscription.wait_begun(0.01)
    assert list(subscription) == []


def test_a_subscription_to_a_drained_system_says_so(driving: Driving) -> None:
    driving.partition.drained = True
    with pytest.raises(SystemNotFound):
        driving.subscribe(after=None)
    with pytest.raises(SystemNotFound):
        taken(driving.subscribe(), 1)


def test_a_subscription_finds_the_system_that_was_launched_anew(driving: Driving) -> None:
    driving.commit("a")
    subscription = driving.subscribe()
    assert taken(subscription, 1) == [1]
    driving.partition.drained = True
    with pytest.raises(SystemNotFound):
        driving.connection.head().result(timeout_s=LIMIT_S)
    driving.partition.drained = False
    driving.commit("b")
    assert taken(subscription, 1) == [2]


def test_a_subscription_ends_where_the_system_that_was_launched_anew_has_another_log(
    driving: Driving,
) -> None:
    driving.commit("a")
    subscription = driving.subscribe()
    assert taken(subscription, 1) == [1]
    driving.partition.drained = True
    with pytest.raises(SystemNotFound):
        driving.connection.head().result(timeout_s=LIMIT_S)
    driving.partition.log_id = "another"
    driving.partition.drained = False
    with pytest.raises(SystemNotFound, match="another log"):
        taken(subscription, 1)


async def test_a_coroutine_learns_the_head_without_blocking(driving: Driving) -> None:
    await asyncio.to_thread(driving.commit, "a", "b")
    assert await driving.connection.head() == 2


@pytest.mark.parametrize("glob", ["a\x00", "\ud800", "", "x" * 1025])
def test_a_pattern_that_no_log_can_be_asked_for_is_refused(glob: str) -> None:
    with pytest.raises(InvalidName):
        selection_of("*", glob)
    with pytest.raises(InvalidName):
        selection_of(["noted", glob], "*")


def test_a_subscription_names_so_many_patterns_and_no_more() -> None:
    assert len(selection_of("*", map(str, range(1_000))).sources) == 1_000
    with pytest.raises(InvalidName, match="at most 1000"):
        selection_of("*", map(str, range(1_001)))
    with pytest.raises(InvalidName, match="at most 65536 letters"):
        selection_of("*", ["x" * 1_000 + str(n) for n in range(66)])


@pytest.mark.parametrize("after", [-1, 2**63])
def test_what_is_no_position_is_refused(driving: Driving, after: int) -> None:
    with pytest.raises(ValueError, match="a position is a number from 0 on"):
        driving.subscribe(after)


async def test_those_who_wait_hear_of_a_change_in_the_order_in_which_they_came(
    driving: Driving,
) -> None:
    subscription = driving.subscribe(after=None)
    heard: list[int] = []
    readers = [subscription._turned_or(subscription._in_hand) for _ in range(20)]
    for number, reader in enumerate(readers):
        assert reader is not None
        reader.add_done_callback(lambda _, number=number: heard.append(number))  # type: ignore[misc]
    subscription.close()
    assert heard == list(range(20))


def test_the_beginning_can_be_waited_for_without_an_end(driving: Driving) -> None:
    subscription = Subscription(driving.connection, EVERYTHING, None)
    subscription.wait_begun(float("inf"))
    assert subscription.position == 0
