"""Attempts in doubt: they happen late, at once or never, and each append is in the log once."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.moments import moment_of
from store.attempts import Attempts, TooMuchInDoubt
from store.errors import (
    AppendRefused,
    DuplicateEvent,
    StaleEpoch,
    StoreUnavailable,
    VersionConflict,
)
from store.event_store import WRITER
from store.group_commit import GroupCommit
from store.rows.decoding import Decoder
from tests.unit.writing import (
    GONE,
    NOW_US,
    Cue,
    CuedStore,
    Node,
    Writing,
    lost_before,
)
from tests.virtual_time import settled, virtual_time


class Late:
    """Appends whose connection is lost while the server is still busy with them: a test says
    when the server gets to each."""

    def __init__(self) -> None:
        self.pending: list[Callable[[], Awaitable[None]]] = []

    async def lost(self, commit: Callable[[], Awaitable[None]]) -> None:
        """A cue: lost during the append."""
        self.pending.append(commit)
        raise GONE

    def lost_with(self, store: CuedStore) -> Cue:
        """A cue: lost during the append, and the server cannot be reached from then on."""

        async def cue(commit: Callable[[], Awaitable[None]]) -> None:
            store.away = True
            await self.lost(commit)

        return cue

    def finishing(self, number: int) -> Cue:
        """A cue: the server finishes an earlier append just before it gets the next one."""

        async def cue(commit: Callable[[], Awaitable[None]]) -> None:
            await self.pending[number]()
            await commit()

        return cue


@virtual_time
async def test_rows_of_an_attempt_that_happens_late_are_not_taken_for_others_sent_with_them() -> (
    None
):
    """The one node's rows were attempted alone, and given up. It sends them again, in company
    of another node's; now the first attempt happens. The company is not in it."""
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    late = Late()
    writing.store.cues.append(late.lost_with(writing.store))
    append = a.made(2)
    with pytest.raises(StoreUnavailable):
        await writing.writer.append(append)
    writing.store.away = False
    a.begin_generation(versions=0)
    writing.store.cues.append(late.finishing(0))
    again, company = a.send(2, rows=append.rows), b.send()
    assert (await company).first_position == 3
    with pytest.raises(DuplicateEvent):
        await again
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "a:2", "b:1"]


@virtual_time
async def test_of_attempts_that_overlap_the_one_that_happened_is_acknowledged() -> None:
    """The batch is attempted whole, then, because of a conflict, one by one, all of it while
    the first attempt is still under way."""
    writing = await Writing.begin()
    nodes = [await writing.node(name) for name in "abc"]
    late = Late()

    async def conflict(_commit: object) -> None:
        raise VersionConflict("on cue")

    writing.store.cues.extend([late.lost, conflict, late.finishing(0)])
    done = await asyncio.gather(*(node.send() for node in nodes))
    assert [each.first_position for each in done] == [1, 2, 3]
    assert writing.store.calls == [3, 3, 1], "found out while the first went alone"
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "b:1", "c:1"]
    assert len(writing.commits) == 1


@virtual_time
async def test_an_attempt_that_happens_when_nobody_appends_any_more_is_published() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    late = Late()
    writing.store.cues.append(late.lost_with(writing.store))
    with pytest.raises(StoreUnavailable):
        await node.send(2)
    await asyncio.sleep(60)
    assert not writing.commits
    writing.store.away = False
    await asyncio.sleep(60)
    assert not writing.commits, "nothing has happened yet"
    await late.pending[0]()
    await asyncio.sleep(GroupCommit.LOOK_AT_LEAST_S)
    assert writing.writer.position == 2
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "a:2"]


@virtual_time
async def test_an_idle_writer_with_something_in_doubt_finds_out_that_it_was_replaced() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    writing.store.cues.append(lost_before)
    sending = node.send()
    await settled()
    writing.store.away = True
    with pytest.raises(StoreUnavailable):
        await sending
    writing.store.away = False
    await writing.store.open_epoch(WRITER)
    with pytest.raises(StaleEpoch):
        await writing.running


@virtual_time
async def test_an_append_without_rows_settles_nothing_that_is_in_doubt() -> None:
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    late = Late()
    writing.store.cues.append(late.lost_with(writing.store))
    with pytest.raises(StoreUnavailable):
        await a.send(2)
    writing.store.away = False
    b.ticks += 1
    await b.send(0)
    writing.store.cues.append(late.finishing(0))
    assert (await b.send(first_version=1)).first_position == 3
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "a:2", "b:1"]


@virtual_time
async def test_two_attempts_under_way_at_once_happen_once() -> None:
    writing = await Writing.begin()
    node = await writing.node("a")
    late = Late()
    writing.store.cues.extend([late.lost, late.lost, late.finishing(1)])
    assert (await node.send(2)).first_position == 1
    with pytest.raises(StaleEpoch):
        await late.pending[0]()
    assert (await node.send()).first_position == 3
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "a:2", "a:3"]


@virtual_time
async def test_a_late_attempt_keeps_the_commit_time_that_its_rows_have() -> None:
    writing = await Writing.begin()
    a, b = await writing.node("a"), await writing.node("b")
    late = Late()
    writing.store.cues.append(late.lost)
    first = a.send()
    await settled()
    writing.now_us += 5
    later = b.send()
    writing.store.cues.append(late.finishing(0))
    done = await asyncio.gather(first, later)
    found = Decoder().events((await writing.store.read(0, 10)).rows)
    assert [each.recorded_us for each in done] == [NOW_US, NOW_US + 5]
    assert [event.recorded_at for event in found] == [moment_of(NOW_US), moment_of(NOW_US + 5)]


@virtual_time
async def test_a_refusal_by_rows_of_an_own_late_attempt_is_recognised() -> None:
    """A store may look at ids before it looks at the fence."""
    writing = await Writing.begin()
    node = await writing.node("a")
    late = Late()

    async def duplicate(_commit: object) -> None:
        await late.pending[0]()
        raise DuplicateEvent("of its own")

    writing.store.cues.extend([late.lost, duplicate])
    assert (await node.send(2)).first_position == 1
    assert writing.published() == await writing.store.stored_sources() == ["a:1", "a:2"]


@virtual_time
async def test_an_attempt_of_a_writer_that_is_gone_never_happens() -> None:
    store = CuedStore()
    old = await Writing.begin(store)
    node = await old.node("a")
    late = Late()
    store.cues.append(late.lost)
    lost = node.send()
    await settled()
    old.running.cancel()
    lost.cancel()
    new = await Writing.begin(store)
    with pytest.raises(StaleEpoch):
        await late.pending[0]()
    assert (await (await new.node("b")).send()).first_position == 1
    assert new.published() == await store.stored_sources() == ["b:1"]


@virtual_time
async def test_a_writer_with_too_much_in_doubt_begins_anew() -> None:
    """What is in doubt is kept, so it is bounded; a new epoch settles all of it at once."""
    writing = await Writing.begin()
    late = Late()
    for number in range(Attempts.MAX_IN_DOUBT):
        node = await writing.node(f"node-{number}")
        writing.store.cues.append(late.lost)
        sent = node.send()
        await settled()
        writing.store.away = True  # for as long as the writer is patient
        with pytest.raises(StoreUnavailable):
            await sent
        writing.store.away = False
    last = await writing.node("last")
    sent = last.send()
    with pytest.raises(TooMuchInDoubt):
        await writing.running
    with pytest.raises(StoreUnavailable, match="begins anew"):
        await sent
    assert len(late.pending) == Attempts.MAX_IN_DOUBT


async def insist(writing: Writing, node: Node, appends: int) -> list[str]:
    """Append one event after another until each is in the log; what was acknowledged, each
    where it stands."""
    done: list[str] = []
    while len(done) < appends:
        version = len(done) + 1
        try:
            position = (await node.send(first_version=version)).first_position
            assert (await writing.store.stored_sources())[position - 1] == f"{node.name}:{version}"
        except (AppendRefused, StoreUnavailable):
            known = [
                name for name in await writing.store.stored_sources() if name.startswith(node.name)
            ]
            done = known
            node.begin_generation(versions=len(known))
        else:
            done.append(f"{node.name}:{version}")
    return done


class Whims:
    """What becomes of each append that is tried, out of a list of faults: it is lost before or
    after it is committed, or while the server is busy with it; then the server gets to it just
    before some later one, or never. Now and then rows are refused for no reason of theirs."""

    def __init__(self, faults: list[str]) -> None:
        self._faults = iter(faults)
        self._pending: list[Callable[[], Awaitable[None]]] = []

    async def cue(self, commit: Callable[[], Awaitable[None]]) -> None:
        """The fate of one append."""
        fault = next(self._faults, "fine")
        if fault == "busy":
            self._pending.append(commit)
            raise GONE
        if fault == "late" and self._pending:
            with contextlib.suppress(AppendRefused):
                await self._pending.pop()()  # it may come too late, too
        if fault == "conflict":
            raise VersionConflict("on a whim")
        if fault != "before":
            await commit()
        if fault in ("before", "after"):
            raise GONE


@given(
    faults=st.lists(
        st.sampled_from(["fine", "before", "after", "busy", "busy", "late", "late", "conflict"]),
        max_size=60,
    )
)
@virtual_time
async def test_whatever_is_lost_on_the_way_every_append_is_in_the_log_once(
    faults: list[str],
) -> None:
    writing = await Writing.begin(CuedStore(), batch_size=3)
    whims = Whims(faults)
    writing.store.always = whims.cue
    nodes = [await writing.node(name) for name in "abc"]
    done = await asyncio.gather(*(insist(writing, node, 8) for node in nodes))
    log = await writing.store.stored_sources()
    for node, acknowledged in zip(nodes, done, strict=True):
        expected = [f"{node.name}:{version}" for version in range(1, 9)]
        assert acknowledged == [name for name in log if name[0] == node.name] == expected
    assert writing.published() == log
