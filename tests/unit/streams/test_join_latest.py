"""A join with the latest event of another stream, as of the moment of each item."""

from datetime import timedelta
from typing import Any

import pytest

from actors.event import Event
from streams.errors import InvalidProgram
from streams.join import Joined
from streams.pipeline import EventPipeline
from streams.scenario import StreamScenario
from tests.unit.streams.readings import Hot, after, measured, opened

MINUTE = timedelta(minutes=1)

#: The number of the item, how wide the window was, the revision, and what it replaces.
Shown = tuple[int, int | None, int, int | None]


class Join:
    """Temperatures, each with how wide the window of its room was then."""

    def __init__(self, within: float = 30, lateness: float = 0, disorder: float = 0) -> None:
        self.results: list[Joined] = []
        pipeline = (
            EventPipeline("airing", "measured", disorder=disorder * MINUTE)
            .key_by("room")
            .join_latest("opened", key="room", within=within * MINUTE, lateness=lateness * MINUTE)
            .emit(self._put_out)
        )
        self.scenario = StreamScenario(pipeline)

    def given(self, *events: Event) -> list[Shown]:
        """Events come; what comes out."""
        before = len(self.results)
        self.scenario.given(*events)
        return [_shown(each) for each in self.results[before:]]

    def time(self, minutes: float) -> list[Shown]:
        """Event time comes to a minute; what comes out."""
        before = len(self.results)
        self.scenario.given_time(after(minutes))
        return [_shown(each) for each in self.results[before:]]

    def _put_out(self, joined: Joined) -> Hot:
        self.results.append(joined)
        return Hot(celsius=0.0)


def _shown(joined: Joined) -> Shown:
    wide = None if joined.other is None else joined.other["wide"]
    return joined.item.data["n"], wide, joined.revision, joined.replaces


def test_an_item_has_the_latest_of_the_others_at_its_moment() -> None:
    join = Join()
    assert join.given(opened(0, 1), opened(2, 2), measured(3, 7), opened(4, 3)) == [(7, 2, 1, None)]


def test_an_item_waits_for_what_may_still_come_at_its_moment() -> None:
    join = Join(disorder=5)
    assert join.given(measured(3, 7), opened(6, 9), measured(4, 8), opened(3, 1)) == []
    assert join.time(8) == []
    assert join.time(8.5) == [(7, 1, 1, None)]
    assert join.time(20) == [(8, 1, 1, None)]


def test_keys_are_joined_apart_and_what_has_no_other_has_none() -> None:
    join = Join()
    join.given(opened(0, 1, "attic"), measured(1, 1, "attic"), measured(1, 2, "hall"))
    assert sorted(join.time(2)) == [(1, 1, 1, None), (2, None, 1, None)]


def test_what_is_older_than_within_is_not_joined_and_not_kept() -> None:
    join = Join(within=10)
    assert join.given(opened(0, 1), measured(10, 1), measured(10.5, 2)) == [(1, 1, 1, None)]
    assert join.time(11) == [(2, None, 1, None)]
    assert join.scenario.keys == []


def test_within_lateness_a_late_item_is_answered_from_the_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    join = Join(lateness=20)
    monkeypatch.setattr(join.scenario.program, "again", _never)
    join.given(opened(0, 1), opened(5, 2), opened(20, 3))
    assert join.given(measured(4, 7)) == [(7, 1, 1, None)]
    assert join.given(measured(6, 8)) == [(8, 2, 1, None)]


def _never(*_: Any) -> Any:
    raise AssertionError("asked the log")


def test_within_lateness_a_late_item_has_all_that_it_reaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    join = Join(within=10, lateness=30)
    monkeypatch.setattr(join.scenario.program, "again", _never)
    join.given(opened(0, 1), measured(5, 1))
    assert join.time(20) == [(1, 1, 1, None)]
    assert join.given(measured(8, 2)) == [(2, 1, 1, None)]


@pytest.mark.parametrize("lateness", [0, 20])
def test_a_late_other_corrects_what_it_concerns(lateness: float) -> None:
    join = Join(lateness=lateness)
    join.given(opened(0, 1), measured(2, 1), measured(4, 2), opened(5, 5), measured(6, 3))
    assert join.time(15) == [(3, 5, 1, None)]
    assert join.given(opened(3, 9)) == [(2, 9, 2, 1)]
    assert join.given(opened(2, 4)) == [(1, 4, 2, 1)]
    assert join.given(opened(1, 8)) == []


def test_beyond_lateness_a_late_item_is_answered_from_the_log() -> None:
    join = Join()
    join.given(opened(0, 1), opened(5, 2), opened(100, 3))
    assert join.given(measured(4, 7)) == [(7, 1, 1, None)]
    assert join.given(measured(50, 8)) == [(8, None, 1, None)]


def test_beyond_lateness_a_late_other_corrects_what_is_gone_and_counts_on() -> None:
    join = Join()
    join.given(opened(0, 1), measured(4, 1), measured(8, 2), opened(6, 6), measured(40, 3))
    join.time(200)
    assert join.given(opened(3, 3)) == [(1, 3, 2, 1)]
    assert join.given(opened(4, 4)) == [(1, 4, 3, 2)]
    assert join.given(opened(2, 2)) == []
    assert join.given(opened(15, 5)) == [(3, 5, 2, 1)]


def test_a_late_other_concerns_items_up_to_within_after_it() -> None:
    join = Join(within=10)
    join.given(measured(14, 1), measured(14.5, 2))
    assert join.time(100) == [(2, None, 1, None)]
    assert join.given(opened(4, 4)) == [(1, 4, 2, 1)]


def test_a_late_item_and_a_late_other_meet() -> None:
    join = Join()
    join.given(measured(100, 0))
    assert join.given(measured(4, 1)) == [(1, None, 1, None)]
    assert join.given(opened(3, 3)) == [(1, 3, 2, 1)]


def test_a_correction_within_lateness_is_remembered_beyond_it() -> None:
    join = Join(lateness=10)
    join.given(measured(4, 1))
    assert join.time(6) == [(1, None, 1, None)]
    assert join.given(opened(1, 1)) == [(1, 1, 2, 1)]
    join.time(100)
    assert join.given(opened(2, 2)) == [(1, 2, 3, 2)]


def test_of_the_state_nothing_is_left_but_the_numbers_of_what_was_corrected() -> None:
    join = Join(lateness=10)
    join.given(*(measured(n, n) for n in range(50)), opened(30.5, 1), opened(48.5, 2))
    join.time(1000)
    waiting, others, revised, asked, _ = join.scenario.state("hall")
    assert (waiting, others, asked) == ([], [], [])
    assert [number for _, number in revised] == [2] * len(range(31, 49))


def test_what_is_joined_shows_its_data() -> None:
    join = Join()
    event = measured(3, 7)
    join.given(opened(0, 4), event, opened(4))
    (joined,) = join.results
    assert joined.data == {
        "key": "hall",
        "item": {"room": "hall", "celsius": 20.0, "n": 7},
        "other": {"room": "hall", "wide": 4},
        "of": str(event.id),
        "at": "2013-01-01T12:03:00Z",
        "revision": 1,
        "replaces": None,
    }


def test_items_are_mapped_before_the_join_and_the_others_are_not() -> None:
    pipeline = (
        EventPipeline("airing", "measured")
        .key_by("room")
        .map(lambda event: event.data["n"])
        .join_latest("opened", key="room", within=MINUTE)
        .emit(lambda joined: Hot(celsius=joined.item * 10 + joined.other["wide"]))
    )
    StreamScenario(pipeline).given(opened(0, 3), measured(0.5, 4), opened(9)).then(Hot(celsius=43))


def test_an_other_without_a_key_is_told() -> None:
    pipeline = (
        EventPipeline("airing", "measured")
        .join_latest("opened", key="unknown", within=MINUTE)
        .emit("airing")
    )
    with pytest.raises(InvalidProgram, match="its key is None"):
        StreamScenario(pipeline).given(opened(0))
