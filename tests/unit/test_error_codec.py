"""Whatever is raised travels: it can be encoded, it arrives, and it says what it was."""

import pickle
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.errors import InvalidActor, Rejected
from runtime.errors import HandlerFailed, HostFailed, InvalidState, RetriesExhausted
from runtime.wire.commands import Answer, pack_answer, unpack_answer
from runtime.wire.error_codec import MAX_BYTES, decode_error, encode_error, text_of_error
from store.errors import RowsRefused, StaleEpoch, StoreUnavailable, VersionConflict


class TooHot(Rejected):
    """A rejection with facts, made of other arguments than it keeps."""

    def __init__(self, celsius: float, limit: float) -> None:
        super().__init__(f"{celsius} is above {limit}")
        self.celsius, self.limit = celsius, limit

    def __str__(self) -> str:
        return f"too hot: {self.reason}"


class FarTooHot(TooHot):
    """Derived from one that is derived."""


class Unreadable(Exception):
    """Does not even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Silent(Rejected):
    """Never gives Rejected its reason."""

    def __init__(self) -> None:
        self.door = "front"


def travelled(error: BaseException) -> Exception:
    """The error as a caller gets it, over the wire."""
    answer = Answer({}, 0, set(), 0, 0, [], [], b"", {}, {}, {0: encode_error(error)})
    return decode_error(unpack_answer(pack_answer(answer)).errors[0])


@pytest.mark.parametrize(
    "error",
    [
        Rejected("no"),
        Rejected("nö ☃"),
        HandlerFailed("counter/a", "add", "RuntimeError: x", "restart"),
        RetriesExhausted("counter/a", "x"),
        InvalidState("counter/a", "x"),
        InvalidActor("counter", "x"),
        StoreUnavailable("here", "away"),
        RowsRefused("too big"),
        StaleEpoch("host", 3),
        VersionConflict("counter/a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_ours_arrives_as_it_was(error: Exception) -> None:
    arrived = travelled(error)
    assert type(arrived) is type(error)
    assert arrived.args == error.args
    assert str(arrived) == str(error)


@pytest.mark.parametrize("kind", [TooHot, FarTooHot])
def test_a_rejection_arrives_as_the_class_that_its_caller_knows(kind: type[TooHot]) -> None:
    arrived = travelled(kind(90.5, 80))
    assert type(arrived) is kind
    assert (arrived.reason, arrived.celsius, arrived.limit) == ("90.5 is above 80", 90.5, 80)
    assert str(arrived) == "too hot: 90.5 is above 80"
    assert type(travelled(arrived)) is kind


def test_a_rejection_of_an_unknown_class_brings_its_name_its_reason_and_its_facts() -> None:
    name, arguments = encode_error(TooHot(90.5, 80))
    arguments[1] = "elsewhere.TooHot"
    arrived = decode_error((name, arguments))
    assert type(arrived) is Rejected
    assert arrived.reason == "90.5 is above 80"
    assert (arrived.class_name, arrived.facts) == (
        "elsewhere.TooHot",
        {"celsius": 90.5, "limit": 80},
    )
    again = travelled(arrived)
    assert isinstance(again, Rejected)
    assert (again.class_name, again.facts) == (arrived.class_name, arrived.facts)


def test_a_rejection_says_its_class_and_its_facts_where_it_is_raised_too() -> None:
    raised = TooHot(90.5, 80)
    assert raised.class_name == f"{__name__}.TooHot"
    assert raised.facts == {"celsius": 90.5, "limit": 80}
    assert Rejected("no").facts == {}


def test_a_rejection_is_pickled_whatever_its_constructor_takes() -> None:
    copy = pickle.loads(pickle.dumps(TooHot(90.5, 80)))
    assert (type(copy), copy.reason, copy.celsius) == (TooHot, "90.5 is above 80", 90.5)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (ValueError(), "ValueError()"),
        (ValueError("bad"), "bad"),
        (7, "7"),
        (object, "<class 'object'>"),
        (Unreadable(), "a Unreadable that does not say what it is"),
        ("half \ud800 a character", "half \\ud800 a character"),
    ],
)
def test_a_reason_that_is_no_text_arrives_as_its_text(reason: Any, text: str) -> None:
    arrived = travelled(Rejected(reason))
    assert isinstance(arrived, Rejected)
    assert arrived.reason == text


def test_a_rejection_without_a_reason_arrives_too() -> None:
    arrived = travelled(Silent())
    assert isinstance(arrived, Silent)
    assert arrived.door == "front"


@pytest.mark.parametrize(
    ("fact", "arrives"),
    [
        (1 << 70, hex(1 << 70)),
        (-(10**5000), hex(-(10**5000))),
        ({"deep": [(1, {2: b"x"})]}, {"deep": [[1, {"2": b"x"}]]}),
        (UUID(int=1), str(UUID(int=1))),
        (float("inf"), float("inf")),
    ],
    ids=["large", "negative", "deep", "uuid", "infinite"],
)
def test_a_fact_that_has_no_form_on_the_wire_arrives_as_its_text(fact: Any, arrives: Any) -> None:
    raised = Rejected("no")
    raised.fact = fact  # type: ignore[attr-defined]
    arrived = travelled(raised)
    assert isinstance(arrived, Rejected)
    assert arrived.facts == {"fact": arrives}


def test_facts_without_an_end_or_a_bound_arrive_cut() -> None:
    endless: list[Any] = []
    endless.append(endless)
    raised = Rejected("no")
    raised.endless, raised.large = endless, ["x" * 1000] * 1000  # type: ignore[attr-defined]
    arrived = travelled(raised)
    assert isinstance(arrived, Rejected)
    assert arrived.reason == "no"
    assert len(str(encode_error(Rejected("y" * 10**6)))) < MAX_BYTES
    assert len(str(encode_error(RowsRefused("y" * 10**6)))) < MAX_BYTES


@pytest.mark.parametrize("error", [KeyError("x"), Unreadable(), RuntimeError(ValueError())])
def test_an_error_of_somebody_else_arrives_as_a_failure_of_the_host(error: Exception) -> None:
    arrived = travelled(error)
    assert isinstance(arrived, HostFailed)
    assert type(error).__name__ in str(arrived)


def test_a_class_that_only_bears_a_name_of_ours_is_not_taken_for_it() -> None:
    impostor = type("StoreUnavailable", (Exception,), {})
    arrived = travelled(impostor("here", "away"))
    assert isinstance(arrived, HostFailed)
    assert "StoreUnavailable" in str(arrived)


@given(name=st.text(), arguments=st.lists(st.none() | st.integers() | st.text(), max_size=5))
def test_whatever_comes_over_the_wire_becomes_an_error(name: str, arguments: list[Any]) -> None:
    assert isinstance(decode_error((name, arguments)), Exception)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.builds(object) | st.text(alphabet=st.characters(categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner)
    | st.frozensets(st.integers()),
)  # fmt: skip


@given(
    kind=st.sampled_from([Rejected, RowsRefused, RuntimeError]), argument=anything, fact=anything
)
def test_whatever_an_error_holds_it_arrives(kind: Any, argument: Any, fact: Any) -> None:
    raised = kind(argument)
    raised.fact = fact
    assert isinstance(travelled(raised), Exception)
    assert text_of_error(raised).startswith(kind.__name__)


class Looked(list[Any]):
    """A list that counts how often lists of its kind are gone through."""

    times = 0

    def __iter__(self) -> Iterator[Any]:
        Looked.times += 1
        return super().__iter__()


class Full(Rejected):
    """A rejection with all that there is."""

    def __init__(self, parts: Any) -> None:
        super().__init__("full")
        self.parts = parts


def test_facts_that_name_their_parts_again_and_again_are_not_gone_through_without_end() -> None:
    parts = Looked("a")
    for _ in range(7):
        parts = Looked([parts] * 8)  # two million lists, of which there are eight
    name, arguments = encode_error(Full(parts))
    assert (name, arguments[0]) == ("Rejected", "full")
    assert Looked.times < 50_000
