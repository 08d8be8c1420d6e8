"""Names: stable type names, sources that any log can hold, and ids that never change."""

from functools import partial
from uuid import UUID, uuid5

import pytest

from actors.errors import InvalidName
from actors.naming import (
    AGGREGATES,
    MAX_SOURCE_BYTES,
    actor_type_of,
    aggregate_id_of,
    checked_new_source,
    checked_source,
    checked_type_name,
    kebab_case,
    source_of,
)


@pytest.mark.parametrize(
    ("class_name", "expected"),
    [
        ("TemperatureReported", "temperature-reported"),
        ("Aircraft", "aircraft"),
        ("HTTPRequestSent", "http-request-sent"),
        ("GateB12Opened", "gate-b12-opened"),
        ("_Hidden", "hidden"),
        ("Snake_Case", "snake-case"),
        ("ABC", "abc"),
    ],
)
def test_a_class_name_becomes_kebab_case(class_name: str, expected: str) -> None:
    assert kebab_case(class_name) == expected
    assert checked_type_name(expected) == expected


@pytest.mark.parametrize("name", ["a", "a1", "value-read", "org.example.value-read", "a.b.c"])
def test_a_kebab_case_name_is_a_type_name(name: str) -> None:
    assert checked_type_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "aB", "a_b", "-a", "a-", "a--b", "a..b", ".a", "1a", "a b", "$state", "ä", "a\n"],
)
def test_anything_else_is_no_type_name(name: str) -> None:
    with pytest.raises(InvalidName, match="kebab-case"):
        checked_type_name(name)


@pytest.mark.parametrize("source", ["aircraft/N14228", "x", "a/b/c", "Zürich/☃ 1", "x" * 1024])
def test_a_source_is_any_text_that_a_log_can_hold(source: str) -> None:
    assert checked_source(source) == source


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "not empty"),
        (" \t\n", "not empty"),
        ("a\x00b", "NUL"),
        ("a\ud800", "valid Unicode"),
        ("x" * (MAX_SOURCE_BYTES + 1), "at most 1024 bytes"),
        ("☃" * 342, "at most 1024 bytes"),
    ],
)
def test_a_source_that_no_log_can_hold_is_refused(source: str, problem: str) -> None:
    with pytest.raises(InvalidName, match=problem):
        checked_source(source)


def test_a_source_is_an_actor_type_and_a_name() -> None:
    assert source_of("aircraft", "N14228") == "aircraft/N14228"
    assert source_of("aircraft", "a/b") == "aircraft/a/b"
    assert actor_type_of("aircraft/a/b") == "aircraft"
    assert actor_type_of("aircraft") == "aircraft"


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\x1b[31m", "a\x7f", "a\x85b", "a\u2028b"])
def test_a_name_that_would_be_two_lines_in_a_log_is_refused(name: str) -> None:
    for checked in (partial(source_of, "aircraft"), checked_new_source):
        with pytest.raises(InvalidName, match=r"it has '.*': a name is one line of characters"):
            checked(name)
    assert checked_source(f"aircraft/{name}")  # a log may have events of it, which can be read


@pytest.mark.parametrize("name", ["", "\x00", "x" * 1024])
def test_a_name_that_makes_no_source_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        source_of("aircraft", name)


def test_an_aggregate_id_is_the_source_where_that_is_a_uuid() -> None:
    text = "0190f5c4-8e8b-7cc0-9a58-3f1d2b6c7e10"
    assert aggregate_id_of(text) == UUID(text)


def test_an_aggregate_id_is_otherwise_made_of_the_source_and_never_changes() -> None:
    made = aggregate_id_of("aircraft/N14228")
    assert made == uuid5(AGGREGATES, "aircraft/N14228")
    assert str(made) == "8bac34e1-17c1-58f5-806d-4e958b0bd0c7"
    assert aggregate_id_of("aircraft/N14229") != made


UUID_SOURCE = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.mark.parametrize("source", [UUID_SOURCE, UUID_SOURCE[:-1], f"/{UUID_SOURCE.upper()}", "x"])
def test_a_new_source_is_any_text_that_is_no_other_spelling_of_a_uuid(source: str) -> None:
    assert checked_new_source(source) == source


@pytest.mark.parametrize(
    "spelling",
    [UUID_SOURCE.upper(), UUID_SOURCE.replace("-", ""), f"{{{UUID_SOURCE}}}",
     f"urn:uuid:{UUID_SOURCE}"],
)  # fmt: skip
def test_another_spelling_of_a_uuid_is_refused_with_the_one_that_counts(spelling: str) -> None:
    assert checked_source(spelling) == spelling  # a log may have events of it, which can be read
    with pytest.raises(InvalidName, match=f"this UUID is written {UUID_SOURCE}"):
        checked_new_source(spelling)
