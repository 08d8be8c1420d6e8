"""The event algebra: a processed stream keeps what went in, in its order."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from actors.event import Event, Kind
from actors.naming import aggregate_id_of
from streams.algebra import process_stream

_WHEN = datetime(2013, 1, 1, tzinfo=UTC)
_SOURCE = "device/one"
_AGGREGATE = aggregate_id_of(_SOURCE)

Seen = tuple[int, ...]
NOBODY: Seen = ()


def event(number: int, fan_out: int = 0) -> Event:
    """An event that its handler answers with so many others."""
    return Event(
        id=UUID(int=number),
        event_type="counted",
        kind=Kind.DEVICE,
        source=_SOURCE,
        aggregate_id=_AGGREGATE,
        timestamp=_WHEN,
        data={"fan_out": fan_out},
    )


def fan_out(one: Event, seen: Seen) -> tuple[Seen, list[Event]]:
    """Emits as many events as the event says; the state is the ids seen so far."""
    first = 1000 * (one.id.int + 1)
    return (*seen, one.id.int), [event(first + n) for n in range(one.data["fan_out"])]


streams = st.lists(st.integers(min_value=0, max_value=4), max_size=20).map(
    lambda sizes: [event(number, size) for number, size in enumerate(sizes)]
)


@given(streams)
def test_the_processed_stream_is_never_shorter_than_the_input(events: list[Event]) -> None:
    _, processed = process_stream(fan_out, events, NOBODY)
    assert len(processed) >= len(events)


@given(streams)
def test_the_processed_stream_has_exactly_the_input_and_what_it_gave_rise_to(
    events: list[Event],
) -> None:
    _, processed = process_stream(fan_out, events, NOBODY)
    assert len(processed) == len(events) + sum(one.data["fan_out"] for one in events)


@given(streams)
def test_the_processed_stream_keeps_the_input_in_its_order(events: list[Event]) -> None:
    _, processed = process_stream(fan_out, events, NOBODY)
    went_in = {one.id for one in events}
    assert [one for one in processed if one.id in went_in] == events


@given(streams)
def test_an_emitted_event_follows_the_one_it_came_from(events: list[Event]) -> None:
    _, processed = process_stream(fan_out, events, NOBODY)
    cause = -1
    for one in processed:
        if one.id.int < 1000:
            cause = one.id.int
        else:
            assert one.id.int // 1000 == cause + 1


@given(streams)
def test_every_input_is_handled_once_and_no_emitted_event_is(events: list[Event]) -> None:
    seen, _ = process_stream(fan_out, events, NOBODY)
    assert seen == tuple(one.id.int for one in events)


@given(streams, streams)
def test_processing_a_stream_in_two_parts_is_processing_it_whole(
    first: list[Event], second: list[Event]
) -> None:
    state, head = process_stream(fan_out, first, NOBODY)
    state, tail = process_stream(fan_out, second, state)
    assert process_stream(fan_out, first + second, NOBODY) == (state, head + tail)
