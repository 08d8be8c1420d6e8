"""Snapshots say with which schemas they were made, the same in every process."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, make_dataclass
from random import random
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from actors.snapshot_mark import SnapshotMark
from actors.state_digest import schema_digest
from actors.state_form import StateForm


@dataclass
class Part:
    title: str = ""
    tags: frozenset[str] = frozenset({"a", "b", "c"})


@dataclass
class Whole:
    """A whole."""

    part: Part = field(default_factory=Part)
    parts: dict[str, Part] = field(default_factory=dict)
    count: int = 0


def digest(state: Any) -> str:
    form = StateForm(TypeAdapter(state), state)
    return schema_digest(form.adapter, state, form.text)


def of_fields(**fields: Any) -> str:
    made = [(name, kind, field(default=value)) for name, (kind, value) in fields.items()]
    return digest(make_dataclass("State", made))


def test_another_field_type_or_default_is_another_schema() -> None:
    some = of_fields(kwh=(float, 0.0))
    others = [
        of_fields(kwh=(float, 0.0), charges=(int, 0)),
        of_fields(kwh=(int, 0)),
        of_fields(kwh=(float, 1.0)),
        of_fields(kw=(float, 0.0)),
        of_fields(),
        of_fields(title=(float, 0.0)),
    ]
    assert len({some, *others}) == 7
    assert some == of_fields(kwh=(float, 0.0))


def begun_by(*factories: Callable[[], Any]) -> str:
    """The digest of a state whose fields begin with what these make."""
    return digest(
        make_dataclass(
            "State",
            [(f"f{n}", Any, field(default_factory=make)) for n, make in enumerate(factories)],
        )
    )


def test_what_a_factory_makes_counts_where_it_is_the_same_each_time() -> None:
    assert begun_by(lambda: ["a"]) != begun_by(lambda: ["b"])
    assert begun_by(lambda: ["a"]) == begun_by(lambda: ["a"])
    # In the order of each process, a set would have another digest in each.
    assert begun_by(lambda: {"a": 1, "b": 2}) == begun_by(lambda: {"b": 2, "a": 1})
    # As it was before factories counted: most of them make something empty.
    assert begun_by(list) == begun_by(dict) == begun_by(tuple)
    # What is another one each time says nothing, and snapshots are to be of use.
    assert begun_by(random) == begun_by(list)


def test_factories_of_models_count_too() -> None:
    class Empty(BaseModel):
        tags: list[str] = Field(default_factory=list)

    class Filled(BaseModel):
        tags: list[str] = Field(default_factory=lambda: ["new"])

    assert digest(Empty) != digest(Filled)


def test_a_change_within_a_part_shows() -> None:
    @dataclass
    class Piece:
        title: str = ""
        tags: frozenset[str] = frozenset({"a", "b", "d"})

    @dataclass
    class Other:
        part: Piece = field(default_factory=Piece)
        parts: dict[str, Piece] = field(default_factory=dict)
        count: int = 0

    assert digest(Other) != digest(Whole)


def test_names_and_descriptions_of_classes_do_not_count() -> None:
    @dataclass
    class Piece:
        """Described anew."""

        title: str = ""
        tags: frozenset[str] = frozenset({"a", "b", "c"})

    @dataclass
    class Renamed:
        part: Piece = field(default_factory=Piece)
        parts: dict[str, Piece] = field(default_factory=dict)
        count: int = 0

    assert digest(Renamed) == digest(Whole)


class Node(BaseModel):
    """A state whose schema refers to itself."""

    name: str = ""
    below: list["Node"] = []


def test_a_schema_that_refers_to_itself_has_a_digest() -> None:
    assert len(digest(Node)) == 16


def test_a_state_without_a_json_schema_is_known_by_its_format_alone() -> None:
    class Opaque:
        """Nothing that pydantic knows."""

    model = type(
        "State",
        (BaseModel,),
        {
            "__module__": __name__,
            "__annotations__": {"it": Opaque | None},
            "it": None,
            "model_config": {"arbitrary_types_allowed": True},
        },
    )
    assert digest(model) == "none"


def test_the_digest_is_the_same_in_every_process() -> None:
    """A set has another order in each."""
    code = "from tests.unit.test_snapshot_marks import Whole, digest; print(digest(Whole))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert said == {digest(Whole)}


def mark(digest: str = "ab", snapshot_format: int = 1, **reads: int) -> SnapshotMark:
    return SnapshotMark(snapshot_format, digest, reads)


def test_what_a_mark_says() -> None:
    assert mark(charged=3, lit=1, drawn=2).text == b"1;schema=ab;charged=3;drawn=2"


@pytest.mark.parametrize(
    ("made", "now", "fits"),
    [
        (mark(charged=2), mark(charged=2), True),
        (mark(charged=2), mark(charged=3), True),
        (mark(), mark(charged=3), True),
        (mark(charged=3), mark(charged=2), False),
        (mark(charged=2, drawn=3), mark(charged=2), False),
        (mark("ab"), mark("cd"), False),
        (mark("ab"), mark("abcd"), False),
        (mark("abcd"), mark("ab"), False),
        (mark(snapshot_format=1), mark(snapshot_format=2), False),
    ],
)
def test_a_class_takes_what_was_made_of_schemas_that_it_reads(
    made: SnapshotMark, now: SnapshotMark, fits: bool
) -> None:
    assert now.fits(made.text) is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (b"1", True),  # of a release that knew no schemas
        (b"2", False),
        (b"", False),
        (b"1;schema=ab;", True),
        (b"1;schema=ab;charged", False),
        (b"1;schema=ab;charged=two", False),
        (b"1;schema=ab charged=2", False),
    ],
)
def test_marks_of_others_are_read_with_suspicion(text: bytes, fits: bool) -> None:
    assert mark(charged=2).fits(text) is fits
