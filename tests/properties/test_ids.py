"""Ids: derived ones never meet, and all keep their time."""

from itertools import islice
from random import Random
from uuid import RFC_4122, UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.ids import FreshIds, derived_id, event_id, time_ordered_id, uuid_of
from actors.naming import aggregate_id_of, aggregate_key_of

raw_ids = st.binary(min_size=16, max_size=16)
times_ms = st.integers(min_value=0, max_value=2**48 - 1)
numbers = st.integers(min_value=0, max_value=20_000)

#: Many commands of one millisecond that differ in little: the hardest to keep apart.
siblings = st.integers(min_value=0, max_value=255).map(lambda low: bytes(15) + bytes((low,)))


@given(st.sets(st.tuples(st.one_of(raw_ids, siblings), numbers), min_size=2, max_size=200))
def test_no_two_events_share_an_id(samples: set[tuple[bytes, int]]) -> None:
    assert len({event_id(command, number) for command, number in samples}) == len(samples)


@settings(max_examples=5)
@given(raw_ids)
def test_the_ten_thousand_events_of_a_command_have_as_many_ids(command: bytes) -> None:
    assert len({event_id(command, number) for number in range(10_000)}) == 10_000


def test_no_two_commands_share_a_first_event() -> None:
    commands = [bytes(15) + bytes((last,)) for last in range(256)]
    firsts = {event_id(command, 0) for command in commands}
    assert firsts == set(commands), "a bijection of the last byte, the others unchanged"
    assert all(event_id(command, 0) != command for command in commands)


@given(raw_ids)
def test_the_first_event_leads_back_to_its_command(command: bytes) -> None:
    assert event_id(event_id(command, 0), 0) == command


@given(raw_ids, numbers)
def test_an_event_keeps_the_time_of_its_command(command: bytes, number: int) -> None:
    assert event_id(command, number)[:6] == command[:6]


@given(times_ms, st.integers(min_value=0, max_value=2**90))
def test_a_time_ordered_id_is_a_uuid_of_version_7_that_keeps_its_time(
    unix_ms: int, randomness: int
) -> None:
    made = UUID(bytes=time_ordered_id(unix_ms, randomness))
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == unix_ms


@given(times_ms, times_ms, st.integers(min_value=0, max_value=2**74 - 1))
def test_ids_sort_by_time(first: int, second: int, randomness: int) -> None:
    ids = [time_ordered_id(first, randomness), time_ordered_id(second, 0)]
    if first < second:
        assert ids[0] < ids[1]


@given(times_ms, st.sets(st.integers(min_value=0, max_value=2**74 - 1), min_size=2, max_size=50))
def test_no_bit_of_the_randomness_is_lost(unix_ms: int, randomness: set[int]) -> None:
    assert len({time_ordered_id(unix_ms, value) for value in randomness}) == len(randomness)


@given(times_ms, st.sets(st.binary(max_size=40), min_size=2, max_size=50))
def test_a_derived_id_is_the_same_for_the_same_key_alone(unix_ms: int, keys: set[bytes]) -> None:
    ids = [derived_id(unix_ms, key) for key in keys]
    assert ids == [derived_id(unix_ms, key) for key in keys]
    assert len(set(ids)) == len(keys)
    assert {UUID(bytes=made).version for made in ids} == {7}


@given(raw_ids)
def test_a_uuid_of_bytes_is_the_one_that_the_library_makes(raw: bytes) -> None:
    made, theirs = uuid_of(raw), UUID(bytes=raw)
    assert (made, hash(made), str(made), made.is_safe) == (
        theirs,
        hash(theirs),
        str(theirs),
        theirs.is_safe,
    )


def test_fresh_ids_are_uuids_of_their_millisecond_that_ascend_and_never_recur() -> None:
    ids = FreshIds(Random(1).getrandbits)
    made = [ids.new(unix_ms) for unix_ms in (5, 6, 7) for _ in range(1000)]
    assert made == sorted(set(made))
    for number, each in enumerate(made):
        found = UUID(bytes=each)
        assert (found.version, found.variant, found.int >> 80) == (7, RFC_4122, 5 + number // 1000)


def test_ids_for_commands_that_travel_together_have_first_events_that_count_up() -> None:
    ids = FreshIds(Random(1).getrandbits)
    runs = [list(islice(ids.together(unix_ms), 1000)) for unix_ms in (5, 6, 6)]
    made = [each for run in runs for each in run]
    assert len(set(made)) == len(made)
    assert {UUID(bytes=each).version for each in made} == {7}
    assert [UUID(bytes=each).int >> 80 for each in made] == [5] * 1000 + [6] * 2000
    for run in runs:
        first = [event_id(each, 0) for each in run]
        assert first == sorted(first)


def test_a_run_of_fresh_ids_leaves_version_and_variant_alone() -> None:
    ids = FreshIds(lambda bits: (1 << bits) - 1)
    made = [UUID(bytes=ids.new(9)) for _ in range(100)]
    assert {(each.version, each.variant, each.int >> 80) for each in made} == {(7, RFC_4122, 9)}


@given(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])).map(lambda name: f"meter/{name}"),
        st.uuids().map(str),
        st.uuids().map(lambda each: each.hex),
        st.uuids().map(lambda each: each.urn),
        st.uuids().map(lambda each: f"{{{each}}}"),
        st.uuids().map(lambda each: f"meter/{each}"),
        st.uuids().map(lambda each: f"{each}/".replace("-", "/", 1)),
    )
)
def test_the_quick_key_of_an_aggregate_is_its_id(source: str) -> None:
    assert aggregate_key_of(source) == aggregate_id_of(source).bytes
