"""Windows in event time: what comes out, when, and how it is corrected."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from actors.event import Event
from actors.moments import microseconds
from streams.aggregates import Count, Sum
from streams.pipeline import EventPipeline
from streams.scenario import StreamScenario
from streams.windows import (
    Replaced,
    Session,
    Sliding,
    Tumbling,
    WindowResult,
    last_revisions,
)
from tests.unit.streams.readings import Hot, after, measured
from tests.unit.streams.windowed import Windows, minutes

MINUTE = timedelta(minutes=1)
TEN = Tumbling(10 * MINUTE)


def sums(window: Any, *, lateness: float = 0, disorder: float = 0) -> Windows:
    return Windows(window, Sum("n"), lateness * MINUTE, disorder * MINUTE)


def test_a_window_comes_out_when_the_watermark_reaches_its_end() -> None:
    windows = sums(TEN)
    assert windows.given(measured(1, 1), measured(9, 2), measured(5, 4)) == []
    assert windows.time(9.9) == []
    assert windows.time(10) == [(0, 10, 7, 1, [])]
    assert windows.time(30) == []
    assert windows.scenario.keys == []


def test_an_event_at_the_end_of_a_window_is_in_the_next_one() -> None:
    windows = sums(TEN)
    assert windows.given(measured(0, 1), measured(10, 2)) == [(0, 10, 1, 1, [])]
    assert windows.time(20) == [(10, 20, 2, 1, [])]


def test_a_window_waits_for_the_disorder_that_is_expected() -> None:
    windows = sums(TEN, disorder=3)
    assert windows.given(measured(1, 1), measured(12.9, 2), measured(2, 4)) == []
    assert windows.given(measured(13, 8)) == [(0, 10, 5, 1, [])]


def test_keys_have_windows_of_their_own() -> None:
    windows = sums(TEN)
    windows.given(measured(1, 1, "a"), measured(2, 2, "b"))
    windows.time(10)
    assert {(out.key, out.value) for out in windows.results} == {("a", 1), ("b", 2)}


def test_within_lateness_a_window_is_corrected_from_its_state_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    windows = sums(TEN, lateness=5)
    monkeypatch.setattr(windows.scenario.program, "again", _never)
    windows.given(measured(1, 1), measured(14.9, 2))
    assert windows.given(measured(3, 4)) == [(0, 10, 5, 2, [(0, 10, 1)])]
    assert windows.given(measured(4, 8)) == [(0, 10, 13, 3, [(0, 10, 2)])]
    windows.time(15)
    assert [each[0] for each in windows.scenario.state("hall")[0]] == [minutes(10)]


def _never(*_: Any) -> Any:
    raise AssertionError("asked the log")


def test_beyond_lateness_a_window_is_computed_again_from_the_log() -> None:
    windows = sums(TEN)
    windows.given(measured(1, 1), measured(3, 2), measured(15, 4), measured(40, 0))
    assert windows.given(measured(2, 8)) == [(0, 10, 11, 2, [(0, 10, 1)])]
    assert windows.given(measured(2.5, 16)) == [(0, 10, 27, 3, [(0, 10, 2)])]
    assert windows.given(measured(16, 32)) == [(10, 20, 36, 2, [(10, 20, 1)])]


def test_a_window_whose_first_event_is_too_late_has_its_first_revision() -> None:
    windows = sums(TEN)
    windows.given(measured(40, 0))
    assert windows.given(measured(2, 8)) == [(0, 10, 8, 1, [])]
    assert windows.given(measured(3, 1)) == [(0, 10, 9, 2, [(0, 10, 1)])]


def test_a_window_that_was_corrected_and_is_gone_counts_on() -> None:
    windows = sums(TEN, lateness=5)
    windows.given(measured(1, 1), measured(12, 2), measured(2, 4))
    windows.time(60)
    assert windows.given(measured(3, 8)) == [(0, 10, 13, 3, [(0, 10, 2)])]


def test_what_stays_of_windows_that_are_gone_is_the_number_of_those_that_were_corrected() -> None:
    windows = sums(TEN)
    windows.given(*(measured(m, 1) for m in range(0, 1000, 5)))
    windows.time(2000)
    assert windows.scenario.state_bytes() == 0
    windows.given(measured(2, 1), measured(3, 1), measured(502, 1))
    windows.time(2001)
    open_, revised, asked, _ = windows.scenario.state("hall")
    assert (open_, revised, asked) == ([], [[minutes(0), 3], [minutes(500), 2]], [])


def test_several_items_of_one_late_event_are_one_correction() -> None:
    pipeline = (
        EventPipeline("twice", "measured")
        .flat_map(lambda event: [event, event])
        .key_by("room")
        .window(TEN, Sum("n"))
        .emit(lambda result: Hot(celsius=result.value))
    )
    scenario = StreamScenario(pipeline).given(measured(1, 1), measured(40, 0)).then(Hot(celsius=2))
    scenario.given(measured(2, 10)).then(Hot(celsius=22))
    scenario.given(measured(2, 100)).then(Hot(celsius=222))


def test_what_is_filtered_out_is_in_no_window() -> None:
    pipeline = (
        EventPipeline("some", "measured")
        .key_by("room")
        .filter(lambda event: event.data["n"])
        .window(TEN, Count())
        .emit(lambda result: Hot(celsius=result.revision))
    )
    scenario = StreamScenario(pipeline).given(measured(1, 0), measured(40, 0)).then()
    scenario.given(measured(2, 0)).then().given(measured(2, 1)).then(Hot(celsius=1))


def test_sliding_windows_have_each_event_several_times() -> None:
    windows = sums(Sliding(10 * MINUTE, 5 * MINUTE))
    assert windows.given(measured(1, 1), measured(7, 2)) == [(-5, 5, 1, 1, [])]
    assert windows.time(30) == [(0, 10, 3, 1, []), (5, 15, 2, 1, [])]


def test_late_in_sliding_windows_some_are_in_the_state_and_some_in_the_log() -> None:
    windows = sums(Sliding(10 * MINUTE, 5 * MINUTE))
    assert windows.given(measured(1, 1), measured(6, 2)) == [(-5, 5, 1, 1, [])]
    assert windows.given(measured(2, 4)) == [(-5, 5, 5, 2, [(-5, 5, 1)])]
    assert windows.time(20) == [(0, 10, 7, 1, []), (5, 15, 2, 1, [])]


@pytest.mark.parametrize(
    ("window", "at", "starts"),
    [
        (Tumbling(10 * MINUTE), 9, [0]),
        (Tumbling(10 * MINUTE, offset=3 * MINUTE), 2, [-7]),
        (Tumbling(10 * MINUTE, offset=3 * MINUTE), 3, [3]),
        (Sliding(10 * MINUTE, 3 * MINUTE), 9, [0, 3, 6, 9]),
        (Sliding(10 * MINUTE, 3 * MINUTE), 11, [3, 6, 9]),
        (Sliding(10 * MINUTE, 10 * MINUTE), 10, [10]),
    ],
    ids=["tumbling", "offset", "offset-start", "sliding-four", "sliding-three", "sliding-one"],
)
def test_a_moment_is_in_the_windows_that_have_it(
    window: Tumbling | Sliding, at: float, starts: list[float]
) -> None:
    assert list(window.starts(minutes(at))) == [minutes(each) for each in starts]


@pytest.mark.parametrize("window", [Tumbling(7 * MINUTE), Sliding(7 * MINUTE, 2 * MINUTE)], ids=str)
def test_windows_have_moments_before_1970_too(window: Tumbling | Sliding) -> None:
    for at_us in range(-20 * 60_000_000, 20 * 60_000_000, 31_000_000):
        every, size = window.every_us, window.size_us
        found = [s for s in range(-40 * every, 40 * every, every) if s <= at_us < s + size]
        assert list(window.starts(at_us)) == found


def test_windows_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="would leave moments out"):
        Sliding(MINUTE, 2 * MINUTE)
    with pytest.raises(ValueError, match="the size of a window is more than nothing"):
        Tumbling(timedelta(0))
    with pytest.raises(ValueError, match="the gap of a session is a timedelta, not 5"):
        Session(5)  # type: ignore[arg-type]


def test_a_session_ends_when_nothing_came_for_so_long() -> None:
    windows = sums(Session(10 * MINUTE))
    assert windows.given(measured(0, 1), measured(9, 2), measured(18, 4)) == []
    assert windows.given(measured(28, 8)) == [(0, 28, 7, 1, [])]
    assert windows.time(38) == [(28, 38, 8, 1, [])]
    assert windows.scenario.keys == []


def test_within_lateness_an_event_extends_a_session_that_is_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    windows = sums(Session(10 * MINUTE), lateness=20)
    monkeypatch.setattr(windows.scenario.program, "again", _never)
    windows.given(measured(0, 1))
    assert windows.time(15) == [(0, 10, 1, 1, [])]
    assert windows.given(measured(4, 2)) == [(0, 14, 3, 2, [(0, 10, 1)])]
    assert windows.given(measured(9, 4)) == []  # it is not over any more
    assert windows.time(19) == [(0, 19, 7, 3, [(0, 14, 2)])]


def test_a_merge_names_every_session_that_it_replaces() -> None:
    windows = sums(Session(10 * MINUTE), lateness=60)
    windows.given(measured(0, 1), measured(15, 2), measured(30, 4))
    assert windows.time(50) == [(30, 40, 4, 1, [])]
    assert windows.given(measured(7, 8)) == [(0, 25, 11, 2, [(0, 10, 1), (15, 25, 1)])]
    assert windows.given(measured(22.5, 16)) == [(0, 40, 31, 3, [(0, 25, 2), (30, 40, 1)])]


def test_beyond_lateness_sessions_are_found_again_in_the_log() -> None:
    windows = sums(Session(10 * MINUTE))
    windows.given(measured(0, 1), measured(15, 2), measured(30, 4), measured(300, 0))
    assert windows.given(measured(7, 8)) == [(0, 25, 11, 2, [(0, 10, 1), (15, 25, 1)])]
    assert windows.given(measured(22.5, 16)) == [(0, 40, 31, 3, [(0, 25, 2), (30, 40, 1)])]
    assert windows.given(measured(100, 32)) == [(100, 110, 32, 1, [])]


def test_a_long_session_is_read_from_the_log_until_both_its_ends_are_there() -> None:
    windows = sums(Session(10 * MINUTE))
    windows.given(*(measured(9 * n, 1) for n in range(200)), measured(5000, 0))
    last = windows.given(measured(900, 1000))
    assert last == [(0, 1801, 1200, 2, [(0, 1801, 1)])]


def test_a_late_event_joins_what_is_gone_and_what_is_still_there() -> None:
    windows = sums(Session(10 * MINUTE), lateness=5)
    windows.given(measured(0, 1), measured(18, 2))
    windows.time(20)  # the first one is out and gone, the second is open
    assert windows.given(measured(9, 4)) == []
    assert windows.time(28) == [(0, 28, 7, 2, [(0, 10, 1)])]


def test_a_result_has_its_data_and_its_moment() -> None:
    windows = sums(TEN)
    windows.given(measured(1, 1), measured(20, 2), measured(3, 4))
    result = windows.results[-1]
    assert result.data == {
        "key": "hall",
        "window": {"start": "2013-01-01T12:00:00Z", "end": "2013-01-01T12:10:00Z"},
        "revision": 2,
        "replaces": [
            {"start": "2013-01-01T12:00:00Z", "end": "2013-01-01T12:10:00Z", "revision": 1}
        ],
        "value": 5,
    }
    assert result.at_us == microseconds(after(10)) - 1
    assert result.at_us == windows.scenario.outputs[-1].at_us
    assert WindowResult("a", 0, 1, 1, (), {"n": 1}).data["n"] == 1


def test_the_last_revisions_are_those_that_nothing_has_replaced() -> None:
    one = WindowResult("a", 0, 10, 1, (), 1)
    two = WindowResult("a", 20, 30, 1, (), 2)
    of_another = WindowResult("b", 0, 10, 1, (), 9)
    both = WindowResult("a", 0, 30, 2, (Replaced(0, 10, 1), Replaced(20, 30, 1)), 3)
    assert last_revisions([one, two, of_another, both]) == [of_another, both]


def test_what_the_log_has_behind_the_event_that_asked_is_not_looked_at() -> None:
    pipeline = (
        EventPipeline("sums", "measured")
        .key_by("room")
        .window(TEN, Sum("n"))
        .emit(lambda result: Hot(celsius=result.value))
    )
    late, later = (_at_position(5, measured(1, 1)), _at_position(6, measured(2, 2)))
    change = pipeline.step("hall", late, late, None, minutes(60))
    (stretch,) = change.again
    assert stretch == (minutes(0), minutes(10))
    read = [(late, late), (later, later)]
    again = pipeline.again("hall", stretch, read, change.state, minutes(60))
    assert [output.payload for output in again.outputs] == [Hot(celsius=1)]
    nobody_asked = pipeline.again("hall", stretch, read, again.state, minutes(60))
    assert nobody_asked.outputs == ()


def _at_position(position: int, event: Event) -> Event:
    stored: Event = msgspec.structs.replace(event, position=position)
    return stored
