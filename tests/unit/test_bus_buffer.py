"""The bus's buffer: what it covers it has in full, and what it lacks is in the log."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.event import Event, Kind
from runtime.partition.buffer import Buffer
from runtime.partition.matching import Matcher, Matchers
from store.appends import Commit
from store.rows.decoding import Decoder
from store.rows.encoding import encode_event
from store.rows.layout import EncodedRows, stamp, topics
from store.selection import EVERYTHING, Selection, row_filter
from tests.contracts.appending import made_event
from tests.contracts.reading_contract import CATALOGUE, SELECTED, catalogue
from tests.unit.feeding import node_of


def commit(first: int, events: list[Event]) -> Commit:
    """Events as one commit at a position."""
    rows = EncodedRows.of([encode_event(event) for event in events])
    data = bytearray(rows.data)
    stamp(data, rows.lengths, 0, first)
    return Commit(
        first_position=first,
        rows=EncodedRows(bytes(data), rows.lengths),
        types=Counter(event.event_type for event in events),
        nodes=Counter(node_of(event.source) for event in events),
    )


def some(first: int, number: int) -> Commit:
    """A commit of so many events."""
    return commit(first, [made_event("device/one", first + n) for n in range(number)])


def new(head: int, capacity: int) -> Buffer:
    """A buffer for matchers of its own."""
    return Buffer(head, capacity, Matchers())


def held(buffer: Buffer, after: int, selection: Selection = EVERYTHING) -> tuple[list[int], int]:
    """The positions that the buffer has after one, and how far that reaches."""
    rows, through = buffer.after(after, buffer.matchers.use(selection))
    return [event.position or 0 for event in Decoder().events(rows)], through


def test_an_empty_buffer_covers_its_head_and_nothing_before() -> None:
    buffer = new(7, 100)
    assert [buffer.covers(after) for after in (6, 7, 8)] == [False, True, True]
    assert held(buffer, 7) == ([], 7)


def test_commits_that_follow_on_one_another_are_read_from_any_position() -> None:
    buffer = new(0, 100)
    for first, number in ((1, 3), (4, 1), (5, 4)):
        buffer.add(some(first, number))
    for after in range(9):
        assert buffer.covers(after)
        assert held(buffer, after) == (list(range(after + 1, 9)), 8)


def test_a_gap_starts_the_buffer_anew() -> None:
    buffer = new(0, 100)
    buffer.add(some(1, 3))
    buffer.add(some(6, 2))
    assert buffer.head == 7
    assert [buffer.covers(after) for after in (0, 3, 4, 5, 6, 7)] == [False] * 3 + [True] * 3
    assert held(buffer, 5) == ([6, 7], 7)


def test_news_of_a_head_without_events_is_a_gap_too() -> None:
    buffer = new(0, 100)
    buffer.add(some(1, 3))
    buffer.add(commit(10, []))
    assert buffer.head == 9
    assert (buffer.covers(8), buffer.covers(9)) == (False, True)
    buffer.add(some(10, 1))
    assert held(buffer, 9) == ([10], 10)


def test_a_commit_seen_before_changes_nothing() -> None:
    buffer = new(0, 100)
    buffer.add(some(1, 3))
    buffer.add(some(4, 2))
    buffer.add(some(1, 3))
    buffer.add(commit(4, []))
    assert buffer.head == 5
    assert held(buffer, 0) == ([1, 2, 3, 4, 5], 5)


def test_the_oldest_commits_leave_when_there_are_too_many_events() -> None:
    buffer = new(0, 5)
    for first in (1, 3, 5):
        buffer.add(some(first, 2))
    assert [buffer.covers(after) for after in (0, 1, 2, 6)] == [False, False, True, True]
    assert held(buffer, 2) == ([3, 4, 5, 6], 6)


def test_the_oldest_commits_leave_when_they_take_too_many_bytes() -> None:
    buffer = new(0, 1000)
    one = new(0, 1000)
    one.add(some(1, 1))
    buffer.MAX_BYTES = 2 * one.size  # of the rows, and of what the buffer notes of them
    for first in range(1, 6):
        buffer.add(some(first, 1))
    assert (buffer.covers(2), buffer.covers(3)) == (False, True)
    assert held(buffer, 3) == ([4, 5], 5)


def test_a_commit_larger_than_the_buffer_is_left_to_the_log() -> None:
    buffer = new(0, 5)
    buffer.add(some(1, 2))
    buffer.add(some(3, 6))
    assert buffer.head == 8
    assert (buffer.covers(7), buffer.covers(8)) == (False, True)


def test_a_poll_brings_so_many_bytes_and_says_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    buffer = new(0, 100)
    for first in (1, 3, 5, 7):
        buffer.add(some(first, 2))
    size = len(some(1, 2).rows.data)
    monkeypatch.setattr("runtime.partition.buffer.POLL_BYTES", size + 1)
    assert held(buffer, 0) == ([1, 2, 3], 3)  # the row that goes beyond is the last
    assert held(buffer, 3) == ([4, 5, 6], 6)


def test_a_poll_of_some_rows_is_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = new(0, 100)
    buffer.add(commit(1, [made_event(source) for source in "abababab"]))
    monkeypatch.setattr("runtime.partition.buffer.POLL_BYTES", len(some(1, 1).rows.data) + 1)
    wanted = Selection(sources=("b",))
    assert held(buffer, 0, wanted) == ([2, 4], 5)
    assert held(buffer, 5, wanted) == ([6, 8], 8)


def test_events_that_nobody_wants_still_move_the_reader_on() -> None:
    buffer = new(0, 100)
    buffer.add(some(1, 3))
    assert held(buffer, 0, Selection(sources=("nobody",))) == ([], 3)


def test_what_the_buffer_notes_of_its_commits_counts_among_its_bytes() -> None:
    buffer = new(0, 1000)
    matchers = [buffer.matchers.use(Selection(sources=(f"{n}*",))) for n in range(10)]
    buffer.add(commit(1, [made_event(f"{n % 10}/x") for n in range(100)]))
    noted = buffer.size
    assert noted > len(some(1, 1).rows.data) * 100 + 10 * 4 * 10
    buffer.MAX_BYTES = noted * 5 // 2  # two such commits, and some notes
    for round_ in range(1, 6):
        buffer.add(commit(1 + 100 * round_, [made_event(f"{n % 10}/x") for n in range(100)]))
        assert buffer.size <= buffer.MAX_BYTES
    # A matcher that comes later has it looked through again, which counts, too.
    late = [buffer.matchers.use(Selection(sources=(f"*{n}/x",))) for n in range(10)]
    before = buffer.size
    assert buffer.after(500, late[1])[1] == 600
    assert buffer.size > before
    assert buffer.after(500, matchers[1]) == buffer.after(500, late[1])
    buffer.add(commit(10_000, []))
    assert buffer.size == 0


def test_one_look_goes_through_so_many_events_and_says_how_far() -> None:
    buffer = new(0, 1000)
    buffer.MAX_LOOK = 4
    for first in (1, 3, 5, 7):
        buffer.add(some(first, 2))
    nobody = Selection(sources=("nobody",))
    assert held(buffer, 0, nobody) == ([], 4)
    assert held(buffer, 4, nobody) == ([], 8)


def test_of_a_commit_that_was_seen_in_part_the_rest_is_new() -> None:
    buffer = new(0, 100)
    buffer.add(some(1, 3))
    buffer.add(some(2, 4))
    assert (buffer.head, buffer.covers(0)) == (5, True)
    assert held(buffer, 0) == ([1, 2, 3, 4, 5], 5)


def test_a_commit_interests_those_who_want_some_of_it_and_nobody_else() -> None:
    buffer = new(0, 100)
    wishes = [
        Selection(),
        Selection(event_types=("temp*",)),
        Selection(event_types=("other",)),
        Selection(sources=("device/1",)),
        Selection(sources=("device/2", "dev*/3")),
        Selection(event_types=("other",), sources=("device/1",)),
        Selection(kinds=(Kind.DEVICE,)),
        Selection(kinds=(Kind.SYSTEM,), event_types=("temp*",)),
    ]
    matchers = [buffer.matchers.use(wish) for wish in wishes]
    for source, expected in (
        ("device/1", {0, 1, 3, 6}),
        ("device/3", {0, 1, 4, 6}),
        ("x", {0, 1, 6}),
    ):
        interested = buffer.add(commit(buffer.head + 1, [made_event(source)]))
        assert {matchers.index(one) for one in interested} == expected


def test_a_commit_is_looked_through_once_however_many_want_some_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []

    def counted(rows: bytes, starts: Sequence[int]) -> list[bytes]:
        looks.append(len(starts))
        return topics(rows, starts)

    monkeypatch.setattr("runtime.partition.buffer.topics", counted)
    buffer = new(0, 1_000)
    matchers = [buffer.matchers.use(Selection(sources=(f"device/{n}",))) for n in range(100)]
    buffer.add(commit(1, [made_event(f"device/{n}") for n in range(100)]))
    for number, matcher in enumerate(matchers):
        rows, through = buffer.after(0, matcher)
        assert [event.source for event in Decoder().events(rows)] == [f"device/{number}"]
        assert through == 100
    assert looks == [100]


def test_what_a_topic_is_wanted_by_is_asked_of_few_patterns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Matcher] = []
    wants = Matcher.wants

    def counted(matcher: Matcher, event_type: bytes, kind: bytes, source: bytes) -> bool:
        asked.append(matcher)
        return wants(matcher, event_type, kind, source)

    monkeypatch.setattr(Matcher, "wants", counted)
    buffer = new(0, 1_000)
    for number in range(100):
        buffer.matchers.use(Selection(sources=(f"device/{number:02}-*", f"other/{number:02}")))
    for _ in range(3):
        buffer.add(commit(buffer.head + 1, [made_event(f"device/{n:02}-x") for n in range(100)]))
    assert len(asked) == 100  # each topic's own, the first time


class Counted(list[Any]):
    """A list that counts how often it is looked at."""

    looks = 0

    def __getitem__(self, key: Any) -> Any:
        self.looks += 1
        return super().__getitem__(key)


def test_a_poll_does_not_walk_over_the_commits_before_its_position() -> None:
    buffer = new(0, 10_000)
    for first in range(1, 4_001):
        buffer.add(some(first, 1))
    kept = buffer._kept = Counted(buffer._kept)
    for after in (0, 1_999, 3_990, 3_999):
        kept.looks = 0
        buffer.MAX_LOOK = 3
        assert held(buffer, after)[0][0] == after + 1
        assert kept.looks < 20


@pytest.mark.parametrize(("selection", "expected"), SELECTED)
def test_a_selection_means_on_the_bus_what_it_means_in_the_log(
    selection: Selection, expected: tuple[int, ...]
) -> None:
    buffer = new(0, 100)
    buffer.add(commit(1, catalogue()))
    assert held(buffer, 0, selection) == ([index + 1 for index in expected], len(CATALOGUE))


globs = st.text("ab/*%_\\.\n", max_size=5).map(lambda text: (text,) if text else ())
sources = st.text("ab/%_\\.\n", min_size=1, max_size=5).filter(lambda text: bool(text.strip()))


kinds = st.sampled_from(Kind)


@given(
    globs,
    globs,
    st.sets(kinds, max_size=2).map(tuple),
    st.lists(st.tuples(sources, sources, kinds), min_size=1, max_size=8),
)
def test_any_selection_means_the_same_on_the_bus_and_in_memory(
    types: tuple[str, ...],
    wanted: tuple[str, ...],
    of_kinds: tuple[Kind, ...],
    names: list[tuple[str, str, Kind]],
) -> None:
    selection = Selection(event_types=types, sources=wanted, kinds=of_kinds)
    events = [made_event(source, event_type=name, kind=kind) for source, name, kind in names]
    buffer, match = new(0, 100), row_filter(selection)
    buffer.add(commit(1, events))
    expected = [n for n, event in enumerate(events, 1) if match(encode_event(event))]
    assert held(buffer, 0, selection) == (expected, len(events))


@given(
    st.lists(st.integers(min_value=1, max_value=4), max_size=15),
    st.integers(min_value=1, max_value=12),
    st.sets(st.integers(min_value=0, max_value=14), max_size=4),
)
def test_what_is_covered_is_there_without_a_gap(
    sizes: list[int], capacity: int, lost: set[int]
) -> None:
    buffer, head = new(0, capacity), 0
    for number, size in enumerate(sizes):
        if number not in lost:
            buffer.add(some(head + 1, size))
        head += size
        for after in range(buffer.head + 1):
            if buffer.covers(after):
                assert held(buffer, after) == (
                    list(range(after + 1, buffer.head + 1)),
                    buffer.head,
                )
