"""Appends that the log does not take: whom a conflict costs, and who goes on."""

import asyncio
from array import array
from collections.abc import Callable
from dataclasses import replace

import pytest

from actors.moments import FIRST_US, LAST_US
from store.appends import Acknowledged, Append
from store.errors import (
    DuplicateEvent,
    RowsRefused,
    StaleEpoch,
    Superseded,
    VersionConflict,
)
from store.rows.layout import POSTGRES_EPOCH_US, EncodedRows
from tests.unit.writing import Writing
from tests.virtual_time import settled, virtual_time


async def conflicting(writing: Writing) -> "list[asyncio.Task[object]]":
    """One batch: of a, then a conflict of b, a follower of b, then of c and of a again."""
    a, b, c = [await writing.node(name) for name in "abc"]
    await b.send()
    writing.store.open.clear()
    blocker = (await writing.node("z")).send()
    await settled()
    sent = [a.send(), b.send(first_version=1), b.send(), c.send(), a.send()]
    await settled()
    writing.store.open.set()
    await blocker
    await asyncio.wait(sent)
    return list(sent)


@virtual_time
async def test_a_conflict_refuses_its_append_and_the_followers_of_that_node_alone() -> None:
    writing = await Writing.begin()
    a, conflict, follower, c, a2 = await conflicting(writing)
    assert isinstance(conflict.exception(), VersionConflict)
    assert isinstance(follower.exception(), Superseded)
    assert all(task.exception() is None for task in (a, c, a2))
    assert await writing.store.stored_sources() == ["b:1", "z:1", "a:1", "c:1", "a:2"]
    assert writing.published() == await writing.store.stored_sources()


@virtual_time
async def test_after_a_refusal_a_node_goes_on_with_a_new_generation_only() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    await node.send()
    with pytest.raises(VersionConflict):
        await node.send(first_version=1)
    with pytest.raises(Superseded):
        await node.send()
    node.begin_generation(versions=1)
    assert (await node.send()).first_position == 2
    with pytest.raises(Superseded):
        await node.send(generation=0, sequence=9)


@virtual_time
async def test_a_refusal_turns_away_what_came_too_early_after_it() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    await node.send()
    conflict, _missing, early = node.made(first_version=1), node.made(), node.made()
    waiting = asyncio.ensure_future(writing.writer.append(early))
    await settled()
    with pytest.raises(VersionConflict):
        await writing.writer.append(conflict)
    with pytest.raises(Superseded):
        await waiting


@virtual_time
async def test_a_duplicate_event_refuses_its_append() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    append = node.made()
    await writing.writer.append(append)
    node.begin_generation(versions=1)
    with pytest.raises(DuplicateEvent):
        await node.send(rows=append.rows)
    assert await writing.store.stored_sources() == ["a:1"]


def with_moment(append: Append, moment_us: int) -> Append:
    """The append with another moment in its last row, as no encoder would write it."""
    data = bytearray(append.rows.data)
    at = len(data) - append.rows.lengths[-1] + 58
    data[at : at + 8] = moment_us.to_bytes(8, "big", signed=True)
    return replace(append, rows=EncodedRows(bytes(data), append.rows.lengths))


def shortened(append: Append) -> Append:
    """The append without the last byte of its rows."""
    return replace(append, rows=EncodedRows(append.rows.data[:-1], append.rows.lengths))


def garbage(append: Append) -> Append:
    """An append of as many bytes, of which none is as it should be."""
    return replace(append, rows=EncodedRows(bytes(len(append.rows.data)), append.rows.lengths))


@virtual_time
@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize(
    "broken",
    [
        lambda append: with_moment(append, LAST_US - POSTGRES_EPOCH_US + 1),
        lambda append: with_moment(append, FIRST_US - POSTGRES_EPOCH_US - 1),
        lambda append: with_moment(append, 2**63 - 1),
        shortened,
        garbage,
        lambda append: replace(append, rows=EncodedRows(b"", array("I", [0]))),
    ],
    ids=["late", "early", "latest", "shortened", "garbage", "empty"],
)
async def test_rows_that_are_none_cost_their_sender_alone(
    broken: Callable[[Append], Append], count: int
) -> None:
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    writing.store.open.clear()
    sent = [a.send(), b.send()]
    await settled()
    sent += [
        asyncio.ensure_future(writing.writer.append(broken(a.made(count)))),
        b.send(),
        a.send(),
    ]
    await settled()
    writing.store.open.set()
    results = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(each) for each in results[1:]] == [
        Acknowledged, RowsRefused, Acknowledged, Superseded
    ]  # fmt: skip
    known = [name for name in await writing.store.stored_sources() if name.startswith("a")]
    a.begin_generation(versions=len(known))
    await a.send()
    assert writing.published() == await writing.store.stored_sources()


@virtual_time
async def test_a_replaced_node_is_refused_and_the_others_go_on() -> None:
    writing = await Writing.begin()
    old, other = await writing.node("a"), await writing.node("b")
    new = await writing.node("a")
    results = await asyncio.gather(old.send(), other.send(), return_exceptions=True)
    assert isinstance(results[0], StaleEpoch)
    await new.send()
    with pytest.raises(StaleEpoch, match="a: epoch 1"):
        await old.send(generation=7, sequence=0)
    assert await writing.store.stored_sources() == ["b:1", "a:1"]


@virtual_time
async def test_a_new_incarnation_supersedes_what_its_predecessor_has_waiting() -> None:
    writing = await Writing.begin()
    old, blocker = await writing.node("a"), await writing.node("z")
    writing.store.open.clear()
    first = blocker.send()
    await settled()
    tasks = [old.send(), old.send(), old.send(sequence=17)]
    await settled()
    new = await writing.node("a")
    succeeding = new.send()
    await settled()
    writing.store.open.set()
    await asyncio.gather(first, succeeding)
    for task in tasks:
        with pytest.raises(Superseded):
            await task
    assert await writing.store.stored_sources() == ["z:1", "a:1"]
