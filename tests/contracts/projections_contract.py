"""What a store promises of projections: rows and checkpoints move together, and tables are
swapped whole."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from secrets import randbelow
from typing import Any
from uuid import UUID

import pytest

from actors.columns import Column, ColumnType, TableSchema
from store.appends import CheckpointMove
from store.errors import AnotherTable, NoProjection, StaleCheckpoint, StoreUnavailable
from store.event_store import EventStore
from store.projected import (
    Condition,
    Operator,
    ProjectedTable,
    RowChange,
)
from store.receipts import Receipt
from store.selection import EVERYTHING
from store.slots import SLOTS

TYPES = TableSchema(
    name="all-types",
    columns=(
        Column("flag", ColumnType.BOOL, nullable=True),
        Column("number", ColumnType.INT, nullable=True),
        Column("ratio", ColumnType.FLOAT, nullable=True),
        Column('odd "name', ColumnType.TEXT, nullable=True),
        Column("moment", ColumnType.MOMENT, nullable=True),
        Column("day", ColumnType.DAY, nullable=True),
        Column("id", ColumnType.UUID, nullable=True),
        Column("money", ColumnType.DECIMAL, nullable=True),
        Column("parts", ColumnType.JSON, nullable=True),
    ),
    indexes=("number", 'odd "name'),
)
ROW = (
    True, -(2**63), 0.1, "ü{}%'", datetime(2026, 6, 1, 12, 0, 0, 1, tzinfo=UTC), date(1900, 1, 1),
    UUID(int=2**128 - 1), Decimal("1.10"), '{"a": [1, null]}',
)  # fmt: skip
COUNTS = TableSchema(name="counts", columns=(Column("n", ColumnType.INT),))


class Slots:
    """The slots of one projection, opened by somebody who works for it."""

    def __init__(self, store: EventStore, table: ProjectedTable) -> None:
        self.store, self.table = store, table
        self.epochs: dict[int, int] = {}

    async def open(self) -> "Slots":
        for slot in range(SLOTS):
            self.epochs[slot] = randbelow(2**62)
            name = f"{self.table.name}/{slot}"
            await self.store.open_subscription(name, EVERYTHING, 0, self.epochs[slot])
        return self

    async def project(self, position: int, *changes: RowChange) -> None:
        moves = [
            CheckpointMove(
                name=f"{self.table.name}/{slot}",
                epoch=epoch,
                position=position,
                receipt=Receipt(position, bytes(16)),
            )
            for slot, epoch in self.epochs.items()
        ]
        await self.store.project(self.table, moves, changes)

    async def positions(self) -> set[int]:
        found = {record.name: record for record in await self.store.subscriptions()}
        return {found[f"{self.table.name}/{slot}"].position for slot in range(SLOTS)}


async def opened(store: EventStore, schema: TableSchema) -> Slots:
    return await Slots(store, await store.open_projection(schema)).open()


async def rows_of(
    store: EventStore,
    table: ProjectedTable,
    *conditions: Condition,
    after: str = "",
    limit: int = 9,
) -> dict[str, tuple[Any, ...]]:
    return dict(await store.select_projected(table, conditions, after, limit))


class ProjectionsContract:
    """Rows, checkpoints and swaps."""

    async def test_rows_are_changed_with_the_checkpoints_or_not_at_all(
        self, store: EventStore
    ) -> None:
        slots = await opened(store, COUNTS)
        await slots.project(5, RowChange("b", (1,)), RowChange("a", (2,)), RowChange("é", (3,)))
        before = {"a": (2,), "b": (1,), "é": (3,)}
        assert list((await rows_of(store, slots.table)).items()) == list(before.items())
        assert await slots.positions() == {5}
        assert await store.reached("counts") == 5
        other = await opened(store, COUNTS)
        with pytest.raises(StaleCheckpoint):
            await slots.project(9, RowChange("a", (4,)), RowChange("b", None))
        assert await rows_of(store, slots.table) == before
        await other.project(9, RowChange("a", (4,)), RowChange("b", None), RowChange("x", None))
        assert await rows_of(store, slots.table) == {"a": (4,), "é": (3,)}
        found = await store.load_projected(other.table, ["a", "b", "é"])
        assert found == {"a": (4,), "é": (3,)}
        assert await other.positions() == {9}

    async def test_every_type_comes_back_as_it_was_and_so_does_nothing(
        self, store: EventStore
    ) -> None:
        slots = await opened(store, TYPES)
        nothing = (None,) * len(ROW)
        await slots.project(1, RowChange("full", ROW), RowChange("empty", nothing))
        found = await store.load_projected(slots.table, ["full", "empty"])
        assert found == {"full": ROW, "empty": nothing}

    @pytest.mark.parametrize(
        ("condition", "keys"),
        [
            (Condition("n", Operator.EQ, 2), "c"),
            (Condition("n", Operator.NE, 2), "abd"),
            (Condition("n", Operator.GT, 2), "d"),
            (Condition("n", Operator.GE, 2), "cd"),
            (Condition("n", Operator.LT, 1), "a"),
            (Condition("n", Operator.LE, 1), "ab"),
            (Condition("n", Operator.IN, [0, 3, 7]), "ad"),
            (Condition("n", Operator.ISNULL, True), "e"),
            (Condition("n", Operator.ISNULL, False), "abcd"),
            (Condition("t", Operator.GT, "B"), "bd"),
            (Condition("key", Operator.LT, "c"), "ab"),
        ],
        ids=["eq", "ne", "gt", "ge", "lt", "le", "in", "null", "not-null", "text", "key"],
    )
    async def test_rows_are_found_by_their_columns(
        self, store: EventStore, condition: Condition, keys: str
    ) -> None:
        schema = TableSchema(
            name="asked",
            columns=(
                Column("n", ColumnType.INT, nullable=True),
                Column("t", ColumnType.TEXT),
            ),
        )
        slots = await opened(store, schema)
        rows = {"a": (0, "A"), "b": (1, "é"), "c": (2, "B"), "d": (3, "a"), "e": (None, "")}
        await slots.project(1, *(RowChange(key, values) for key, values in rows.items()))
        assert "".join(await rows_of(store, slots.table, condition)) == keys

    async def test_rows_come_by_key_in_pages(self, store: EventStore) -> None:
        slots = await opened(store, COUNTS)
        keys = ["b", "Z", "é", "a", "\U0001f6e9", "z", "A"]
        await slots.project(1, *(RowChange(key, (1,)) for key in keys))
        found: list[str] = []
        while some := await rows_of(store, slots.table, after=found[-1] if found else "", limit=2):
            assert len(some) <= 2
            found += some
        assert found == sorted(keys, key=lambda key: key.encode())

    async def test_another_table_is_refused_and_none_is_made_unasked(
        self, store: EventStore
    ) -> None:
        assert await store.reached("counts") == -1
        with pytest.raises(NoProjection, match="there is no projection 'counts'"):
            await store.open_projection(COUNTS, make=False)
        there = await store.open_projection(COUNTS)
        assert await store.open_projection(COUNTS) == there
        assert await store.projections() == [there]
        other = replace(COUNTS, columns=(Column("n", ColumnType.FLOAT),))
        with pytest.raises(AnotherTable, match=r"has the columns n bigint NOT NULL, and its rows"):
            await store.open_projection(other)

    async def test_one_that_is_built_anew_takes_the_place_of_the_other_when_it_is_as_far(
        self, store: EventStore
    ) -> None:
        old = await opened(store, COUNTS)
        await old.project(7, RowChange("a", (1,)), RowChange("gone", (2,)))
        wider = TableSchema(
            name="counts.rebuild",
            columns=(Column("wide", ColumnType.TEXT), Column("n", ColumnType.INT)),
        )
        new = await opened(store, wider)
        await new.project(6, RowChange("a", ("x", 3)))
        assert not await store.swap_projection(new.table)
        assert await rows_of(store, old.table) == {"a": (1,), "gone": (2,)}
        await new.project(8)
        with pytest.raises(NoProjection, match=r"counts\.rebuild"):
            await store.swap_projection(replace(new.table, number=new.table.number + 1))
        assert await store.swap_projection(new.table)
        [there] = await store.projections()
        assert (there.name, there.columns) == ("counts", wider.columns)
        assert await rows_of(store, there) == {"a": ("x", 3)}
        records = await store.subscriptions()
        assert {record.name for record in records} == {f"counts/{n}" for n in range(SLOTS)}
        assert {(record.position, record.receipt.count) for record in records} == {(8, 8)}
        for replaced in (old, new):
            with pytest.raises(StaleCheckpoint):
                await replaced.project(9, RowChange("a", (9,)))
        with pytest.raises(NoProjection, match=r"counts\.rebuild"):
            await store.swap_projection(new.table)
        again = await opened(store, replace(wider, name="counts"))
        await again.project(9, RowChange("b", ("y", 1)))
        assert await rows_of(store, there) == {"a": ("x", 3), "b": ("y", 1)}

    async def test_what_is_dropped_is_gone_with_its_table(self, store: EventStore) -> None:
        slots = await opened(store, COUNTS)
        await opened(store, replace(COUNTS, name="counts.rebuild"))
        assert await store.drop_program("counts.rebuild")
        assert await store.projections() == [slots.table]
        await slots.project(1, RowChange("a", (1,)))
        await store.open_projection(replace(COUNTS, name="counts.rebuild"))
        assert await store.drop_program("counts")
        assert await store.projections() == []
        assert await store.subscriptions() == []
        with pytest.raises(StaleCheckpoint):
            await slots.project(2, RowChange("a", (2,)))
        with pytest.raises(StoreUnavailable):
            await store.load_projected(slots.table, ["a"])
        assert not await store.drop_program("counts")
