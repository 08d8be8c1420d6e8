"""The wire format: whatever is encoded decodes to what it was."""

import copy
import pickle
import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.clock import VectorClock
from actors.event import Event, Kind
from actors.moments import FIRST_US, LAST_US, microseconds, moment_of
from actors.naming import aggregate_id_of
from store.errors import InvalidData
from store.rows.decoding import Decoder, folds
from store.rows.encoding import (
    CLOCK,
    cause_fields,
    clock_prefix,
    encode_decided,
    encode_event,
    encode_row,
    text_field,
    type_fields,
)
from store.rows.event_pool import EventPool
from store.rows.json_text import decode_json
from store.rows.layout import (
    COPY_HEADER,
    COPY_TRAILER,
    POSTGRES_EPOCH_US,
    EncodedRows,
    event_type_at,
    last_row,
    source_at,
    stamp,
)
from tests.strategies import clocks, json_object, texts

moments = st.datetimes(timezones=st.just(UTC))
sources = texts.filter(lambda text: bool(text.strip()))
optional_ids = st.one_of(st.none(), st.uuids())


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Any event that a log can hold, except for its place there."""
    source = draw(sources)
    cause = draw(optional_ids)
    fields: dict[str, Any] = {
        "id": draw(st.uuids()),
        "event_type": draw(st.sampled_from(["a", "value-read", "x.y-z1"])),
        "kind": draw(st.sampled_from(Kind)),
        "version": draw(st.integers(min_value=1, max_value=2**63 - 1)),
        "timestamp": draw(moments),
        "data": draw(json_object),
        "vector_clock": draw(clocks),
        "correlation_id": draw(st.one_of(st.just(cause), optional_ids)),
        "causation_id": cause,
        "metadata": draw(st.dictionaries(texts, texts, max_size=2)),
    }
    return Event(source=source, aggregate_id=aggregate_id_of(source), **fields)


MOMENT = 0x01_02_03_04_05
#: An event no two columns of which are alike.
SOME = Event(
    id=UUID(int=1), event_type="value-read", kind=Kind.DEVICE, source="device/1",
    aggregate_id=UUID(int=2), timestamp=moment_of(POSTGRES_EPOCH_US + MOMENT), data={"value": 1.5},
    correlation_id=UUID(int=3), causation_id=UUID(int=4), metadata={"key": "x"},
    vector_clock=VectorClock({"node": 3}), version=5, recorded_at=moment_of(6), position=7,
)  # fmt: skip

streams = st.lists(events(), min_size=1, max_size=6)
positions = st.integers(min_value=1, max_value=2**62)
commit_times = moments.map(microseconds)


def stamped(stream: list[Event], recorded_us: int, first: int) -> EncodedRows:
    """The rows of a stream, committed."""
    rows = EncodedRows.of([encode_event(event) for event in stream])
    data = bytearray(rows.data)
    stamp(data, rows.lengths, recorded_us, first)
    return EncodedRows(bytes(data), rows.lengths)


def committed(stream: list[Event], recorded_us: int, first: int) -> list[Event]:
    """What a stream is expected to be once it is committed."""
    return [
        Event(
            **{
                **{name: getattr(event, name) for name in Event.__struct_fields__},
                "position": position,
                "recorded_at": moment_of(recorded_us),
            }
        )
        for position, event in enumerate(stream, first)
    ]


@given(streams, commit_times, positions)
def test_a_stream_decodes_to_what_was_encoded(
    stream: list[Event], recorded_us: int, first: int
) -> None:
    rows = stamped(stream, recorded_us, first)
    assert Decoder().events(bytes(rows.data)) == committed(stream, recorded_us, first)


#: Those that are made when somebody asks for them.
UNREAD = ("id", "aggregate_id", "timestamp", "vector_clock", "correlation_id", "causation_id")


@given(events(), st.permutations(UNREAD))
def test_what_is_made_when_asked_for_is_what_was_encoded_and_made_once(
    event: Event, order: list[str]
) -> None:
    [found] = Decoder().events(encode_event(event))
    for name in order:
        assert getattr(found, name) == getattr(event, name)
        assert getattr(found, name) is getattr(found, name)


@given(events())
def test_an_event_that_nobody_has_read_is_like_one_that_was_made(event: Event) -> None:
    def unread() -> Event:
        [found] = Decoder().events(encode_event(event), first_position=1, recorded_us=0)
        return found

    [made] = committed([event], 0, 1)
    assert unread() == made
    assert made == unread()
    assert unread() == unread()
    assert unread() != committed([event], 0, 2)[0]
    assert pickle.loads(pickle.dumps(unread())) == made
    assert copy.copy(unread()) == made
    assert copy.deepcopy(unread()) == made
    changed = {"version": 7, "id": UUID(int=7)}
    assert msgspec.structs.replace(unread(), **changed) == msgspec.structs.replace(made, **changed)
    assert unread().clock_counts == made.clock_counts == made.vector_clock.counts


@pytest.mark.parametrize("name", [*UNREAD, "data", "version"])
def test_an_event_that_nobody_has_read_cannot_be_changed(name: str) -> None:
    [found] = Decoder().events(encode_event(SOME), first_position=7, recorded_us=6)
    with pytest.raises(AttributeError):
        setattr(found, name, getattr(SOME, name))
    with pytest.raises(AttributeError):
        delattr(found, name)
    with pytest.raises(TypeError, match="unhashable"):
        hash(found)
    assert repr(found) == repr(SOME)
    assert found == SOME


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b'{"node":3}', b'{"node":3,'),  # the clock
        (b'{"key":"x"}', b'{"key":"x",'),  # metadata
        (b"\6device", b"\6gadget"),  # the kind
        (MOMENT.to_bytes(8, "big"), (2**62).to_bytes(8, "big")),
    ],
)
def test_what_cannot_be_read_is_noticed_when_its_page_is_decoded(good: bytes, bad: bytes) -> None:
    row = encode_event(SOME)
    assert row.count(good) == 1
    with pytest.raises((ValueError, KeyError, OverflowError)):
        Decoder().events(row.replace(good, bad[: len(good)]))


@given(st.data())
def test_a_page_that_is_cut_is_noticed_when_it_is_decoded(data: st.DataObject) -> None:
    row = encode_event(msgspec.structs.replace(SOME, metadata={}))
    end = data.draw(st.integers(min_value=1, max_value=len(row) - 1))
    with pytest.raises((ValueError, KeyError, struct.error)):
        Decoder().events(row + row[:end])


@given(streams, commit_times, positions)
def test_rows_without_a_stamp_decode_with_what_stands_in_for_it(
    stream: list[Event], recorded_us: int, first: int
) -> None:
    rows = EncodedRows.of([encode_event(event) for event in stream])
    found = Decoder().events(bytes(rows.data), first_position=first, recorded_us=recorded_us)
    assert found == committed(stream, recorded_us, first)


@given(streams, commit_times, positions)
def test_a_copy_stream_decodes_like_its_rows(
    stream: list[Event], recorded_us: int, first: int
) -> None:
    rows = bytes(stamped(stream, recorded_us, first).data)
    copied = COPY_HEADER + rows + COPY_TRAILER
    assert Decoder().events(copied) == Decoder().events(rows)
    assert list(folds(copied)) == list(folds(rows))


@given(st.lists(streams, min_size=2, max_size=3))
def test_a_decoder_keeps_nothing_of_one_stream_in_the_next(parts: list[list[Event]]) -> None:
    decoder = Decoder()
    for part in parts:
        rows = bytes(stamped(part, 0, 1).data)
        assert decoder.events(rows) == Decoder().events(rows)


def test_a_decoder_keeps_so_many_types_and_then_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EventPool, "MAX", 10)
    decoder = Decoder()
    for number in range(100):
        source = f"device/{number}"
        event = Event(
            id=UUID(int=number), event_type=f"noted-{number}", kind=Kind.DEVICE, source=source,
            aggregate_id=aggregate_id_of(source), timestamp=moment_of(0), data={},
        )  # fmt: skip
        [decoded] = decoder.events(encode_event(event))
        assert (decoded.event_type, decoded.source) == (event.event_type, source)
    assert 0 < len(decoder.pool.types) <= 11


@given(streams)
def test_a_fold_has_what_a_state_is_rebuilt_from(stream: list[Event]) -> None:
    rows = stamped(stream, 0, 1)
    for fold, event in zip(folds(bytes(rows.data)), stream, strict=True):
        assert UUID(bytes=fold.aggregate_id) == event.aggregate_id
        assert (fold.version, fold.event_type.decode()) == (event.version, event.event_type)
        assert decode_json(fold.data) == event.data
        assert decode_json(fold.clock) == dict(event.vector_clock)


@given(streams)
def test_type_and_source_are_read_without_decoding_the_rest(stream: list[Event]) -> None:
    rows, at = stamped(stream, 0, 1), 0
    for event, length in zip(stream, rows.lengths, strict=True):
        assert event_type_at(rows.data, at).decode() == event.event_type
        assert source_at(rows.data, at).decode() == event.source
        at += length


@given(st.datetimes(timezones=st.timezones()))
def test_a_moment_comes_back_from_its_microseconds(moment: datetime) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:  # a year before 1 or after 9999, seen from UTC
        return
    assert moment_of(microseconds(moment)) == expected
    assert moment_of(microseconds(moment) + 1) - expected == timedelta(microseconds=1) or (
        expected == datetime.max.replace(tzinfo=UTC)
    )


FIELDS = (b"\x01" * 16, b"\x02" * 16, 1)
REST = (type_fields("value-read", "device"), text_field("a/b"), b"{}", b"", b"")


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
@example(FIRST_US)
@example(FIRST_US - 1)
@example(LAST_US)
@example(LAST_US + 1)
def test_an_event_has_a_moment_that_a_calendar_has(moment_us: int) -> None:
    try:
        moment_of(moment_us)
    except OverflowError:
        with pytest.raises(InvalidData, match=r"^value-read: no calendar has the moment"):
            encode_row(*FIELDS, moment_us, *REST)
    else:
        encode_row(*FIELDS, moment_us, *REST)


#: What a host's clock says before its own count: of others, and itself.
heads = st.sampled_from(
    [b'{"a":', b'{"b":7,"a":', b'{"a":1,"b":2,"a":', b'{"b":12,"a":', b'{"a":7,"b":', b'{"\\"a":']
)
counts = st.integers(min_value=0, max_value=2**62)


def decided(head: bytes, tick: int) -> bytes:
    """The row of an event as a host makes it."""
    prefix, causes = clock_prefix(head), (b"\x03" * 16, b"\x04" * 16)
    return encode_decided(*FIELDS, 5, *REST[:3], prefix, tick, *causes)


@given(heads, counts)
def test_a_row_that_is_made_in_one_go_is_the_one_that_is_made_of_columns(
    head: bytes, tick: int
) -> None:
    causes = cause_fields(b"\x03" * 16, b"\x04" * 16)
    row = encode_row(*FIELDS, 5, *REST[:3], CLOCK % (clock_prefix(head), tick), causes)
    assert decided(head, tick) == row


@given(st.lists(st.tuples(heads, counts), min_size=1, max_size=12))
def test_events_that_were_decided_together_have_each_its_own_clock(
    made: list[tuple[bytes, int]],
) -> None:
    page = Decoder().page(b"".join(decided(head, tick) for head, tick in made))
    expected = [decode_json(b"%b%d}" % (head, tick)) for head, tick in made]
    assert [event.clock_counts for event in page.events] == expected
    assert [event.vector_clock for event in page.events] == list(map(VectorClock, expected))
    assert all(event.vector_clock is event.vector_clock for event in page.events)
    assert merged(page.clocks) == merged(expected)


@given(streams)
def test_the_clocks_of_a_page_come_to_what_those_of_its_events_do(stream: list[Event]) -> None:
    page = Decoder().page(b"".join(map(encode_event, stream)))
    assert merged(page.clocks) == merged([event.vector_clock.counts for event in stream])


def merged(clocks: Iterable[Mapping[str, int]]) -> VectorClock:
    """The least clock at or above all of them."""
    return reduce(VectorClock.update, map(VectorClock, clocks), VectorClock())


@pytest.mark.parametrize("count", [b"3,", b"x", b"", b"1]", b"--1"])
def test_a_clock_that_is_like_the_one_before_is_read_all_the_same(count: bytes) -> None:
    good = decided(b'{"a":', 12)
    bad = good.replace(b"%19d}" % 12, b"%b}" % count.rjust(19))
    for wrong in (bad, good.replace(b"12}", b"12,")):
        assert len(wrong) == len(good)
        with pytest.raises(ValueError, match=r"JSON|Expecting|property name|Extra"):
            Decoder().events(good + wrong)


@given(st.binary(max_size=20).filter(lambda raw: len(raw) != 16), st.integers(0, 2))
def test_an_event_that_was_decided_has_ids_of_sixteen_bytes(wrong: bytes, place: int) -> None:
    ids = [b"\x01" * 16] * 3
    ids[place] = wrong
    with pytest.raises(InvalidData, match=r"^value-read: an id has 16 bytes"):
        encode_decided(ids[0], *FIELDS[1:], 5, *REST[:3], clock_prefix(b'{"a":'), 1, *ids[1:])


@given(st.binary(max_size=20).filter(lambda raw: len(raw) != 16))
def test_an_event_has_an_id_of_sixteen_bytes(event_id: bytes) -> None:
    with pytest.raises(InvalidData, match=r"^value-read: an id has 16 bytes"):
        encode_row(event_id, *FIELDS[1:], 0, *REST)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_text_that_postgres_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(InvalidData):
        text_field(text)


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidData, match="no kind of event 'gossip'"):
        type_fields("value-read", "gossip")


@given(streams, positions, commit_times)
def test_rows_as_they_are_encoded_have_no_problem(
    stream: list[Event], first: int, recorded_us: int
) -> None:
    assert EncodedRows.of([encode_event(event) for event in stream]).problem() is None
    assert stamped(stream, recorded_us, first).problem() is None


@given(streams, positions, commit_times)
def test_the_last_of_some_rows_says_where_it_stands(
    stream: list[Event], first: int, recorded_us: int
) -> None:
    rows, last = stamped(stream, recorded_us, first), stream[-1]
    expected = (last.aggregate_id.bytes, last.version, first + len(stream) - 1)
    assert last_row(bytes(rows.data)) == expected
    assert last_row(COPY_HEADER + bytes(rows.data)) == expected
