"""CloudEvents as they come in: what is taken, what is refused and why."""

import io
import json
import math
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.devices import Report
from actors.ids import event_id
from gateways.cloud_events import BadEvent, CloudEvent, parse
from gateways.files.json_lines import MAX_LINE_BYTES, Line, Rejects, blocks

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
EVENT = {"source": "pump/7", "type": "pressure", "id": "e1", "time": "2026-07-01T12:00:00Z"}


def event(**members: Any) -> CloudEvent:
    """EVENT, changed, as it comes out of its JSON text."""
    return parse(json.dumps({**EVENT, **members}).encode())


def refusal(text: bytes) -> str:
    with pytest.raises(BadEvent) as caught:
        parse(text)
    return str(caught.value)


def refusal_of(**members: Any) -> str:
    return refusal(json.dumps({**EVENT, **members}).encode())


# What is taken -----------------------------------------------------------------------


def test_an_event_has_its_attributes_and_its_properties() -> None:
    taken = event(specversion="1.0", data={"bar": 4.5, "valve": {"open": True}})
    assert (taken.source, taken.type, taken.id, taken.time) == ("pump/7", "pressure", "e1", NOON)
    assert taken.report == Report(
        event_id="e1", event_type="pressure", properties={"bar": 4.5, "valve": {"open": True}}
    )


def test_an_event_without_specversion_is_taken_for_one_of_version_1() -> None:
    assert event().specversion == "1.0"


@pytest.mark.parametrize("name", ["specversion", "time", "data", "data_base64"])
def test_an_attribute_that_is_null_is_absent(name: str) -> None:
    assert event(**{name: None}).command_id == event().command_id


def test_an_event_without_a_time_has_none() -> None:
    assert event(time=None).time is None


def test_an_event_without_data_reports_no_properties() -> None:
    assert event().report.properties == {}


@pytest.mark.parametrize("data", [21.5, "on", False, [1, 2], 0, ""])
def test_data_that_is_no_object_is_one_property(data: Any) -> None:
    assert event(data=data).report.properties == {"value": data}


def test_further_attributes_are_let_pass() -> None:
    assert event(subject="s", datacontenttype="application/json", rack="r1") == event()


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbf" + json.dumps(EVENT).encode()) == event()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-07-01T14:30:00+02:30", NOON),
        ("2026-07-01t12:00:00z", NOON),
        ("2026-07-01T12:00:00.25Z", NOON.replace(microsecond=250_000)),
        ("2026-07-01T12:00:00.123456789Z", NOON.replace(microsecond=123_456)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_an_instant_whatever_its_zone_and_precision(text: str, moment: datetime) -> None:
    assert event(time=text).time == moment


def test_numbers_beyond_64_bits_are_kept() -> None:
    assert event(data={"n": 2**80}).report.properties == {"n": 2**80}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5).map(ascii), inner),
    max_leaves=20,
)
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50
)


#: CloudEvents 1.0 allows no control characters in texts; ids may have them here, names may not.
SOURCE = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=50
)


@given(data=JSON, source=SOURCE, identity=TEXT, ensure_ascii=st.booleans())
def test_whatever_is_json_comes_out_as_it_went_in(
    data: Any, source: str, identity: str, ensure_ascii: bool
) -> None:
    members = {**EVENT, "source": f"s{source}", "id": identity, "data": data}
    taken = parse(json.dumps(members, ensure_ascii=ensure_ascii).encode())
    assert (taken.source, taken.id, taken.data) == (f"s{source}", identity, data)


# The idempotency key -----------------------------------------------------------------


def test_the_key_depends_on_source_and_id_alone() -> None:
    others = (
        event(time="2027-01-01T00:00:00Z"),
        event(time=None),
        event(type="t"),
        event(data={"a": 1}),
    )
    assert {other.command_id for other in others} == {event().command_id}
    assert event(id="e2").command_id != event().command_id
    assert event(source="pump/8").command_id != event().command_id


def test_the_border_between_source_and_id_is_part_of_the_key() -> None:
    assert event(source="ab", id="c").command_id != event(source="a", id="bc").command_id


def test_the_key_stays_what_it_was_in_earlier_releases() -> None:
    assert event().command_id.hex() == "000000000000799a8d02762fb4f2e501"
    assert event_id(event().command_id, 0) != event().command_id


# What is refused ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["source", "id", "type"])
def test_a_required_attribute_is_a_text_that_is_not_empty(name: str) -> None:
    assert refusal(json.dumps({k: v for k, v in EVENT.items() if k != name}).encode()) == (
        f"{name}: missing"
    )
    assert refusal_of(**{name: None}) == f"{name}: missing"
    assert refusal_of(**{name: ""}) == f"{name}: empty"
    assert refusal_of(**{name: 7}) == f"{name}: a text is expected, not a number"


def test_every_problem_is_named() -> None:
    assert refusal(b'{"source": "a"}') == "id: missing; type: missing"


@pytest.mark.parametrize("version", ["0.3", "1.1", 1.0, ""])
def test_another_specversion_is_refused(version: Any) -> None:
    assert refusal_of(specversion=version).startswith("specversion: ")


@pytest.mark.parametrize(
    "time",
    [
        "yesterday", "", "2026-07-01", "2026-07-01T12:00:00", "2026-07-01 12:00:00Z",
        "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-07-01T25:00:00Z", "1782907200",
        "2026-W27-3T12:00:00Z", "20260701T120000Z", "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-01:00", "٢٠٢٦-07-01T12:00:00Z", 1782907200, True, ["now"],
    ],
)  # fmt: skip
def test_a_time_that_is_not_rfc_3339_is_refused(time: Any) -> None:
    assert refusal_of(time=time).startswith("time: ")


@pytest.mark.parametrize("text", [b"{", b"", b"{'a': 1}", b'{"a": 1} {"b": 2}', b"\0", b"nul"])
def test_what_is_not_json_is_refused_with_the_column(text: bytes) -> None:
    assert refusal(text).startswith("not JSON: ")
    assert " at column " in refusal(text)
    assert "line 1" not in refusal(text)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"[]", "a list"),
        (b'"a"', "a text"),
        (b"1", "a number"),
        (b"null", "null"),
        (b"true", "a boolean"),
    ],
)
def test_json_that_is_no_object_is_refused(text: bytes, what: str) -> None:
    assert refusal(text) == f"not a JSON object but {what}"


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_python_s_own_constants_are_not_json(number: float) -> None:
    assert refusal_of(data={"n": number}).startswith("not JSON: ")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400 + ".0"])
def test_a_number_beyond_doubles_is_refused_wherever_it_is(number: str) -> None:
    for data in (number, f"[{number}]", f'{{"a": [{{"b": {number}}}]}}'):
        text = f'{{"source": "s", "type": "t", "id": "i", "data": {data}}}'
        assert refusal(text.encode()) == "data: a number beyond the range of doubles"


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"source": "a\0"}, "source"),
        ({"id": "a\0"}, "id"),
        ({"type": "\0"}, "type"),
        ({"data": "\0"}, "data"),
        ({"data": {"\0": 1}}, "data"),
        ({"data": {"a": [{"b": "x\0"}]}}, "data"),
    ],
)
def test_a_nul_character_is_refused_wherever_it_is(members: dict[str, Any], where: str) -> None:
    assert refusal_of(**members).startswith(f"{where}: ")
    assert "NUL" in refusal_of(**members)


def test_a_backslash_before_u0000_is_no_nul_character() -> None:
    assert event(data={"a": "\\u0000"}).data == {"a": "\\u0000"}


@pytest.mark.parametrize("text", [rb'{"source": "\ud800"}', rb'{"source": "s", "data": "\udc00"}'])
def test_half_a_surrogate_pair_is_refused(text: bytes) -> None:
    assert refusal(text).startswith("not JSON: ")


def test_what_is_not_utf_8_is_refused_with_the_byte() -> None:
    assert refusal(b'{"a": "\xff"}') == "not UTF-8: invalid start byte at byte 8"


def test_a_source_too_long_for_a_name_is_refused() -> None:
    assert event(source="s" * 1000).source == "s" * 1000
    assert refusal_of(source="s" * 1024).startswith("source: a source has at most")
    assert refusal_of(source="ü" * 600).startswith("source: a source has at most")


def test_binary_data_is_refused() -> None:
    assert refusal_of(data_base64="AAAA").startswith("data_base64: ")


def test_a_value_nested_without_end_is_refused() -> None:
    assert "recursion" in refusal(b'{"data": ' + b"[" * 100_000)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(text: bytes) -> None:
    with pytest.raises(BadEvent):
        parse(b"[" + text)


@given(st.dictionaries(st.sampled_from([*EVENT, "specversion", "data"]), JSON))
def test_no_values_do_more_than_be_refused(members: dict[str, Any]) -> None:
    with suppress(BadEvent):
        assert parse(json.dumps(members).encode()).report.event_id == members["id"]


# Lines -------------------------------------------------------------------------------


class Pipe:
    """Hands out what was written to it in the pieces it was written in."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def read1(self, size: int, /) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def read(*pieces: bytes) -> list[Line]:
    return [line for lines in blocks(Pipe(*pieces)) for line in lines]


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 100)))
def test_lines_are_the_same_in_whatever_pieces_they_come(
    texts: list[bytes], cuts: list[int]
) -> None:
    whole = b"\n".join(texts)
    edges = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[a:b] for a, b in pairwise(edges)]
    lines = read(*pieces)
    assert b"".join(line.raw for line in lines) == whole
    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    assert all(line.raw.count(b"\n") <= 1 for line in lines)
    assert all(line.raw.endswith(b"\n") for line in lines[:-1])


def test_a_line_is_handed_on_before_the_next_is_written() -> None:
    pipe = Pipe(b"one\ntw", b"o\n", b"three")
    found = blocks(pipe)
    assert [line.raw for line in next(found)] == [b"one\n"]
    assert pipe.pieces == [b"o\n", b"three"]
    assert [line.raw for line in next(found)] == [b"two\n"]


def test_a_carriage_return_ends_no_line() -> None:
    assert [line.raw for line in read(b"a\rb\r\nc")] == [b"a\rb\r\n", b"c"]


def test_a_line_of_the_greatest_length_is_whole() -> None:
    longest = b"x" * MAX_LINE_BYTES
    for text in (longest, longest + b"\n"):
        assert read(text) == [Line(1, text)]


def test_a_line_too_long_comes_in_pieces_and_the_next_is_whole_again() -> None:
    piece = b"x" * (MAX_LINE_BYTES // 2)
    lines = read(*[piece] * 6, b"x\ngood\n", piece * 3)
    assert [line.number for line in lines] == [1, 1, 1, 1, 1, 2, 3]
    assert [line.too_long for line in lines] == [True] * 5 + [False, True]
    assert [line.continued for line in lines] == [False] + [True] * 4 + [False, False]
    assert lines[5].raw == b"good\n"
    assert b"".join(line.raw for line in lines) == piece * 6 + b"x\ngood\n" + piece * 3


def test_a_file_is_read_like_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"a\n\nb")
    with path.open("rb") as file:
        assert [line.raw for lines in blocks(file) for line in lines] == [b"a\n", b"\n", b"b"]
    assert list(blocks(io.BufferedReader(io.BytesIO(b"")))) == []


# Rejects -----------------------------------------------------------------------------


def test_without_rejects_there_is_no_file(tmp_path: Path) -> None:
    with Rejects(tmp_path / "rejects", keep=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_rejects_of_an_earlier_run_are_replaced_or_added_to(tmp_path: Path) -> None:
    path = tmp_path / "rejects"
    path.write_bytes(b"earlier")
    with Rejects(path, keep=True) as rejects:
        rejects.add(b"one\n")
        rejects.add(b"two")
    assert path.read_bytes() == b"earlier\none\ntwo"
    with Rejects(path, keep=False):
        assert path.read_bytes() == b""
