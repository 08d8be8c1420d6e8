"""Aggregations: what they come to, whatever the order, and what they refuse."""

import random
from math import inf, nan
from typing import Any

import pytest

from streams.aggregates import Count, Latest, Max, Mean, Min, Sum
from streams.aggregation import Aggregation, gathering
from streams.plain import not_plain
from streams.sketches import Distinct, Quantiles, _bucket, _middle
from tests.unit.streams.readings import measured

Row = dict[str, Any]


def came_to(aggregate: Aggregation, *values: Any) -> Any:
    so_far = aggregate.zero()
    for value in values:
        so_far = aggregate.add(so_far, {"x": value})
        assert not_plain(so_far) is None
    return aggregate.result(so_far)


@pytest.mark.parametrize(
    ("aggregate", "values", "result"),
    [
        (Count(), (1, None, "a"), 3),
        (Count("x"), (1, None, "a"), 2),
        (Count("x"), (), 0),
        (Sum("x"), (1, 2, None), 3),
        (Sum("x"), (), 0),
        (Sum("x"), (1, 0.5), 1.5),
        (Sum("x"), (1e16, 1.0, -1e16), 1.0),
        (Sum("x"), (2**63 - 1, 5, -5), 2**63 - 1),
        (Sum("x"), (2**62, 2**62, 2**62), 3 * 2**62),
        (Mean("x"), (1, 2, None), 1.5),
        (Mean("x"), (0.1,) * 10, 0.1),
        (Mean("x"), (None,), None),
        (Min("x"), (3, None, 1, 2), 1),
        (Max("x"), ("a", "c", "b"), "c"),
        (Min("x"), (), None),
        (Quantiles("x", 0.5), (), {"p50": None}),
        (Distinct("x"), ("a", "b", "a", None), 2),
        (Distinct("x"), (1, 1.0, "1", 2.5), 3),
        (Distinct("x"), (), 0),
    ],
    ids=lambda each: type(each).__name__ if hasattr(each, "zero") else None,
)
def test_what_values_come_to(aggregate: Aggregation, values: tuple[Any, ...], result: Any) -> None:
    found = came_to(aggregate, *values)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize("value", [nan, inf, "a", True, [1]], ids=repr)
def test_what_cannot_be_summed_is_refused(value: Any) -> None:
    for aggregate in (Sum("x"), Mean("x"), Quantiles("x")):
        with pytest.raises(ValueError, match="only finite numbers can be summed"):
            came_to(aggregate, value)


def test_a_sum_beyond_the_floats_is_told() -> None:
    with pytest.raises(ValueError, match="beyond the floats"):
        came_to(Sum("x"), 1.7e308, 1.7e308)


def test_the_latest_is_that_of_the_latest_moment_whenever_it_came() -> None:
    latest = Latest("n")
    so_far = latest.zero()
    for event in (measured(1, 1), measured(3, 3), measured(2, 2), measured(4, 0, celsius=None)):
        so_far = latest.add(so_far, event)
    assert latest.result(so_far) == 0
    only = Latest("celsius")
    assert only.result(only.add(only.add(None, measured(4, celsius=None)), measured(1))) == 20.0
    with pytest.raises(ValueError, match="told by an event's moment"):
        latest.add(None, {"n": 1})
    with pytest.raises(ValueError, match="kept, so it is plain, and it is a set"):
        Latest(lambda event: {1}).add(None, measured(0))


def test_quantiles_are_within_their_accuracy_of_the_value_at_the_rank() -> None:
    random.seed(7)
    values = [random.lognormvariate(3, 2) * random.choice((-1, 1)) for _ in range(2000)]
    found = came_to(Quantiles("x", 0, 0.01, 0.5, 0.9, 0.999, 1), *values)
    values.sort()
    assert list(found) == ["p0", "p1", "p50", "p90", "p99.9", "p100"]
    for rank, value in zip((1, 20, 1000, 1800, 1998, 2000), found.values(), strict=True):
        exact = values[rank - 1]
        assert abs(value - exact) <= abs(exact) / 128


@pytest.mark.parametrize("value", [1e-320, 5e-324, 1e-10, 0.75, 1.0, 3.0, 1e300, 1.79e308], ids=str)
def test_a_bucket_has_its_values(value: float) -> None:
    assert _bucket(0) == 0 == _middle(0)
    assert _bucket(value) > 0
    assert _bucket(-value) == -_bucket(value)
    assert _middle(_bucket(value)) == pytest.approx(value, rel=1 / 128, abs=5e-324)


def test_distinct_counts_are_exact_up_to_the_size_and_near_beyond_it() -> None:
    few = came_to(Distinct("x", size=64), *(str(n % 50) for n in range(200)))
    many = came_to(Distinct("x", size=1024), *(n % 5000 for n in range(10_000)))
    assert few == 50
    assert abs(many - 5000) < 3 * 5000 / 1024**0.5


@pytest.mark.parametrize(
    "aggregate",
    [Sum("x"), Mean("x"), Min("x"), Max("x"), Quantiles("x", 0.5), Distinct("x", size=32), Count()],
    ids=lambda each: type(each).__name__,
)
def test_order_and_merging_change_nothing(aggregate: Aggregation) -> None:
    random.seed(3)
    values = [random.choice((n, n / 3, -n, 1e15 * n)) for n in range(200)]
    shuffled = random.sample(values, len(values))
    assert repr(came_to(aggregate, *values)) == repr(came_to(aggregate, *shuffled))
    parts = []
    for half in (values[:70], values[70:]):
        parts.append(aggregate.zero())
        for value in half:
            parts[-1] = aggregate.add(parts[-1], {"x": value})
    merged = aggregate.result(aggregate.merge(*parts))
    assert repr(merged) == repr(came_to(aggregate, *values))
    assert repr(aggregate.result(aggregate.merge(parts[0], aggregate.zero()))) == repr(
        aggregate.result(parts[0])
    )


class Longest:
    """An aggregation of a user's."""

    def zero(self) -> str:
        return ""

    def add(self, so_far: str, item: Row) -> str:
        return self.merge(so_far, item["x"])

    def merge(self, one: str, other: str) -> str:
        return max(one, other, key=lambda text: (len(text), text))

    def result(self, so_far: str) -> str:
        return so_far


def test_users_have_aggregations_of_their_own_beside_others() -> None:
    both = gathering({"longest": Longest(), "n": Count()})
    so_far = both.zero()
    for text in ("a", "ccc", "bb"):
        so_far = both.add_of(so_far, {"x": text}, measured(0))
    assert both.result(both.merge(so_far, both.zero())) == {"longest": "ccc", "n": 3}


def test_sizes_and_quantiles_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="a power of two from 32 on, not 1000"):
        Distinct("x", size=1000)
    with pytest.raises(ValueError, match="a quantile is a number from 0 to 1, not 95"):
        Quantiles("x", 95)
    with pytest.raises(ValueError, match="named by its field or read by a function, not 3"):
        Sum(3)  # type: ignore[arg-type]
