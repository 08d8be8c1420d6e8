"""JSON text: what is accepted reads back equal, and what the log cannot hold is refused.

That it also reads back equal from Postgres is the event store contract's part.
"""

import json
import math
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, Field, PlainSerializer

from actors.event import DeviceEvent
from store.errors import InvalidData
from store.rows import json_text
from store.rows.json_text import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_EVENT_BYTES,
    decode_json,
    encode_json,
    encode_payload,
)
from tests.strategies import finite_floats, json_values, scalars


class Reading(DeviceEvent):
    """A payload whose field takes anything."""

    value: Any = None


class Measured(DeviceEvent):
    """A payload whose fields say what they take."""

    value: float = 0.0
    by_name: Mapping[str, float] = Field(default_factory=dict)
    texts: tuple[str, ...] = ()


def as_plain(value: Any) -> bytes:
    """The way of plain data."""
    return encode_json("reading", {"value": value})


def as_payload(value: Any) -> bytes:
    """The way of a typed payload."""
    return encode_payload("reading", Reading(value=value))


both_ways = pytest.mark.parametrize("encode", [as_plain, as_payload])
Encode = Callable[[Any], bytes]


def buried(poison: Any) -> st.SearchStrategy[Any]:
    """A JSON value with `poison` somewhere inside."""
    return st.recursive(
        st.just(poison),
        lambda inner: st.one_of(
            st.tuples(scalars, inner).map(list), inner.map(lambda value: {"k": value, "l": 1})
        ),
        max_leaves=3,
    )


@both_ways
@given(value=json_values)
def test_any_json_value_reads_back_equal(encode: Encode, value: Any) -> None:
    assert decode_json(encode(value)) == {"value": value}


@both_ways
@given(value=finite_floats)
def test_a_float_reads_back_to_the_bit(encode: Encode, value: float) -> None:
    read = decode_json(encode(value))["value"]
    assert type(read) is float
    assert (read, math.copysign(1, read)) == (value, math.copysign(1, value))


@both_ways
@given(value=finite_floats.filter(lambda number: abs(number) >= 1e16))
def test_a_large_float_is_written_so_that_jsonb_gives_back_a_float(
    encode: Encode, value: float
) -> None:
    text = encode(value)
    assert b"e" not in text.removeprefix(b'{"value":')
    assert text.endswith(b".0}")


@both_ways
@given(value=st.integers(min_value=-(10**300), max_value=10**300))
def test_an_integer_of_any_size_reads_back_equal(encode: Encode, value: int) -> None:
    read = decode_json(encode(value))["value"]
    assert (type(read), read) == (int, value)


@both_ways
@given(data=st.data())
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf], ids=str)
def test_no_number_that_json_lacks_gets_through(
    encode: Encode, poison: float, data: st.DataObject
) -> None:
    with pytest.raises(InvalidData, match="not a JSON number"):
        encode(data.draw(buried(poison)))


@both_ways
@given(data=st.data())
@pytest.mark.parametrize("poison", ["\x00", "a\x00b", {"a\x00b": 1}, {"x": {"\x00": {}}}], ids=repr)
def test_no_nul_gets_through_in_a_text_or_a_key(
    encode: Encode, poison: Any, data: st.DataObject
) -> None:
    with pytest.raises(InvalidData, match="NUL"):
        encode(data.draw(buried(poison)))


@both_ways
@given(data=st.data())
@pytest.mark.parametrize("poison", ["\ud800", "x\udfff", {"\ud83d": 1}, "\udc00\ud800"], ids=ascii)
def test_no_half_of_a_surrogate_pair_gets_through(
    encode: Encode, poison: Any, data: st.DataObject
) -> None:
    with pytest.raises(InvalidData, match="surrogates not allowed"):
        encode(data.draw(buried(poison)))


@pytest.mark.parametrize(
    "payload",
    [
        Measured(value=math.nan),
        Measured(value=-math.inf),
        Measured(by_name={"x": math.inf}),
        Measured(texts=("fine", "\x00")),
        Measured(by_name={"\x00": 1.0}),
        Measured(texts=("\ud800",)),
    ],
    ids=repr,
)
def test_typed_fields_hide_nothing(payload: Measured) -> None:
    with pytest.raises(InvalidData) as caught:
        encode_payload("measured", payload)
    assert caught.value.event_type == "measured"
    assert caught.value.problem in str(caught.value)


@both_ways
@pytest.mark.parametrize(
    ("key", "written"),
    [
        (7, "7"),
        (10**30, "1000000000000000000000000000000"),
        (True, "true"),
        (None, "None"),
        (0.5, "0.5"),
        (date(2013, 1, 1), "2013-01-01"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
@pytest.mark.parametrize("beside", [0.5, 1e23], ids=["usual", "looked-at"])
def test_a_key_that_is_no_text_becomes_the_same_text_both_ways(
    encode: Encode, key: Any, written: str, beside: float
) -> None:
    assert decode_json(encode({key: beside})) == {"value": {written: beside}}


@both_ways
def test_a_key_that_is_no_text_hides_no_nul(encode: Encode) -> None:
    with pytest.raises(InvalidData, match="NUL"):
        encode({("a\x00b", 1): 1})


#: What the quick way looks for, whole and in parts, and what has none of it.
telling_texts = st.text(st.sampled_from('NaIfinty+-e0u\\\x00"1 é'), max_size=6) | st.sampled_from(
    ["NaN", "Infinity", "-Infinity", "1e+23", "\\u0000", "N", "I", "+", "\\", "\x00", ""]
)
telling_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.floats(),
        st.sampled_from([1e15, 1e16, 1e23, -1e300, 1e-300, math.nan, math.inf, -math.inf]),
        st.integers(),
        telling_texts,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(telling_texts, inner, max_size=3)
    ),
    max_leaves=4,
)


def outcome(encode: Encode, value: Any) -> Any:
    """What jsonb makes of it, to the digit (a point is what tells a float); or that it was
    refused."""
    try:
        text = encode(value)
    except InvalidData:
        return InvalidData
    numbers = {
        # jsonb writes exponents out: 1e-05 has a point there, and 1e+23 none.
        "parse_float": lambda digits: ("." in f"{Decimal(digits):f}", Decimal(digits)),
        "parse_constant": lambda name: ("no number", name),
    }
    return json.loads(text, **numbers)  # type: ignore[arg-type]


@settings(max_examples=500)
@given(value=telling_values)
def test_the_quick_way_lets_nothing_through_that_the_long_one_would_not(value: Any) -> None:
    assert outcome(as_payload, value) == outcome(as_plain, value)


class Sealed(DeviceEvent):
    """A payload that says how its values become JSON."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    seal: bytes = b"\xff"
    code: Annotated[int, PlainSerializer(lambda code: f"#{code}", when_used="json")] = 7
    value: float = 0.5


@pytest.mark.parametrize("value", [1e23, 1e-300, -1e300])
def test_what_a_payload_says_of_its_json_holds_whatever_its_other_fields_are(value: float) -> None:
    usual = decode_json(encode_payload("sealed", Sealed()))
    read = decode_json(encode_payload("sealed", Sealed(value=value)))
    assert read == {**usual, "value": value}
    assert read["code"] == "#7"


@both_ways
@pytest.mark.parametrize("text", ["\\u0000", "NaN", "Infinity", "1e+23", "-Infinity \\\\u0000"])
def test_a_text_that_only_looks_like_what_is_refused_is_kept(encode: Encode, text: str) -> None:
    assert decode_json(encode({text: text})) == {"value": {text: text}}


@both_ways
@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_has_as_many_digits_as_can_be_read_and_not_one_more(
    encode: Encode, sign: int
) -> None:
    longest = sign * (10**MAX_DIGITS - 1)
    assert decode_json(encode([longest])) == {"value": [longest]}
    with pytest.raises(InvalidData, match="more than 4,300 digits"):
        encode({"deep": [longest + sign]})
    assert decode_json(encode("1" * 9_000)) == {"value": "1" * 9_000}, "a text may have more"


@both_ways
def test_data_may_take_a_mebibyte_and_not_a_byte_more(encode: Encode) -> None:
    room = MAX_EVENT_BYTES - len(encode(""))
    assert len(encode("x" * room)) == MAX_EVENT_BYTES
    with pytest.raises(InvalidData, match="1,048,577 bytes, 1,048,576 are allowed"):
        encode("x" * (room + 1))


@both_ways
def test_data_nested_beyond_all_reason_is_refused(encode: Encode) -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidData):
        encode(value)


@pytest.mark.parametrize("kind", [dict, list])
def test_data_may_be_nested_as_deeply_as_a_class_can_be_read_and_no_deeper(kind: type) -> None:
    def nested(levels: int) -> Any:
        value: Any = {"value": 1}
        for _ in range(levels - 1):
            value = {"value": value} if kind is dict else [value]
        return value

    deepest = nested(MAX_DEPTH - 1)
    text = encode_json("reading", {"value": deepest})
    assert Reading.model_validate_json(text).value == deepest
    with pytest.raises(InvalidData, match="more than 200 levels deep"):
        encode_json("reading", {"value": nested(MAX_DEPTH)})


@both_ways
@pytest.mark.parametrize("value", [object(), b"\xff"], ids=["object", "bytes"])
def test_what_has_no_json_form_is_refused(encode: Encode, value: Any) -> None:
    with pytest.raises(InvalidData):
        encode(value)


@given(json_values | st.dictionaries(st.integers() | st.text(), json_values) | st.lists(scalars))
@settings(max_examples=300)
def test_what_is_written_in_one_go_is_what_is_written_part_by_part(value: Any) -> None:
    try:
        text = json_text._text("reading", value, MAX_DEPTH)
    except InvalidData:
        assert json_text._usual_text(value) is None
    else:
        assert json_text._usual_text(value) in (text, None)


@pytest.mark.parametrize("value", [[1] * 300_000, [[]] * 300_000, ["x"] * 200_000])
def test_of_what_is_usual_no_part_is_looked_at_by_itself(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host does so for what any program publishes, and nothing else meanwhile."""
    monkeypatch.setattr(json_text, "_text", None)
    assert decode_json(encode_json("reading", {"value": value})) == {"value": value}
