"""Pending timers in memory: what is packed comes back, and takes tens of bytes."""

import sys
from random import Random
from uuid import UUID

import pytest

from actors.packed_timers import (
    FEW,
    PackedTimers,
    Pending,
    all_packed,
    find_packed,
    pack_all,
    timer_bytes,
    with_timer,
    without_timer,
)

LEAST, MOST = -(2**63), 2**63 - 1


def drawn(draw: Random) -> Pending:
    every_us = draw.choice((None, 1_000, MOST))
    missed = draw.choice(("once", "all", "skip"))
    due_us = draw.choice((LEAST, -1, 0, 1_700_000_000_000_000, MOST))
    return Pending(draw.randbytes(16), due_us, draw.choice((0, 3, 2**40)), every_us, missed)


@pytest.mark.parametrize("seed", range(20))
def test_packed_timers_are_a_table_by_key_however_many_they_are(seed: int) -> None:
    draw = Random(seed)
    keys = ["k", "ke", "key", "öffnen", "x" * 200, "\N{SNOWMAN}" * 200]
    keys += [f"k{number}" for number in range(draw.choice((0, 3, 60)))]
    packed: PackedTimers | None = None
    told: dict[str, Pending] = {}
    for _ in range(400):
        key = draw.choice(keys)
        if draw.random() < draw.choice((0.2, 0.8)):
            told.pop(key, None)
            packed = None if packed is None else without_timer(packed, key)
        else:
            told[key] = drawn(draw)
            packed = with_timer(packed, key, told[key])
        assert (packed is None) == (not told)
        assert packed is None or all_packed(packed) == told
        for each in keys:
            assert packed is None or find_packed(packed, each) == told.get(each)


def test_a_key_that_stands_in_an_id_is_none() -> None:
    key = "k"
    record = with_timer(None, key, Pending(bytes(16), 5))
    assert isinstance(record, bytes)
    packed = with_timer(None, "other", Pending(record[-16:], 5, 7, 9))
    assert find_packed(packed, key) is None


def test_a_timer_takes_tens_of_bytes() -> None:
    one = pack_all({"silence": Pending(bytes(16), 5)})
    ten = pack_all({f"k{number}": Pending(bytes(16), 5) for number in range(10)})
    assert sys.getsizeof(one) < 100
    assert sys.getsizeof(ten) < 10 * 50


def test_many_are_found_by_their_keys_and_few_stand_in_a_row_again() -> None:
    packed = pack_all({f"k{number}": Pending(bytes(16), number) for number in range(1_000)})
    for number in range(1_000 - FEW):
        assert isinstance(packed, dict)
        packed = without_timer(packed, f"k{number}")
    assert isinstance(packed, bytes)
    assert all_packed(packed).keys() == {f"k{number}" for number in range(1_000 - FEW, 1_000)}


def test_the_id_of_a_timer_is_the_text_of_a_uuid() -> None:
    timer = UUID(int=2**100 + 5)
    assert timer_bytes(str(timer)) == timer.bytes
    assert Pending(timer.bytes, 5).id == str(timer)
    for wrong in ("t", "00", "00" * 17):
        with pytest.raises(ValueError, match=r"hex|no id of a timer"):
            timer_bytes(wrong)
