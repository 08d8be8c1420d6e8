"""Vector clocks: the laws of the partial order, and of what moves in it."""

import pickle

import pytest
from hypothesis import given

from actors.clock import CausalRelation, VectorClock, causal_relation, comparisons
from tests.strategies import clocks, nodes

INVERSE = {
    CausalRelation.SAME: CausalRelation.SAME,
    CausalRelation.HAPPENED_BEFORE: CausalRelation.HAPPENED_AFTER,
    CausalRelation.HAPPENED_AFTER: CausalRelation.HAPPENED_BEFORE,
    CausalRelation.CONCURRENT: CausalRelation.CONCURRENT,
    CausalRelation.CAUSALLY_INDEPENDENT: CausalRelation.CAUSALLY_INDEPENDENT,
}


@given(clocks)
def test_at_most_is_reflexive(a: VectorClock) -> None:
    assert a <= a
    assert a >= a


@given(clocks, clocks)
def test_at_most_is_antisymmetric(a: VectorClock, b: VectorClock) -> None:
    assert (a <= b and b <= a) == (a == b)


@given(clocks, clocks, clocks)
def test_at_most_is_transitive(a: VectorClock, b: VectorClock, c: VectorClock) -> None:
    low, high = a, a.update(b).update(c)
    assert low <= a.update(b) <= high
    assert low <= high
    if a <= b and b <= c:
        assert a <= c


@given(clocks, clocks)
def test_at_most_means_in_every_entry(a: VectorClock, b: VectorClock) -> None:
    assert (a <= b) == all(a.count(node) <= b.count(node) for node in "abcd")


@given(clocks)
def test_happens_before_is_irreflexive(a: VectorClock) -> None:
    assert not a.happens_before(a)
    assert not a < a


@given(clocks, clocks)
def test_happens_before_is_asymmetric(a: VectorClock, b: VectorClock) -> None:
    assert not (a.happens_before(b) and b.happens_before(a))


@given(clocks, clocks, clocks)
def test_happens_before_is_transitive(a: VectorClock, b: VectorClock, c: VectorClock) -> None:
    if a.happens_before(b) and b.happens_before(c):
        assert a.happens_before(c)


@given(clocks, clocks)
def test_happens_before_is_at_most_and_not_equal(a: VectorClock, b: VectorClock) -> None:
    assert a.happens_before(b) == (a <= b and a != b) == (a < b) == (b > a)


@given(clocks, clocks, nodes)
def test_update_and_tick_make_chains(a: VectorClock, b: VectorClock, node: str) -> None:
    merged = a.update(b).tick(node)
    assert a.happens_before(merged)
    assert b.happens_before(merged)


@given(clocks, clocks)
def test_update_is_an_upper_bound(a: VectorClock, b: VectorClock) -> None:
    assert a <= a.update(b)
    assert b <= a.update(b)


@given(clocks, clocks, clocks)
def test_update_is_the_least_upper_bound(a: VectorClock, b: VectorClock, c: VectorClock) -> None:
    assert (a.update(b) <= c) == (a <= c and b <= c)


@given(clocks, clocks)
def test_update_is_commutative(a: VectorClock, b: VectorClock) -> None:
    assert a.update(b) == b.update(a)


@given(clocks, clocks, clocks)
def test_update_is_associative(a: VectorClock, b: VectorClock, c: VectorClock) -> None:
    assert a.update(b).update(c) == a.update(b.update(c))


@given(clocks)
def test_update_is_idempotent_and_the_empty_clock_is_its_neutral_element(a: VectorClock) -> None:
    assert a.update(a) == a
    assert a.update(VectorClock()) == VectorClock().update(a) == a


@given(clocks, nodes)
def test_a_tick_is_strictly_greater_and_moves_one_entry_by_one(a: VectorClock, node: str) -> None:
    ticked = a.tick(node)
    assert a.happens_before(ticked)
    assert ticked.count(node) == a.count(node) + 1
    assert all(ticked.count(other) == a.count(other) for other in "abcd" if other != node)


@given(clocks, clocks, nodes)
def test_moving_a_clock_leaves_the_clock_it_came_from(
    a: VectorClock, b: VectorClock, node: str
) -> None:
    before = dict(a)
    a.tick(node)
    a.update(b)
    assert dict(a) == before


@given(clocks, clocks)
def test_exactly_one_relation_holds_between_any_two_clocks(a: VectorClock, b: VectorClock) -> None:
    concurrent = not a <= b and not b <= a
    shared = any(a.count(node) and b.count(node) for node in "abcd")
    holds = {
        CausalRelation.SAME: a == b,
        CausalRelation.HAPPENED_BEFORE: a.happens_before(b),
        CausalRelation.HAPPENED_AFTER: b.happens_before(a),
        CausalRelation.CONCURRENT: concurrent and shared,
        CausalRelation.CAUSALLY_INDEPENDENT: concurrent and not shared,
    }
    assert [relation for relation, held in holds.items() if held] == [causal_relation(a, b)]


@given(clocks, clocks)
def test_the_relation_seen_from_the_other_side_is_its_inverse(
    a: VectorClock, b: VectorClock
) -> None:
    assert causal_relation(b, a) is INVERSE[causal_relation(a, b)]


@given(clocks, clocks)
def test_concurrent_is_symmetric_and_means_that_neither_is_at_most_the_other(
    a: VectorClock, b: VectorClock
) -> None:
    assert a.concurrent_with(b) == b.concurrent_with(a) == (not a <= b and not b <= a)


@given(clocks, clocks, nodes)
def test_a_common_past_turns_independent_clocks_into_concurrent_ones(
    a: VectorClock, b: VectorClock, node: str
) -> None:
    if causal_relation(a, b) is CausalRelation.CAUSALLY_INDEPENDENT:
        past = VectorClock({"past": 1})
        assert causal_relation(a.update(past), b.update(past)) is CausalRelation.CONCURRENT


@given(clocks, clocks)
def test_equal_clocks_have_equal_hashes(a: VectorClock, b: VectorClock) -> None:
    padded = VectorClock({**a, "zero": 0})
    assert a == padded
    assert hash(a) == hash(padded)
    if a == b:
        assert hash(a) == hash(b)


@given(clocks)
def test_a_clock_survives_pickling(a: VectorClock) -> None:
    assert pickle.loads(pickle.dumps(a)) == a


@given(clocks, clocks)
def test_every_comparison_of_two_clocks_is_counted(a: VectorClock, b: VectorClock) -> None:
    before = comparisons.total
    _ = a <= b
    _ = a.happens_before(b)
    assert comparisons.total == before + 2


def test_a_clock_does_not_equal_a_plain_mapping() -> None:
    assert VectorClock({"a": 1}) != {"a": 1}


def test_a_clock_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="from zero up"):
        VectorClock({"a": -1})
