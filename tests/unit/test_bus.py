"""The bus in virtual time: whom a commit wakes, and how far an answer reaches."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.event import Kind
from actors.lifecycle import ERASED
from runtime.partition.bus import Bus
from runtime.partition.matching import Matchers
from runtime.partition.subscribers import Subscribers
from runtime.wire.polls import (
    MAX_GLOBS,
    MAX_GLOBS_LENGTH,
    Poll,
    Polled,
    pack_names,
    pack_poll,
    pack_position,
    unpack_poll,
    unpack_polled,
)
from store.event_store import Page
from store.rows.layout import topics
from store.selection import Selection, pattern
from tests.contracts.appending import made_event
from tests.unit.feeding import Partition, positions
from tests.unit.test_bus_buffer import commit
from tests.virtual_time import now_s, settled, virtual_time

WAIT_S = 10.0


def bus_of(partition: Partition) -> Bus:
    assert partition.bus is not None
    return partition.bus


def asked(
    partition: Partition, after: int, *sources: str, name: str = "one", wait_s: float = WAIT_S
) -> "asyncio.Task[Polled]":
    """A poll under way."""

    async def ask() -> Polled:
        poll = pack_poll(Poll(name, after, (), sources, (), wait_s))
        return unpack_polled(await bus_of(partition).poll(poll))

    return asyncio.ensure_future(ask())


async def subscriptions(partition: Partition) -> int:
    """How many the bus says are live."""
    facts = await bus_of(partition).facts()
    assert facts is not None
    return facts.subscriptions


def found(polled: Polled) -> list[int]:
    """The positions of the events of an answer."""
    return positions([Page(rows=polled.rows, through=polled.through)])


@virtual_time
async def test_a_commit_wakes_who_wants_some_of_it_and_nobody_else() -> None:
    partition = Partition()
    polls = {source: asked(partition, 0, source, name=source) for source in ("a", "b*", "c")}
    await settled()
    await partition.commit("a", "bb")
    await settled()
    assert [source for source, poll in polls.items() if poll.done()] == ["a", "b*"]
    assert (found(await polls["a"]), found(await polls["b*"])) == ([1], [2])
    assert now_s() == 0
    answer = await polls["c"]
    assert (found(answer), answer.through, answer.covered) == ([], 2, True)
    assert now_s() == WAIT_S


@virtual_time
async def test_who_waits_in_vain_is_moved_past_what_he_does_not_want() -> None:
    partition = Partition(buffer_size=2)
    poll = asked(partition, 0, "wanted")
    await settled()
    for _ in range(5):
        await partition.commit("a", "b")
    assert not bus_of(partition)._buffer.covers(0)
    answer = await poll
    assert (answer.covered, answer.through) == (True, 10)


@virtual_time
async def test_who_waits_where_commits_are_missed_is_told_how_far_he_missed_nothing() -> None:
    partition = Partition()
    poll = asked(partition, 0, "wanted")
    await settled()
    await partition.commit("a")
    await partition.append(made_event("wanted"))  # and the bus is not told
    await partition.commit("b")
    await settled()
    answer = await poll
    assert (answer.covered, answer.through, answer.rows) == (True, 1, b"")
    answer = await asked(partition, 1, "wanted")
    assert (answer.covered, answer.through) == (False, 3)


@virtual_time
async def test_what_was_handed_to_another_incarnation_is_found_in_the_log() -> None:
    partition = Partition()
    await partition.commit("wanted")
    poll = asked(partition, 1, "wanted")
    await settled()
    await partition.append(made_event("wanted", 2))  # and the bus is not told
    answer = await poll
    assert now_s() == Bus.LOOK_S < WAIT_S
    assert (answer.covered, answer.through) == (False, 2)


@virtual_time
async def test_a_bus_that_hears_of_commits_does_not_ask_the_log_for_them() -> None:
    partition, looks = Partition(), 0
    head = partition.log.head

    async def counted() -> int:
        nonlocal looks
        looks += 1
        return await head()

    partition.log.head = counted  # type: ignore[method-assign]
    for _ in range(20):
        await partition.commit("a")
        await asyncio.sleep(Bus.LOOK_S / 2)
    assert looks == 1  # its start


@virtual_time
async def test_a_poll_ahead_of_the_bus_waits_for_what_comes_after_it() -> None:
    partition = Partition()
    poll = asked(partition, 2)
    await settled()
    await partition.commit("a", "b")
    await settled()
    assert not poll.done()
    await partition.commit("c")
    assert found(await poll) == [3]


@virtual_time
async def test_a_poll_that_ends_as_a_commit_arrives_loses_nothing() -> None:
    for late in (-1, 0, 1):
        partition = Partition()
        poll = asked(partition, 0)
        await settled()
        loop = asyncio.get_running_loop()
        committing = loop.create_future()
        loop.call_at(now_s() + WAIT_S + late * 1e-6, committing.set_result, None)
        await committing
        await partition.commit("a")
        answer = await poll
        seen = found(answer)
        seen += found(await asked(partition, answer.through, wait_s=0.0))
        assert seen == [1]


@virtual_time
async def test_one_of_many_is_answered_again_after_his_share_with_all_that_came() -> None:
    partition = Partition()
    others = [asked(partition, 0, f"other-{n}", name=f"other-{n}") for n in range(20)]
    poll = asked(partition, 0, "a")
    await settled()
    await asyncio.sleep(1)
    await partition.commit("a")
    assert found(await poll) == [1]
    assert now_s() == 1  # nothing had come for long: at once
    poll = asked(partition, 1, "a")
    for _ in range(3):
        await partition.commit("a")
    assert found(await poll) == [2, 3, 4]
    assert now_s() == pytest.approx(1 + 20 * Subscribers.SHARE_S)
    poll = asked(partition, 4, "a")
    await asyncio.sleep(1)
    await partition.commit("a")
    assert found(await poll) == [5]
    assert now_s() == pytest.approx(2 + 20 * Subscribers.SHARE_S)
    for other in others:
        other.cancel()


@virtual_time
async def test_the_only_subscriber_never_waits_for_a_share() -> None:
    partition = Partition()
    for position in range(5):
        poll = asked(partition, position)
        await settled()
        await partition.commit("a")
        assert found(await poll) == [position + 1]
    assert now_s() == 0


@pytest.mark.parametrize("wait_s", [float("inf"), 1e300, float("nan"), -1.0])
@virtual_time
async def test_a_poll_is_answered_whatever_it_would_wait(wait_s: float) -> None:
    partition = Partition()
    assert (await asked(partition, 0, wait_s=wait_s)).rows == b""
    assert now_s() == (Bus.LONGEST_WAIT_S if wait_s > 0 else 0)


@virtual_time
async def test_a_new_poll_of_a_subscriber_ends_his_old_one() -> None:
    partition = Partition()
    old = asked(partition, 0)
    await settled()
    new = asked(partition, 0)
    await settled()
    assert (await old).rows == b""
    assert not new.done()
    await partition.commit("a")
    assert found(await new) == [1]
    assert now_s() == 0


@virtual_time
async def test_who_leaves_is_not_waited_for_and_his_matcher_is_gone() -> None:
    partition = Partition()
    poll = asked(partition, 0, "a")
    await settled()
    assert len(bus_of(partition)._matchers) == 1
    await bus_of(partition).leave(pack_names(["one", "nobody"]))
    assert (await poll).rows == b""
    assert now_s() == 0
    assert len(bus_of(partition)._matchers) == 0
    assert await subscriptions(partition) == 0


@virtual_time
async def test_who_does_not_ask_any_more_is_forgotten() -> None:
    partition = Partition()
    await asked(partition, 0, "a", wait_s=0.0)
    await asyncio.sleep(Subscribers.FORGOTTEN_AFTER_S - 1)
    await partition.commit("b")
    assert await subscriptions(partition) == 1
    await asyncio.sleep(1)
    await partition.commit("b")
    assert await subscriptions(partition) == 0
    assert len(bus_of(partition)._matchers) == 0


@virtual_time
async def test_subscribers_beyond_the_bound_leave_one_by_one_and_lose_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Subscribers, "MAX", 3)
    partition = Partition()
    polls = [asked(partition, 0, f"{n}", name=f"{n}") for n in range(4)]
    await settled()
    assert [poll.done() for poll in polls] == [True, False, False, False]
    assert len(bus_of(partition)._matchers) == 3
    again = asked(partition, (await polls[0]).through, "0", name="0")
    await settled()
    await partition.commit("0")
    assert found(await again) == [1]


@virtual_time
async def test_subscriptions_of_one_selection_share_one_matcher() -> None:
    partition = Partition()
    polls = [asked(partition, 0, "a", name=f"{n}") for n in range(5)]
    await settled()
    assert len(bus_of(partition)._matchers) == 1
    await partition.commit("a")
    assert [found(await poll) for poll in polls] == [[1]] * 5


names = st.text("ab/\n", min_size=1, max_size=4)


kinds = st.sampled_from(Kind)


globs = st.lists(st.text("ab/*\n", min_size=1, max_size=5), max_size=3).map(tuple)


@given(
    st.lists(st.tuples(globs, globs, st.sets(kinds, max_size=2).map(tuple)), max_size=6),
    st.lists(st.tuples(names, names, kinds), min_size=1, max_size=6),
    st.integers(min_value=1, max_value=40),
    st.lists(st.integers(min_value=0, max_value=5), max_size=3),
)
def test_matchers_of_a_topic_are_those_that_want_it_whoever_comes_and_goes(
    wishes: list[tuple[tuple[str, ...], tuple[str, ...], tuple[Kind, ...]]],
    events: list[tuple[str, str, Kind]],
    remembered: int,
    leaving: list[int],
) -> None:
    matchers = Matchers()
    matchers._by_topic._capacity = remembered
    using = [
        matchers.use(Selection(event_types=one, sources=two, kinds=three))
        for one, two, three in wishes
    ]
    made = commit(1, [made_event(source, event_type=name, kind=k) for name, source, k in events])
    starts = [sum(made.rows.lengths[:n]) for n in range(len(events))]
    found = topics(bytes(made.rows.data), starts)
    for index in [None, *leaving]:
        if index is not None and index < len(using):
            matchers.give_back(using.pop(index))
        for (name, source, kind), topic in zip(events, found, strict=True):
            live = {one for one in using if one.users}
            about = name.encode(), kind.value.encode(), source.encode()
            wanting = {one for one in live if one.wants(*about)}
            asked_for = set(matchers.of_topic(topic)) | set(matchers.of_type(name.encode()))
            assert asked_for == wanting
        assert matchers._by_topic._entries <= remembered + 1 + len(using)


@given(globs.filter(lambda found: "*" not in found), st.text("ab/\n*", max_size=8))
def test_a_pattern_means_what_the_plain_expression_means(
    wanted: tuple[str, ...], text: str
) -> None:
    if wanted:
        plain = "|".join(re.escape(glob).replace(r"\*", ".*") for glob in wanted)
        mine = pattern(wanted)
        assert mine is not None
        matches = mine.fullmatch(text.encode()) is not None
        assert matches == (re.fullmatch(plain, text, re.DOTALL) is not None)


def test_a_pattern_of_many_stars_holds_nobody_up() -> None:
    slow = pattern(("*a" * 20 + "*b",))
    assert slow is not None
    assert slow.fullmatch(b"a" * 1_000) is None  # with the plain expression: for ever
    assert slow.fullmatch(b"a" * 1_000 + b"b") is not None


@virtual_time
async def test_publishing_does_not_wait_for_the_log() -> None:
    partition = Partition()
    await asked(partition, 0, wait_s=0.0)  # the bus has started
    partition.log.away = True
    await partition.append(made_event("a"))
    await partition.commit("b")
    await partition.commit("c")
    assert now_s() == 0
    assert bus_of(partition)._buffer.head == 3


@pytest.mark.parametrize("globs", [("a",) * (MAX_GLOBS + 1), ("a" * MAX_GLOBS_LENGTH, "b")])
def test_a_poll_of_more_patterns_than_a_subscription_may_have_is_refused_by_the_bus(
    globs: tuple[str, ...],
) -> None:
    """Any program may ask; making an expression of a million patterns stops everybody."""
    for poll in (Poll("a", 0, globs, (), (), 0.0), Poll("a", 0, (), globs, (), 0.0)):
        with pytest.raises(ValueError, match=r"patterns|length"):
            unpack_poll(pack_poll(poll))
    fits = Poll("a", 0, ("a" * MAX_GLOBS_LENGTH,), ("b",) * MAX_GLOBS, (), 0.0)
    assert unpack_poll(pack_poll(fits)) == fits


@virtual_time
async def test_a_bus_that_hears_of_an_erasure_has_nothing_of_before() -> None:
    partition = Partition()
    await partition.commit("a", "b")
    waits = asked(partition, 2, "b", name="waits")
    await settled()
    erased = made_event("a", 2, event_type=ERASED, kind=Kind.SYSTEM)
    await partition.publish(await partition.append(erased, made_event("b", 3)))
    for after in (0, 1, 2):  # whoever needs any of it reads the log
        answer = await asked(partition, after, name=f"reads after {after}")
        assert (answer.covered, answer.through, answer.rows) == (False, 4, b"")
    assert not (await waits).covered
    assert (await asked(partition, 4, wait_s=0.0)).covered
    await partition.commit("c")
    assert found(await asked(partition, 4)) == [5]


@virtual_time
async def test_a_bus_forgets_what_was_erased_behind_that_also_where_it_has_not_heard_of_it() -> (
    None
):
    partition = Partition()
    await partition.commit("a", "b")
    late = await partition.append(made_event("totals/a"), made_event("b", 3))
    await bus_of(partition).forget(pack_position(4))
    assert not (await asked(partition, 0, name="reads", wait_s=0.0)).covered
    await partition.publish(late)  # of a writer that was slow to say so
    for after in (0, 2, 3):
        answer = await asked(partition, after, name=f"reads after {after}", wait_s=0.0)
        assert (answer.covered, answer.through, answer.rows) == (False, 4, b"")
    await partition.commit("c")
    assert found(await asked(partition, 4)) == [5]
