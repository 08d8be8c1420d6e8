"""What PostgreSQL keeps of projections: a view for each, and below it a table with a number.

Names of columns come from a user's class, so they are quoted wherever they stand in SQL; values
are parameters.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import asyncpg

from actors.columns import Column, ColumnType, TableSchema
from store.appends import CheckpointMove
from store.dead_letters import LetterChange
from store.errors import NoProjection
from store.postgres.connections import Connections, reason_of, transaction
from store.postgres.letters import change_letters
from store.postgres.queries import QUERIES
from store.postgres.subscriptions import move_checkpoints
from store.projected import (
    REBUILD,
    Condition,
    Operator,
    ProjectedTable,
    RefusedRow,
    RowChange,
    check_columns,
)
from store.slots import SLOTS

#: A swap holds up writers while it waits for what is missing, so long at the most; and readers,
#: where one of them takes long itself.
_HOLD_S, _LOCK_MS = 2.0, 1_000
#: Between two looks meanwhile: the database does not say when a row has moved.
_LOOK_S = 0.02

#: What is said of a value itself: it will be said again, however often it is tried.
_NOT_HELD = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)

_SIGNS = {
    Operator.EQ: "=", Operator.NE: "<>", Operator.GT: ">",
    Operator.GE: ">=", Operator.LT: "<", Operator.LE: "<=",
}  # fmt: skip


class Projections:
    """The schemas `projections` and `projection_tables`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def open(self, schema: TableSchema, *, make: bool) -> ProjectedTable:
        """The table, made where there is none and it may be. Raises AnotherTable, NoProjection."""
        there = await self.find(schema.name)
        if there is None:
            if not make:
                raise NoProjection(schema.name)
            there = await self._made(schema)
        check_columns(there, schema)
        return there

    async def find(self, name: str) -> ProjectedTable | None:
        """That of a program."""
        rows = await self._connections.fetch(QUERIES["projection"], name)
        return _table(rows[0]) if rows else None

    async def all(self, within: Any = None) -> list[ProjectedTable]:
        """By name; `within` a connection whose transaction is under way."""
        rows = await (within or self._connections).fetch(QUERIES["projections"])
        return [_table(row) for row in rows]

    async def load(self, table: ProjectedTable, keys: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        """Those rows that there are."""
        columns = _names(table.columns)
        query = QUERIES["load_projected"].format(columns=columns, table=numbered_table(table))
        rows = await self._connections.fetch(query, list(keys))
        return {row[0]: tuple(row)[1:] for row in rows}

    async def project(
        self,
        table: ProjectedTable,
        checkpoints: Sequence[CheckpointMove],
        changes: Sequence[RowChange],
        letters: Sequence[LetterChange] = (),
    ) -> None:
        """Checkpoints, rows and letters, in one transaction. Raises StaleCheckpoint, RefusedRow."""
        gone = [key for key, values in changes if values is None]
        kept = sorted((key, *values) for key, values in changes if values is not None)
        async with self._connections.use() as connection:
            try:
                async with transaction(connection):
                    await move_checkpoints(connection, checkpoints)
                    if gone:
                        query = QUERIES["delete_projected"].format(table=numbered_table(table))
                        await connection.fetch(query, gone)
                    if kept:
                        await _put(connection, table, kept)
                    if letters:
                        await change_letters(connection, letters)
            except _NOT_HELD:
                await _check_each(connection, table, kept)
                raise

    async def select(
        self, table: ProjectedTable, conditions: Sequence[Condition], after: str, limit: int
    ) -> list[tuple[str, tuple[Any, ...]]]:
        """The rows of which all conditions are true, by key: so many behind one."""
        types = {"key": ColumnType.TEXT} | {one.name: one.type for one in table.columns}
        said, values = "", [after, limit]
        for condition in conditions:
            said += " AND " + _said(condition, types[condition.column], len(values) + 1)
            if condition.operator is not Operator.ISNULL:
                values.append(condition.value)
        query = QUERIES["select_projected"].format(
            columns=_names(table.columns), table=_view_name(table.projection), conditions=said
        )
        return [(row[0], tuple(row)[1:]) for row in await self._connections.fetch(query, *values)]

    async def swap(self, built: ProjectedTable) -> bool:
        """Have the table that was built take the place of the other, with its checkpoints, if it
        reaches as far; does it? Whoever works for either is told at his next checkpoint move.
        Raises NoProjection."""
        async with self._connections.use() as connection:
            try:
                async with transaction(connection):
                    return await self._swap(connection, built)
            except asyncpg.LockNotAvailableError:
                return False  # somebody reads for long: they are not made to wait behind this

    async def drop(self, connection: Any, program: str) -> bool:
        """Within a transaction: the table and the view of a program; was there any?"""
        await connection.fetch(QUERIES["lock_projections"])
        for each in (program, program + REBUILD):
            # In the order in which its workers take them: slots, and then the table.
            await connection.fetch(QUERIES["hold_slots"], each)
        dropped = False
        for each in (program, program + REBUILD):
            for row in await connection.fetch(QUERIES["forget_projection"], each):
                dropped = True
                if each == program and not program.endswith(REBUILD):
                    await connection.execute(f"DROP VIEW {_view_name(program)}")
                await connection.execute(f"DROP TABLE {_numbered(program, row['number'])}")
        return dropped

    async def _made(self, schema: TableSchema) -> ProjectedTable:
        async with self._connections.use() as connection, transaction(connection):
            await connection.fetch(QUERIES["lock_projections"])
            if there := await connection.fetch(QUERIES["projection"], schema.name):
                return _table(there[0])  # somebody else was quicker
            columns = json.dumps([[one.name, one.type, one.nullable] for one in schema.columns])
            [row] = await connection.fetch(QUERIES["make_projection"], schema.name, columns)
            table = ProjectedTable(schema.name, schema.columns, row["number"])
            await connection.execute(_create(table))
            for index in schema.indexes:
                name = numbered_table(table)
                await connection.execute(f"CREATE INDEX ON {name} ({_quoted(index)})")
            if table.in_service:
                await connection.execute(_view(table))
            return table

    async def _swap(self, connection: Any, new: ProjectedTable) -> bool:
        name, rebuild = new.projection, new.name
        await connection.fetch(QUERIES["lock_projections"])
        there, old = [
            await connection.fetch(QUERIES["projection"], each) for each in (rebuild, name)
        ]
        if [row["number"] for row in there] != [new.number]:
            raise NoProjection(rebuild)
        if not old:
            raise NoProjection(name)
        held = await connection.fetch(QUERIES["hold_slots"], name)
        wanted = {rebuild + row["name"].removeprefix(name): row["position"] for row in held}
        if not await self._reached(connection, rebuild, wanted):
            raise asyncpg.LockNotAvailableError
        await connection.fetch(QUERIES["hold_slots"], rebuild)
        await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_MS}")
        await connection.execute(_replaced(_table(old[0]), new))
        await connection.execute(f"DROP TABLE {numbered_table(_table(old[0]))}")
        await connection.fetch(QUERIES["forget_projection"], name)
        await connection.fetch(QUERIES["rename_projection"], rebuild, name)
        await connection.fetch(QUERIES["drop_slots"], name)
        await connection.fetch(QUERIES["rename_slots"], rebuild, name)
        await connection.fetch(QUERIES["drop_letters"], name, None, None)
        await connection.fetch(QUERIES["rename_letters"], rebuild, name)
        return True

    async def _reached(self, connection: Any, rebuild: str, wanted: dict[str, int]) -> bool:
        """Does the one that is built come to where the other one stands, which is held there?"""
        end_s = asyncio.get_running_loop().time() + _HOLD_S
        while asyncio.get_running_loop().time() < end_s:
            rows = await connection.fetch(QUERIES["see_slots"], rebuild)
            there = {row["name"]: row["position"] for row in rows}
            if len(there) == SLOTS and all(
                there.get(slot, -1) >= at for slot, at in wanted.items()
            ):
                return True
            await asyncio.sleep(_LOOK_S)
        return False


async def _put(connection: Any, table: ProjectedTable, rows: Sequence[tuple[Any, ...]]) -> None:
    await connection.fetch(_upsert(table), *map(list, zip(*rows, strict=True)))


async def _check_each(
    connection: Any, table: ProjectedTable, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Whose row is it that the database has refused? In halves, of which none stays. Raises
    RefusedRow."""
    while rows:
        half = rows[: (len(rows) + 1) // 2]
        await connection.execute("BEGIN")
        refused: Exception | None = None
        try:
            await _put(connection, table, half)
        except _NOT_HELD as error:
            refused = error
        finally:
            await connection.execute("ROLLBACK")
        if refused is None:
            rows = rows[len(half) :]
        elif len(half) == 1:
            raise RefusedRow(half[0][0], reason_of(refused)) from refused
        else:
            rows = half


def _table(row: Any) -> ProjectedTable:
    columns = json.loads(row["columns"])
    return ProjectedTable(
        row["program"],
        tuple(Column(name, ColumnType(kind), nullable) for name, kind, nullable in columns),
        row["number"],
    )


def sql_name(projection: str) -> str:
    """What a projection is called in SQL. No two have the same: names have neither `_` nor two
    signs that follow one another."""
    return projection.replace("-", "_").replace(".", "__")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _numbered(projection: str, number: int) -> str:
    name = sql_name(projection.removesuffix(REBUILD))
    return f"projection_tables.{_quoted(f'{name}${number}')}"


def numbered_table(table: ProjectedTable) -> str:
    """The table itself, quoted, as it stands in SQL."""
    return _numbered(table.projection, table.number)


def _view_name(projection: str) -> str:
    return f"projections.{_quoted(sql_name(projection))}"


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(("key", *(_quoted(column.name) for column in columns)))


def _create(table: ProjectedTable) -> str:
    columns = [
        f"{_quoted(column.name)} {column.type}"
        + (' COLLATE "C"' if column.type is ColumnType.TEXT else "")
        + ("" if column.nullable else " NOT NULL")
        for column in table.columns
    ]
    return (
        f'CREATE TABLE {numbered_table(table)} (key text COLLATE "C" PRIMARY KEY, '
        f"{', '.join(columns)}) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)"
    )


def _view(table: ProjectedTable) -> str:
    return (
        f"CREATE OR REPLACE VIEW {_view_name(table.projection)} AS "
        f"SELECT {_names(table.columns)} FROM {numbered_table(table)}"
    )


def _replaced(old: ProjectedTable, new: ProjectedTable) -> str:
    """The view stays what it is where it may: who has rights to it keeps them."""
    if new.columns[: len(old.columns)] == old.columns:
        return _view(new)
    return f"DROP VIEW {_view_name(new.projection)}; {_view(new)}"


def _upsert(table: ProjectedTable) -> str:
    arrays = ["$1::text[]"] + [
        f"${number}::{column.type}[]" for number, column in enumerate(table.columns, 2)
    ]
    assigned = [f"{_quoted(c.name)} = excluded.{_quoted(c.name)}" for c in table.columns]
    return QUERIES["upsert_projected"].format(
        table=numbered_table(table),
        columns=_names(table.columns),
        arrays=", ".join(arrays),
        assigned=", ".join(assigned),
    )


def _said(condition: Condition, kind: ColumnType, number: int) -> str:
    column = _quoted(condition.column)
    if condition.operator is Operator.ISNULL:
        return f"{column} IS {'' if condition.value else 'NOT '}NULL"
    if condition.operator is Operator.IN:
        return f"{column} = ANY (${number}::{kind}[])"
    return f"{column} {_SIGNS[condition.operator]} ${number}::{kind}"
