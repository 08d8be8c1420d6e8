"""Tables of projections, as the event store keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from actors.columns import Column, TableSchema, UnfitValue
from store.errors import AnotherTable

#: What stands behind a projection's name where its table is built anew beside the one in service.
REBUILD = ".rebuild"


@dataclass(frozen=True, slots=True)
class ProjectedTable:
    """A table that there is. Its number tells it from the one that takes its place."""

    name: str  #: of the program: with REBUILD behind it where the table is not in service yet
    columns: tuple[Column, ...]
    number: int

    @property
    def projection(self) -> str:
        """Whose table it is, or is to be."""
        return self.name.removesuffix(REBUILD)

    @property
    def in_service(self) -> bool:
        """Do readers see it?"""
        return not self.name.endswith(REBUILD)


class RowChange(NamedTuple):
    """A row of a projection from now on: what its columns hold, JSON as text; None: there is no row
    of that key."""

    key: str
    values: tuple[Any, ...] | None


class RefusedRow(UnfitValue):
    """The database cannot hold this row, which nobody could tell beforehand; nothing is stored."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(key, problem)
        self.key, self.problem = key, problem

    def __str__(self) -> str:
        return f"the database does not take the row of {self.key}: {self.problem}"


class Operator(StrEnum):
    """How a column is compared."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    IN = "in"
    ISNULL = "isnull"


class Condition(NamedTuple):
    """What a column of the rows that are looked for has to be. IN takes a list, ISNULL a bool."""

    column: str
    operator: Operator
    value: Any


def shown_columns(columns: Sequence[Column]) -> str:
    """What people read of them."""
    return ", ".join(map(str, columns))


def check_columns(there: ProjectedTable, wanted: TableSchema) -> None:
    """Raises AnotherTable."""
    if there.columns != wanted.columns:
        raise AnotherTable(
            there.projection, shown_columns(there.columns), shown_columns(wanted.columns)
        )
