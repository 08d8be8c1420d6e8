"""A store that goes away in the middle: nothing lost, nothing twice, and an end to waiting."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from store.errors import (
    AppendRefused,
    StaleEpoch,
    StoreUnavailable,
)
from store.event_store import WRITER
from tests.unit.writing import (
    GONE,
    PATIENCE_S,
    Writing,
    lost_after,
    lost_before,
)
from tests.virtual_time import now_s, settled, virtual_time


@virtual_time
async def test_an_append_waits_for_a_store_that_comes_back() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    writing.store.away = True
    sent = node.send(2)
    await asyncio.sleep(PATIENCE_S / 2)
    assert not sent.done()
    writing.store.away = False
    assert (await sent).first_position == 1
    assert await writing.store.stored_sources() == ["a:1", "a:2"]
    assert now_s() <= PATIENCE_S


@virtual_time
async def test_a_commit_that_did_not_happen_is_done_again() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    writing.store.cues.append(lost_before)
    assert (await node.send(2)).first_position == 1
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "a:2"]


@virtual_time
async def test_a_commit_that_happened_unheard_is_acknowledged_and_not_done_again() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    writing.store.cues.append(lost_after)
    assert (await node.send(2)).first_position == 1
    assert writing.store.calls == [2]
    assert (await node.send()).first_position == 3
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "a:2", "a:3"]


@virtual_time
async def test_a_commit_that_happens_only_after_it_was_looked_for_is_recognised() -> None:
    """A server may still be busy with a commit when its client has lost the connection,
    looked, and found nothing."""
    writing = await Writing.begin()
    node = await writing.node("a")
    pending: list[Callable[[], Awaitable[None]]] = []

    async def lost_during(commit: Callable[[], Awaitable[None]]) -> None:
        pending.append(commit)
        raise GONE

    async def after_the_first(commit: Callable[[], Awaitable[None]]) -> None:
        await pending.pop()()
        await commit()

    writing.store.cues.extend([lost_during, after_the_first])
    assert (await node.send(2)).first_position == 1
    assert (await node.send()).first_position == 3
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "a:2", "a:3"]


@virtual_time
async def test_a_writer_gives_up_after_its_patience_and_says_so_to_all() -> None:
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    await b.send()
    writing.store.away = True
    in_hand = a.send()
    await settled()
    waiting = [a.send(), b.send(sequence=2)]
    for task in (in_hand, *waiting):
        with pytest.raises(StoreUnavailable):
            await task
    assert 0 < now_s() <= PATIENCE_S
    assert writing.writer.backlog == 0
    await writing.writer.wait_drained()


@virtual_time
async def test_a_store_that_is_back_is_written_to_without_a_restart() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    writing.store.away = True
    with pytest.raises(StoreUnavailable):
        await node.send()
    writing.store.away = False
    with pytest.raises(AppendRefused):
        await node.send()
    node.begin_generation(versions=0)
    assert (await node.send()).first_position == 1
    assert (await (await writing.node("b")).send()).first_position == 2
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "b:1"]


@virtual_time
async def test_a_commit_given_up_on_that_had_happened_is_found_and_published() -> None:
    writing = await Writing.begin()
    node, other = await writing.node("a"), await writing.node("b")

    async def lost_for_long(commit: Callable[[], Awaitable[None]]) -> None:
        writing.store.away = True
        await lost_after(commit)

    writing.store.cues.append(lost_for_long)
    with pytest.raises(StoreUnavailable):
        await node.send(2, types={"x": 2})
    writing.store.away = False
    assert (await other.send(types={"y": 1})).first_position == 3
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "a:2", "b:1"]
    assert [dict(commit.types) for commit in writing.commits] == [{"x": 2}, {"y": 1}]


@virtual_time
async def test_commits_found_out_about_are_counted_by_the_types_of_all_their_appends() -> None:
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    writing.store.cues.append(lost_after)
    await asyncio.gather(a.send(3, types={"x": 1, "y": 2}), b.send(types={"x": 1}))
    assert writing.store.calls == [4]
    assert [dict(commit.types) for commit in writing.commits] == [{"x": 2, "y": 2}]


@virtual_time
async def test_a_commit_given_up_on_that_had_not_happened_leaves_no_trace() -> None:
    writing = await Writing.begin()
    node, other = await writing.node("a"), await writing.node("b")
    writing.store.away = True
    with pytest.raises(StoreUnavailable):
        await node.send(2)
    writing.store.away = False
    assert (await other.send()).first_position == 1
    assert writing.published() == await writing.store.stored_sources() == ["b:1"]


@virtual_time
async def test_a_writer_replaced_during_an_outage_stops() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    writing.store.away = True
    sent = node.send()
    await asyncio.sleep(PATIENCE_S / 4)
    await writing.store.open_epoch(WRITER)
    writing.store.away = False
    with pytest.raises(StoreUnavailable, match="another writer took over"):
        await sent
    with pytest.raises(StaleEpoch):
        await writing.running
