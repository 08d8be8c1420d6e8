"""Whatever the disorder of arrival, the last revisions are those of the same events in order."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.event import Event
from streams.aggregates import Count, Latest, Max, Mean, Sum
from streams.aggregation import Aggregation
from streams.join import Joined
from streams.pipeline import EventPipeline
from streams.scenario import StreamScenario
from streams.sketches import Distinct, Quantiles
from streams.windows import Session, Sliding, Tumbling, WindowResult, last_revisions
from tests.unit.streams.readings import Hot, after, measured, opened

MINUTE = timedelta(minutes=1)

#: Long after all that comes: every window is over.
END = after(10_000)


class Arrivals(NamedTuple):
    """Events, and the order in which they come."""

    in_order: list[Event]
    as_they_come: list[Event]


def _reading(draw: st.DrawFn, n: int) -> Event:
    minute, room = draw(st.integers(0, 45)), draw(st.sampled_from("aab"))
    celsius = draw(st.none() | st.floats(-1e6, 1e6, allow_nan=False) | st.integers(-9, 9))
    if draw(st.integers(0, 2)) == 0:
        return opened(minute, n, room)
    return measured(minute, n, room, celsius)


@st.composite
def arrivals(draw: st.DrawFn) -> Arrivals:
    """A few events of two keys, whose moments are often the same, in any order."""
    events = [_reading(draw, n) for n in range(draw(st.integers(1, 14)))]
    in_order = sorted(events, key=lambda event: (event.timestamp, event.id))
    return Arrivals(in_order, draw(st.permutations(events)))


spans = st.sampled_from([0, 1, 7, 20, 100]).map(lambda minutes: minutes * MINUTE)
aligned = st.sampled_from(
    [
        Tumbling(10 * MINUTE),
        Tumbling(7 * MINUTE, offset=3 * MINUTE),
        Sliding(10 * MINUTE, 4 * MINUTE),
        Sliding(9 * MINUTE, 3 * MINUTE),
    ]
)
gaps = st.integers(1, 12).map(lambda minutes: Session(minutes * MINUTE))

AGGREGATES: dict[str, Aggregation] = {
    "count": Count(),
    "sum": Sum("celsius"),
    "mean": Mean("celsius"),
    "most": Max("celsius"),
    "latest": Latest("celsius"),
    "quantiles": Quantiles("celsius", 0.5, 0.9),
    "distinct": Distinct("n", size=32),
}


def results_of(
    window: Any, lateness: timedelta, disorder: timedelta, events: Iterable[Event]
) -> list[WindowResult]:
    """All results of a window, the end of time included."""
    found: list[WindowResult] = []
    pipeline = (
        EventPipeline("rooms", ["measured", "opened"], disorder=disorder)
        .key_by("room")
        .window(window, AGGREGATES, lateness=lateness)
        .emit(_into(found))
    )
    StreamScenario(pipeline).given(*events).given_time(END)
    return found


def _into(found: list[Any]) -> Callable[[Any], Hot]:
    def put_out(result: Any) -> Hot:
        found.append(result)
        return Hot(celsius=0.0)

    return put_out


def standing(results: list[WindowResult]) -> dict[tuple[str, int, int], str]:
    """The values of the last revisions, by key and window; as text, where 1 and 1.0 differ."""
    last = last_revisions(results)
    values = {(each.key, each.start_us, each.end_us): repr(each.value) for each in last}
    assert len(values) == len(last), "two results stand for one window"
    return values


def check_revisions(results: list[WindowResult]) -> None:
    """Each result replaces only what stood, and its number follows on theirs."""
    out: set[tuple[str, int, int, int]] = set()
    for result in results:
        replaced = {(result.key, *each) for each in result.replaces}
        assert replaced <= out
        out -= replaced
        assert result.revision == 1 + max((each.revision for each in result.replaces), default=0)
        out.add((result.key, result.start_us, result.end_us, result.revision))


@given(arrivals(), aligned, spans, spans)
def test_tumbling_and_sliding_windows(
    events: Arrivals, window: Tumbling | Sliding, lateness: timedelta, disorder: timedelta
) -> None:
    results = results_of(window, lateness, disorder, events.as_they_come)
    check_revisions(results)
    assert standing(results) == standing(
        results_of(window, timedelta(0), timedelta(0), events.in_order)
    )


@settings(max_examples=25)
@given(arrivals(), st.one_of(aligned, gaps))
def test_what_comes_within_the_disorder_corrects_nothing(
    events: Arrivals, window: Tumbling | Sliding | Session
) -> None:
    results = results_of(window, timedelta(0), 100 * MINUTE, events.as_they_come)
    assert [each for each in results if each.revision > 1] == []


@given(arrivals(), gaps, spans, spans)
def test_sessions(
    events: Arrivals, window: Session, lateness: timedelta, disorder: timedelta
) -> None:
    results = results_of(window, lateness, disorder, events.as_they_come)
    check_revisions(results)
    assert standing(results) == standing(
        results_of(window, timedelta(0), timedelta(0), events.in_order)
    )


@given(arrivals(), gaps)
def test_sessions_are_what_a_plain_program_says_they_are(events: Arrivals, window: Session) -> None:
    expected: dict[tuple[str, int, int], int] = {}
    for room in "ab":
        moments = [e.timestamp_us for e in events.in_order if e.data["room"] == room]
        begins = [n for n in range(len(moments))
                  if n == 0 or moments[n] - moments[n - 1] >= window.gap_us]  # fmt: skip
        for first, behind in zip(begins, [*begins[1:], len(moments)], strict=False):
            whole = (room, moments[first], moments[behind - 1] + window.gap_us)
            expected[whole] = behind - first
    results = results_of(window, 7 * MINUTE, timedelta(0), events.as_they_come)
    last = last_revisions(results)
    assert {(r.key, r.start_us, r.end_us): r.value["count"] for r in last} == expected


@given(arrivals(), aligned, spans)
def test_windows_are_what_a_plain_program_says_they_are(
    events: Arrivals, window: Tumbling | Sliding, lateness: timedelta
) -> None:
    expected: dict[tuple[str, int], list[Any]] = {}
    for event in events.in_order:
        for start_us in window.starts(event.timestamp_us):
            expected.setdefault((event.data["room"], start_us), []).append(event.data)
    last = last_revisions(results_of(window, lateness, timedelta(0), events.as_they_come))
    assert {(each.key, each.start_us) for each in last} == set(expected)
    for each in last:
        inside = expected[each.key, each.start_us]
        celsius = [data["celsius"] for data in inside if data.get("celsius") is not None]
        assert each.value["count"] == len(inside)
        assert each.value["most"] == max(celsius, default=None)


@given(arrivals(), aligned, spans)
def test_what_is_kept_is_bounded_by_lateness_and_by_what_was_corrected(
    events: Arrivals, window: Tumbling | Sliding, lateness: timedelta
) -> None:
    found: list[WindowResult] = []
    pipeline = (
        EventPipeline("rooms", ["measured", "opened"])
        .key_by("room")
        .window(window, Count(), lateness=lateness)
        .emit(_into(found))
    )
    scenario = StreamScenario(pipeline)
    for event in events.as_they_come:
        scenario.given(event)
        for key in scenario.keys:
            open_, revised, asked, _ = scenario.state(key)
            gone_us = scenario.watermark_us - lateness // timedelta(microseconds=1)
            assert all(start_us + window.size_us > gone_us for start_us, _, _ in open_)
            corrected = {r.start_us for r in found if r.key == key and r.revision > 1}
            assert {start for start, _ in revised} <= corrected
            assert asked == []


def joined_of(
    within: timedelta, lateness: timedelta, disorder: timedelta, events: Iterable[Event]
) -> list[Joined]:
    """All that comes of a join, the end of time included."""
    found: list[Joined] = []
    pipeline = (
        EventPipeline("airing", "measured", disorder=disorder)
        .key_by("room")
        .join_latest("opened", key="room", within=within, lateness=lateness)
        .emit(_into(found))
    )
    StreamScenario(pipeline).given(*events).given_time(END)
    return found


@given(arrivals(), spans.filter(bool), spans, spans)
def test_joins(
    events: Arrivals, within: timedelta, lateness: timedelta, disorder: timedelta
) -> None:
    joined = joined_of(within, lateness, disorder, events.as_they_come)
    last: dict[str, Joined] = {}
    for each in joined:
        before = last.get(each.of)
        assert each.replaces == (before.revision if before else None)
        assert each.revision == (each.replaces or 0) + 1
        last[each.of] = each
    expected = {}
    for event in events.in_order:
        if event.event_type == "measured":
            others = [
                (other.timestamp, other.id, other.data)
                for other in events.in_order
                if other.event_type == "opened"
                and other.data["room"] == event.data["room"]
                and timedelta(0) <= event.timestamp - other.timestamp <= within
            ]
            expected[str(event.id)] = max(others)[2] if others else None
    assert {of: each.other for of, each in last.items()} == expected
