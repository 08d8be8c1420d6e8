"""Rows of a class: whether one that was taken apart is made again without trying it out."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from actors.columns import RowForm


@dataclass(frozen=True)
class Frozen:
    """What a dataclass makes."""

    site: str


@dataclass(slots=True)
class Slotted:
    """The same, otherwise."""

    site: str


@dataclass
class Checks:
    """Runs code of its own when it is made."""

    site: str

    def __post_init__(self) -> None:
        assert self.site


@dataclass
class Watches:
    """Likewise."""

    site: str

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


class Derived(Frozen):
    """May be made by anything."""


@dataclass
class HasJson:
    """What JSON gives back may be another thing."""

    seen: dict[str, int]


class Model(BaseModel):
    """Checks what it is made of."""

    site: str


@pytest.mark.parametrize(
    ("row", "plain"),
    [
        (Frozen, True), (Slotted, True), (Checks, False), (Watches, False), (Derived, False),
        (HasJson, False), (Model, False),
    ],
)  # fmt: skip
def test_a_row_whose_making_runs_no_code_of_its_own_is_told_from_others(
    row: Any, plain: bool
) -> None:
    assert RowForm(row).is_plain is plain
