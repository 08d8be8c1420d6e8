"""Durable subscriptions: what is finished, when the log learns of it, and who may say so."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from actors.errors import InvalidName
from examples.thermostat import ReportTemperature, Thermostat
from runtime.errors import ConnectionClosed, NotPossible, SubscriptionTaken, SystemNotFound
from runtime.processing.checkpoint import Checkpoint
from runtime.processing.durable_subscription import DurableSubscription
from runtime.processing.keeping import move_at_exit
from runtime.system import ActorSystem
from store.appends import CheckpointMove
from store.errors import AnotherSelection, StoreUnavailable
from store.receipts import Receipt
from store.selection import EVERYTHING, Selection
from store.subscriptions import SubscriptionRecord
from tests.unit.subscribing import LIMIT_S, Driving, taken


@pytest.fixture
def driving() -> Iterator[Driving]:
    one = Driving()
    yield one
    one.connection.close()


def opened(
    driving: Driving, after: int | None = 0, selection: Selection = EVERYTHING
) -> DurableSubscription:
    """Open "billing", and wait until it is."""
    subscription = DurableSubscription(driving.connection, "billing", selection, after)
    subscription.wait_begun(LIMIT_S)
    return subscription


def kept(driving: Driving) -> SubscriptionRecord:
    """What the log has of it."""
    [record] = driving.run(driving.partition.log.subscriptions())
    return record


def by_the_log(driving: Driving, record: SubscriptionRecord) -> Receipt:
    recount = driving.partition.log.recount(record.selection, record.began, record.position)
    return driving.run(recount)


def test_what_was_finished_does_not_come_again_and_what_was_in_hand_does(driving: Driving) -> None:
    driving.commit("a", "b", "c", "d")
    with opened(driving) as subscription:
        assert taken(subscription, 3) == [1, 2, 3]  # and the third is in hand
    record = kept(driving)
    assert (record.position, record.receipt.count) == (2, 2)
    assert record.receipt == by_the_log(driving, record)
    with opened(driving, after=0) as subscription:
        assert subscription.receipt == record.receipt
        assert taken(subscription, 2) == [3, 4]


def test_what_is_in_hand_is_finished_by_saying_so(driving: Driving) -> None:
    driving.commit("a", "b")
    with opened(driving) as subscription:
        assert taken(subscription, 2) == [1, 2]
        assert subscription.finish().result(LIMIT_S) == 2
        assert kept(driving).position == 2
        assert subscription.finish().result(LIMIT_S) == 2  # nothing is counted twice
        driving.commit("c")
        assert taken(subscription, 1) == [3]
    record = kept(driving)
    assert (record.position, record.receipt.count) == (2, 2)
    assert record.receipt == by_the_log(driving, record)


def test_a_page_is_finished_when_the_next_one_is_asked_for(driving: Driving) -> None:
    driving.commit("a", "b")
    with opened(driving) as subscription:
        pages = subscription.pages()
        while not (page := next(pages)):
            pass
        assert [event.position for event in page] == [1, 2]
        assert subscription.receipt.count == 0
        driving.commit("c")
        while not (page := next(pages)):
            pass
        assert subscription.receipt.count == 2
    assert kept(driving).position == 2


def test_positions_without_an_event_for_it_are_passed_too(
    driving: Driving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or whoever waits for something rare would read the whole log again."""
    monkeypatch.setattr(Checkpoint, "EVERY_S", 0.01)
    driving.commit("a", "b", "rare", "c", "d")
    with opened(driving, selection=Selection(sources=("rare",))) as subscription:
        pages = subscription.pages()
        while subscription.position < 5:
            next(pages)
        subscription.finish().result(LIMIT_S)
    record = kept(driving)
    assert (record.position, record.receipt.count) == (5, 1)
    assert record.receipt == by_the_log(driving, record)


def test_the_log_learns_of_it_without_being_told_by_the_reader(
    driving: Driving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here while the reader waits for the next event."""
    monkeypatch.setattr(Checkpoint, "EVERY_S", 0.01)
    driving.commit("a", "b")
    moved = asyncio.Event()
    move = driving.partition.log.move_checkpoint

    async def noticed(checkpoint: object) -> None:
        await move(checkpoint)  # type: ignore[arg-type]
        moved.set()

    monkeypatch.setattr(driving.partition.log, "move_checkpoint", noticed)
    subscription = opened(driving)

    async def read() -> None:
        async for _ in subscription:
            pass

    async def read_until_moved() -> None:
        reading = asyncio.ensure_future(read())
        async with asyncio.timeout(LIMIT_S):
            while kept_position() < 2:
                moved.clear()
                await moved.wait()
        reading.cancel()

    def kept_position() -> int:
        return driving.partition.log._subscriptions.all()[0].position

    driving.run(read_until_moved())
    subscription.close()
    assert kept(driving).receipt.count == 2


def test_whoever_opens_it_last_has_it(driving: Driving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoint, "EVERY_S", 0.01)
    driving.commit("a", "b", "c")
    first = opened(driving)
    stream = iter(first)
    assert next(stream).position == 1
    second = opened(driving)
    assert taken(second, 2) == [1, 2]
    assert next(stream).position == 2  # as long as nobody has told it
    with pytest.raises(SubscriptionTaken, match="'billing' was opened somewhere else"):
        first.finish().result(LIMIT_S)
    with pytest.raises(SubscriptionTaken):
        next(stream)
    first.close()
    second.close()
    record = kept(driving)
    assert (record.position, record.receipt) == (1, by_the_log(driving, record))


def test_another_selection_under_its_name_is_refused_and_the_reader_goes_on(
    driving: Driving,
) -> None:
    driving.commit("a", "b")
    subscription = opened(driving, selection=Selection(sources=("a", "b")))
    with pytest.raises(AnotherSelection, match="all events of a, b"):
        opened(driving)
    opened(driving, selection=Selection(sources=("b", "a", "b"))).close()  # which is the same
    subscription.close()


def test_while_the_database_is_away_it_goes_on_and_the_checkpoint_follows(
    driving: Driving, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = driving.partition.log
    driving.commit("a", "b", "c")
    subscription = opened(driving)
    move, away = log.move_checkpoint, True

    async def moves(checkpoint: object) -> None:
        if away:
            raise StoreUnavailable("memory", "on cue")
        await move(checkpoint)  # type: ignore[arg-type]

    monkeypatch.setattr(log, "move_checkpoint", moves)
    assert taken(subscription, 3) == [1, 2, 3]
    with pytest.raises(StoreUnavailable):
        subscription.finish().result(LIMIT_S)
    assert kept(driving).position == 0
    away = False
    assert subscription.finish().result(LIMIT_S) == 3
    record = kept(driving)
    assert record.receipt == by_the_log(driving, record)
    subscription.close()


def test_what_cannot_be_kept_any_more_is_said(
    driving: Driving, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(checkpoint: object) -> None:
        raise StoreUnavailable("memory", "on cue")

    driving.commit("a", "b")
    subscription = opened(driving)
    monkeypatch.setattr(driving.partition.log, "move_checkpoint", fails)
    assert taken(subscription, 2) == [1, 2]
    with caplog.at_level(logging.WARNING, "thornback.processing"):
        subscription.close()
    assert "'billing' could not be kept: 1 events come again" in caplog.text


def test_a_connection_that_is_closed_keeps_the_checkpoints_first(driving: Driving) -> None:
    driving.commit("a", "b", "c")
    subscription = opened(driving)
    assert taken(subscription, 3) == [1, 2, 3]
    driving.connection.close()
    [record] = driving.partition.log._subscriptions.all()
    assert (record.position, record.receipt.count) == (2, 2)
    with pytest.raises(ConnectionClosed):
        next(iter(subscription))
    subscription.close()


def test_one_that_is_new_and_names_no_position_begins_now(driving: Driving) -> None:
    driving.commit("a", "b")
    with opened(driving, after=None) as subscription:
        driving.commit("c")
        assert taken(subscription, 1) == [3]
    assert kept(driving).began == 2
    with opened(driving, after=None) as subscription:
        assert taken(subscription, 1) == [3]  # it was in hand


def test_a_system_s_own_call_makes_one_by_its_name(memory_system: ActorSystem) -> None:
    with memory_system.subscribe(sources="thermostat/*", name="heat", after=0) as subscription:
        assert isinstance(subscription, DurableSubscription)
        assert (subscription.name, subscription.receipt.count) == ("heat", 0)
    with pytest.raises(InvalidName, match="durable subscription has 1 to 100 letters"):
        memory_system.subscribe(name="Heat it")
    memory_system.actor(Thermostat, "kitchen").ask(ReportTemperature(celsius=20.0)).result(LIMIT_S)
    with pytest.raises(InvalidName, match="an actor type has this name, and where its actors"):
        memory_system.subscribe(name=Thermostat.actor_type, after=0)


def test_an_iteration_that_begins_anew_begins_with_what_is_in_hand(driving: Driving) -> None:
    """Who fails at an event, and goes on reading, has it again."""
    driving.commit("a", "b", "c")
    worked: list[int | None] = []
    with opened(driving) as subscription:
        for attempt in (1, 2):
            for event in subscription:
                if attempt == 1 and event.position == 2:
                    break  # as an exception would
                worked.append(event.position)
                if event.position == 3:
                    break
        assert worked == [1, 2, 3]
        pages = subscription.pages()
        assert [event.position for event in next(pages)] == [3]
        assert subscription.receipt.count == 2


async def test_a_second_reader_is_refused_while_the_first_one_waits(driving: Driving) -> None:
    subscription = opened(driving)
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    with pytest.raises(NotPossible, match="a durable subscription has one reader"):
        await anext(subscription)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    driving.commit("a")
    assert (await anext(subscription)).position == 1
    await subscription.aclose()


def test_whoever_says_it_and_however_often_an_event_is_finished_once(driving: Driving) -> None:
    driving.commit(*"abcdefghij")
    with opened(driving) as subscription, ThreadPoolExecutor(4) as others:
        for event in subscription:
            for saying in [others.submit(subscription.finish) for _ in range(4)]:
                saying.result(LIMIT_S).result(LIMIT_S)
            if event.position == 10:
                break
    record = kept(driving)
    assert (record.position, record.receipt.count) == (10, 10)
    assert record.receipt == by_the_log(driving, record)


def test_a_connection_that_is_closed_in_its_own_loop_keeps_them_too(driving: Driving) -> None:
    """As that of a driver is which has drained the system."""
    driving.commit("a", "b", "c")
    subscription = opened(driving)
    assert taken(subscription, 3) == [1, 2, 3]
    closed = threading.Event()
    courier = driving.connection.courier

    async def close() -> None:
        driving.connection.close()

    courier.run(close()).add_done_callback(lambda _: closed.set())
    assert closed.wait(LIMIT_S)
    courier._thread.join(LIMIT_S)  # type: ignore[attr-defined]
    [record] = driving.partition.log._subscriptions.all()
    assert (record.position, record.receipt.count) == (2, 2)
    subscription.close()


@pytest.mark.parametrize(
    "end",
    [lambda driving: driving.connection.close(), lambda driving: move_at_exit()],
    ids=["connection", "program"],
)
def test_closing_many_waits_for_all_at_once(
    driving: Driving,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    end: Callable[[Driving], None],
) -> None:
    """And what cannot be kept is said of each, once."""
    monkeypatch.setattr(Checkpoint, "LAST_S", 1.0)
    driving.commit("a", "b")
    many = []
    for name in "abcd":
        subscription = DurableSubscription(driving.connection, name, EVERYTHING, 0)
        subscription.wait_begun(LIMIT_S)
        assert taken(subscription, 2) == [1, 2]
        many.append(subscription)
    asked, together = set(), []

    async def hangs(checkpoint: CheckpointMove) -> None:
        asked.add(checkpoint.name)
        together.append(len(asked))
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            asked.discard(checkpoint.name)

    monkeypatch.setattr(driving.partition.log, "move_checkpoint", hangs)
    with caplog.at_level(logging.WARNING, "thornback.processing"):
        end(driving)
    assert max(together) == 4
    assert caplog.text.count("could not be kept: 1 events come again") == 4


def test_in_another_log_nothing_is_said_to_be_finished(
    driving: Driving, caplog: pytest.LogCaptureFixture
) -> None:
    driving.commit("a", "b")
    subscription = opened(driving)
    assert taken(subscription, 2) == [1, 2]
    driving.partition.log_id = "another"
    log = driving.connection.log

    async def launched_anew() -> None:
        log.adopt(driving.partition.settings, another_log=True)

    with caplog.at_level(logging.WARNING, "thornback.processing"):
        driving.run(launched_anew())
        with pytest.raises(SystemNotFound, match="another log"):
            for _ in subscription:
                pass
        subscription.close()
    assert kept(driving).position == 0
    assert "1 events come again" in caplog.text


def test_where_there_is_no_system_nothing_is_opened(driving: Driving) -> None:
    driving.partition.drained = True
    with pytest.raises(SystemNotFound):
        opened(driving)
    assert driving.run(driving.partition.log.subscriptions()) == []


def test_one_that_was_taken_leaves_nothing_behind(driving: Driving) -> None:
    driving.commit("a", "b")
    before = len(driving.connection._on_close)
    for _ in range(3):
        first, second = opened(driving), opened(driving)
        assert taken(first, 1)
        first.finish()
        with pytest.raises(SubscriptionTaken):
            first.finish().result(LIMIT_S)
        second.close()
    assert len(driving.connection._on_close) == before
    assert len(driving.connection.log._kept) == 0


@pytest.mark.parametrize(
    "name", ["", "-a", "a b", "a" * 101, 5], ids=["empty", "dash", "space", "long", "number"]
)
def test_a_name_is_one_that_can_be_written_everywhere(driving: Driving, name: Any) -> None:
    with pytest.raises(InvalidName, match="durable subscription has 1 to 100 letters"):
        DurableSubscription(driving.connection, name, EVERYTHING, 0)
