"""Slots that have come equally far, and which keys are due."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.processing.lanes import Lane
from store.receipts import Receipt
from streams.program import NEVER

plans = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 20)))


def test_a_lane_begins_before_all_moments() -> None:
    lane = Lane(7, None)
    assert (lane.position, lane.watermark_us, lane.slots) == (7, NEVER, set())
    lane.plan("a", NEVER + 1)
    assert lane.next_due() is None


@given(plans, st.integers(0, 20))
def test_what_is_due_is_told_once_in_order_as_it_was_planned_last(
    planned: list[tuple[str, int | None]], watermark_us: int
) -> None:
    lane = Lane(0, None)
    last: dict[str, int] = {}
    for key, due_us in planned:
        lane.plan(key, due_us)
        if due_us is None:
            last.pop(key, None)
        else:
            last[key] = due_us
    expected = sorted((due_us, key) for key, due_us in last.items() if due_us <= watermark_us)
    assert lane.due_until(watermark_us) == {key for _, key in expected}
    lane.watermark_us = watermark_us
    found = []
    while (due := lane.next_due()) is not None:
        found.append((due[1], due[0]))
    assert found == expected
    assert lane.due_until(watermark_us) == set()


def test_lanes_that_meet_are_one() -> None:
    one, other = Lane(5, 100), Lane(5, 300)
    one.add_slot(1, Receipt().plus([b"a" * 16]))
    other.add_slot(4)
    one.plan("first", 50)
    other.plan("second", 20)
    other.plan("gone", 10)
    other.plan("gone", None)
    one.join(other)
    assert one.slots == {1, 4}
    assert one.receipts == {1: Receipt().plus([b"a" * 16]), 4: Receipt()}
    assert one.watermark_us == 300
    assert [one.next_due(), one.next_due(), one.next_due()] == [
        ("second", 20),
        ("first", 50),
        None,
    ]


def test_a_key_that_is_put_off_again_and_again_takes_no_room() -> None:
    lane = Lane(0, None)
    for number in range(10_000):
        lane.plan("device/a", 10**15 + number)
    assert len(lane._heap) < 1_000
    lane.watermark_us = 2 * 10**15
    assert [lane.next_due(), lane.next_due()] == [("device/a", 10**15 + 9_999), None]
