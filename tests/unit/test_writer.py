"""Group commit: who commits with whom, and in which order."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from store.appends import CheckpointMove
from store.errors import (
    StaleCheckpoint,
    StaleEpoch,
    StoreUnavailable,
    Superseded,
    VersionConflict,
)
from store.event_store import WRITER
from store.group_commit import GroupCommit
from store.receipts import Receipt
from store.selection import EVERYTHING
from tests.unit.writing import NOW_US, CuedStore, Writing
from tests.virtual_time import now_s, settled, virtual_time


async def at_once(commit: Callable[[], Awaitable[None]]) -> None:
    """Nothing is the matter with this append."""
    await commit()


class Held:
    """An append that takes until it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def __call__(self, commit: Callable[[], Awaitable[None]]) -> None:
        await self.let_go.wait()
        await commit()


@virtual_time
async def test_an_idle_writer_commits_at_once() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    done = await node.send(2)
    assert (done.first_position, done.recorded_us) == (1, NOW_US)
    assert (now_s(), writing.store.calls) == (0.0, [2])


@virtual_time
async def test_what_arrives_while_a_commit_runs_shares_the_next_one() -> None:
    writing = await Writing.begin()
    a, b, c = [await writing.node(name) for name in "abc"]
    writing.store.open.clear()
    first = a.send()
    await settled()
    others = [b.send(2), a.send(), c.send(3)]
    await settled()
    writing.store.open.set()
    done = await asyncio.gather(first, *others)
    assert writing.store.calls == [1, 6]
    assert [each.first_position for each in done] == [1, 2, 4, 5]
    assert await writing.store.stored_sources() == ["a:1", "b:1", "b:2", "a:2", "c:1", "c:2", "c:3"]


@virtual_time
async def test_a_batch_has_at_most_so_many_events_and_a_larger_append_goes_alone() -> None:
    writing = await Writing.begin(batch_size=5)
    node = await writing.node("a")
    writing.store.open.clear()
    sent = [node.send()]
    await settled()
    sent += [node.send(count) for count in (2, 3, 1, 12, 4, 1, 1)]
    await settled()
    assert writing.writer.backlog == 7
    writing.store.open.set()
    await asyncio.gather(*sent)
    assert writing.store.calls == [1, 5, 1, 12, 5, 1]


@virtual_time
async def test_appends_of_a_node_that_overtook_one_another_commit_in_their_order() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    await node.send()
    appends = [node.made() for _ in range(5)]
    sent = [asyncio.ensure_future(writing.writer.append(appends[n])) for n in (3, 1, 4)]
    await settled()
    assert writing.store.calls == [1]
    sent += [asyncio.ensure_future(writing.writer.append(appends[n])) for n in (2, 0)]
    await asyncio.gather(*sent)
    assert await writing.store.stored_sources() == [f"a:{version}" for version in range(1, 7)]


@virtual_time
async def test_a_generation_that_does_not_begin_at_its_beginning_is_refused_whole() -> None:
    """Its first appends went to a writer that is gone: nobody must wait for them."""
    writing = await Writing.begin()
    node = await writing.node("a")
    first, second, third = node.made(), node.made(), node.made()
    for append in (second, first, third):
        with pytest.raises(Superseded):
            await writing.writer.append(append)
    node.begin_generation(versions=0)
    await node.send()
    assert await writing.store.stored_sources() == ["a:1"]


@virtual_time
async def test_a_node_that_waits_for_an_earlier_append_holds_up_nobody_else() -> None:
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    await a.send()
    missing, early = a.made(), a.made()
    waiting = asyncio.ensure_future(writing.writer.append(early))
    await b.send()
    assert not waiting.done()
    await writing.writer.append(missing)
    await waiting
    assert await writing.store.stored_sources() == ["a:1", "b:1", "a:2", "a:3"]


@virtual_time
async def test_commits_are_published_in_their_order_with_their_types_counted() -> None:
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    await a.send(2)
    await asyncio.gather(b.send(), a.send(3, types={"x": 1, "temperature-reported": 2}))
    assert writing.published() == await writing.store.stored_sources()
    assert [dict(commit.types) for commit in writing.commits] == [
        {"temperature-reported": 2},
        {"temperature-reported": 3, "x": 1},
    ]


@virtual_time
async def test_the_node_counters_go_with_the_commit() -> None:
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    await asyncio.gather(a.send(2), a.send(3), b.send())
    found = await writing.store.epochs(["a", "b", WRITER])
    assert {name: epoch.counter for name, epoch in found.items()} == {"a": 5, "b": 1, WRITER: 6}


@virtual_time
async def test_checkpoints_go_with_the_commit_of_their_effects() -> None:
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    opened = {
        name: await writing.store.open_subscription(name, EVERYTHING, 0, 1)
        for name in ("totals", "alarms")
    }

    def checkpoint(name: str, position: int, epoch: int | None = None) -> list[CheckpointMove]:
        epoch = opened[name].epoch if epoch is None else epoch
        receipt = Receipt().plus([b"a" * 16] * position)
        return [CheckpointMove(name=name, epoch=epoch, position=position, receipt=receipt)]

    async def positions() -> dict[str, int]:
        return {one.name: one.position for one in await writing.store.subscriptions()}

    await asyncio.gather(
        a.send(checkpoints=checkpoint("totals", 3)),
        b.send(checkpoints=checkpoint("alarms", 4)),
        a.send(checkpoints=checkpoint("totals", 5)),
    )
    assert writing.store.calls == [3]
    assert await positions() == {"totals": 5, "alarms": 4}
    with pytest.raises(VersionConflict):
        await b.send(first_version=1, checkpoints=checkpoint("alarms", 8))
    with pytest.raises(StaleCheckpoint, match="'totals' does not move to 9"):
        await a.send(checkpoints=checkpoint("totals", 9, epoch=7))
    assert await positions() == {"totals": 5, "alarms": 4}
    assert await writing.store.stored_sources() == ["a:1", "b:1", "a:2"]


@virtual_time
async def test_a_caller_that_goes_away_leaves_its_append_to_be_committed() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    writing.store.open.clear()
    sent = [node.send(), node.send()]
    await settled()
    sent += [node.send(), node.send()]  # these wait for the commit of the others
    await settled()
    for gone in (sent[1], sent[2]):
        gone.cancel()
    await settled()
    writing.store.open.set()
    await asyncio.gather(sent[0], sent[3])
    assert await writing.store.stored_sources() == ["a:1", "a:2", "a:3", "a:4"]


@virtual_time
async def test_what_came_early_of_a_node_that_is_gone_does_not_hold_a_drain() -> None:
    writing = await Writing.begin()
    gone, other = await writing.node("a"), await writing.node("b")
    await gone.send()
    _missing, early = gone.made(), gone.made()
    waiting = asyncio.ensure_future(writing.writer.append(early))
    await other.send()
    await settled()
    await writing.writer.wait_drained()
    with pytest.raises(Superseded):
        await waiting
    assert await writing.store.stored_sources() == ["a:1", "b:1"]


@virtual_time
async def test_what_came_early_and_never_becomes_due_is_refused_after_a_while() -> None:
    writing = await Writing.begin()
    gone, slow = await writing.node("a"), await writing.node("b")
    await asyncio.gather(gone.send(), slow.send())
    _missing, early = gone.made(), gone.made()
    waiting = asyncio.ensure_future(writing.writer.append(early))
    before, after = slow.made(), slow.made()
    due = asyncio.ensure_future(writing.writer.append(after))
    await asyncio.sleep(writing.writer.EARLY_S - 1)
    assert not waiting.done()
    writing.store.open.clear()
    first = asyncio.ensure_future(writing.writer.append(before))
    await asyncio.sleep(2)
    with pytest.raises(Superseded):
        await waiting
    writing.store.open.set()
    await asyncio.gather(first, due)  # its predecessor had come, though its commit took longer
    assert await writing.store.stored_sources() == ["a:1", "b:1", "b:2", "b:3"]


@virtual_time
async def test_a_commit_has_so_many_bytes_unless_it_is_one_append(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    await node.send()
    size = len(node.made().rows.data)
    node.begin_generation(versions=1)
    await node.send()
    monkeypatch.setattr(GroupCommit, "MAX_BYTES", 2 * size + size // 2)
    writing.store.open.clear()
    writing.store.calls.clear()
    sent = [node.send(count) for count in (1, 1, 1, 1, 5, 1)]
    await settled()
    writing.store.open.set()
    await asyncio.gather(*sent)
    assert writing.store.calls == [2, 2, 5, 1]


@virtual_time
async def test_drained_waits_for_everything_that_arrived() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    await writing.writer.wait_drained()
    writing.store.open.clear()
    sent = [node.send(), node.send(2)]
    await settled()
    drained = asyncio.ensure_future(writing.writer.wait_drained())
    await settled()
    assert not drained.done()
    writing.store.open.set()
    await drained
    assert all(task.done() for task in sent)


@virtual_time
async def test_drained_does_not_wait_for_what_arrives_meanwhile() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    writing.store.open.clear()
    first = node.send()
    await settled()
    drained = asyncio.ensure_future(writing.writer.wait_drained())
    await settled()
    later = node.send()
    await settled()
    writing.store.cues += [at_once, held := Held()]
    writing.store.open.set()
    await drained
    await first
    assert not later.done()
    held.let_go.set()
    await later


@virtual_time
async def test_a_successor_goes_on_where_the_log_ends_and_the_replaced_writer_stops() -> None:
    store = CuedStore()
    old = await Writing.begin(store)
    node = await old.node("a")
    await node.send(3)
    new = await Writing.begin(store)
    assert new.writer.position == 3
    with pytest.raises(StoreUnavailable, match="another writer took over"):
        await node.send()
    with pytest.raises(StaleEpoch, match="writer"):
        await old.running
    assert await store.stored_sources() == ["a:1", "a:2", "a:3"]


@virtual_time
async def test_a_replaced_writer_leaves_nobody_waiting() -> None:
    store = CuedStore()
    old = await Writing.begin(store)
    a, b, z = [await old.node(name) for name in "abz"]
    await b.send()
    store.open.clear()
    blocker = z.send()
    await settled()
    sent = [b.send(first_version=1), a.send(), z.send()]
    await settled()

    async def conflict_then_replaced(_commit: object) -> None:
        await store.open_epoch(WRITER)
        raise VersionConflict("on cue")

    store.cues.extend([lambda commit: commit(), conflict_then_replaced])
    store.open.set()
    await blocker
    for task in sent:
        with pytest.raises((StoreUnavailable, Superseded)):
            await task
    with pytest.raises(StaleEpoch):
        await old.running
