"""Tables of projections of a store in memory: nothing of them survives it."""

from collections.abc import Callable, Collection, Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from actors.columns import TableSchema
from store.errors import NoProjection, StoreUnavailable
from store.projected import (
    REBUILD,
    Condition,
    Operator,
    ProjectedTable,
    RowChange,
    check_columns,
)

_COMPARED: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQ: eq, Operator.NE: ne, Operator.GT: gt,
    Operator.GE: ge, Operator.LT: lt, Operator.LE: le,
}  # fmt: skip


class ProjectionsInMemory:
    """By the name of their program."""

    def __init__(self) -> None:
        self._tables: dict[str, ProjectedTable] = {}
        self._rows: dict[int, dict[str, tuple[Any, ...]]] = {}  # by the table's number
        self._last = 0

    def open(self, schema: TableSchema, *, make: bool) -> ProjectedTable:
        """The table, made where there is none and it may be. Raises AnotherTable, NoProjection."""
        there = self._tables.get(schema.name)
        if there is None:
            if not make:
                raise NoProjection(schema.name)
            self._last += 1
            there = ProjectedTable(schema.name, schema.columns, self._last)
            self._tables[schema.name], self._rows[self._last] = there, {}
        check_columns(there, schema)
        return there

    def find(self, name: str) -> ProjectedTable | None:
        """That of a program."""
        return self._tables.get(name)

    def all(self) -> list[ProjectedTable]:
        """By name."""
        return [self._tables[name] for name in sorted(self._tables)]

    def load(self, table: ProjectedTable, keys: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """Those rows that there are. Raises StoreUnavailable where it has gone."""
        rows = self._of(table)
        return {key: rows[key] for key in keys if key in rows}

    def check(self, table: ProjectedTable) -> None:
        """Raises StoreUnavailable where it has gone."""
        self._of(table)

    def change(self, table: ProjectedTable, changes: Sequence[RowChange]) -> None:
        """Rows of one that was checked."""
        rows = self._of(table)
        for key, values in changes:
            if values is None:
                rows.pop(key, None)
            else:
                rows[key] = values

    def check_built(self, built: ProjectedTable) -> None:
        """Raises NoProjection where it is not there to take its place, or no such place is."""
        there = self._tables.get(built.name)
        if there is None or there.number != built.number:
            raise NoProjection(built.name)
        if built.projection not in self._tables:
            raise NoProjection(built.projection)

    def swap(self, name: str) -> None:
        """The one that was built takes the place of the other."""
        built = self._tables.pop(name + REBUILD)
        self.drop(name)
        self._tables[name] = ProjectedTable(name, built.columns, built.number)

    def drop(self, name: str) -> bool:
        """That of a program, with its rows; was there one?"""
        there = self._tables.pop(name, None)
        if there is not None:
            del self._rows[there.number]
        return there is not None

    def select(
        self, table: ProjectedTable, conditions: Sequence[Condition], after: str, limit: int
    ) -> list[tuple[str, tuple[Any, ...]]]:
        """The rows of which all conditions are true, by key: so many behind one."""
        names = ("key", *(column.name for column in table.columns))
        at = {name: index for index, name in enumerate(names)}
        found = [
            (key, values)
            for key, values in self._of(table).items()
            if key.encode() > after.encode()
            and all(_is_true(each, (key, *values)[at[each.column]]) for each in conditions)
        ]
        return sorted(found, key=lambda row: row[0].encode())[:limit]

    def count(self, keys: Collection[str]) -> int:
        """How many rows are of these keys, in whichever table."""
        return sum(key in keys for rows in self._rows.values() for key in rows)

    def erase(self, keys: Collection[str]) -> int:
        """Forget the rows of these keys in all tables; how many there were."""
        before = self.count(keys)
        for rows in self._rows.values():
            for key in keys:
                rows.pop(key, None)
        return before

    def rows(self, name: str) -> dict[str, tuple[Any, ...]]:
        """All rows of a program's table."""
        there = self._tables.get(name)
        return {} if there is None else dict(self._rows[there.number])

    def _of(self, table: ProjectedTable) -> dict[str, tuple[Any, ...]]:
        try:
            return self._rows[table.number]
        except KeyError as error:
            raise StoreUnavailable("memory", f"the table of {table.name!r} has gone") from error


def _is_true(condition: Condition, value: Any) -> bool:
    if condition.operator is Operator.ISNULL:
        return (value is None) is condition.value
    if value is None:
        return False  # as in SQL: nothing is known of it
    if condition.operator is Operator.IN:
        return value in condition.value
    return _COMPARED[condition.operator](value, condition.value)
