"""What a worker keeps of a projection's keys: rows of its table, in the place of states."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from actors.columns import ColumnType, TableSchema
from actors.event import Event
from actors.naming import aggregate_key_of
from store.event_store import EventStore
from store.projected import ProjectedTable, RowChange
from store.rows.decoding import Decoder
from store.rows.json_text import decode_json, encode_json
from streams.actor_index import ActorIndex, Unread
from streams.program import Program


class Form(Protocol):
    """What the rows of a class are in a table."""

    def values(self, row: Any) -> tuple[Any, ...]:
        """What columns hold of a row. Raises UnfitValue."""


class Tabled(Program, Protocol):
    """A program whose states are rows of a table of its own. What Projection is."""

    @property
    def table(self) -> TableSchema:
        """Its table, without the key."""

    @property
    def form(self) -> Form:
        """What its rows are in the table."""

    def row_of(self, key: str, values: tuple[Any, ...]) -> Any:
        """The row of what its columns hold. Raises Unread for one that is to be folded anew."""


def tabled(program: Program) -> Tabled | None:
    """The program, if its states are rows."""
    return program if hasattr(program, "table") else None  # type: ignore[return-value]


class ProjectedRows:
    """The rows of one table, for a KeyTable."""

    def __init__(self, program: Tabled, table: ProjectedTable, store: EventStore) -> None:
        self._program, self._table, self._store = program, table, store
        self._json = json_columns(table)
        self._decoder = Decoder()

    async def load(self, keys: Sequence[str]) -> dict[str, Any]:
        """Those that there are, as rows of their class."""
        found = await self._store.load_projected(self._table, keys)
        rows: dict[str, Any] = {}
        for key, values in found.items():
            try:
                rows[key] = self._program.row_of(key, plain_values(values, self._json))
            except Unread as unread:
                rows[key] = await self._folded(key, unread.version)
        return rows

    def change(self, key: str, row: Any, due_us: int | None) -> tuple[RowChange, int]:
        """What is to be committed of a row, and about how many bytes that has. Raises UnfitValue,
        and InvalidData for JSON that no database holds."""
        if row is None:
            return RowChange(key, None), len(key)
        values = self._program.form.values(row)
        if self._json:
            values = self._with_json_text(values)
        texts = sum(len(value) for value in values if type(value) is str)
        return RowChange(key, values), len(key) + texts + 8 * len(values)

    async def _folded(self, source: str, version: int) -> Any:
        """An actor that is indexed, out of its history."""
        index = cast("ActorIndex", self._program)  # nobody else has rows that are unread
        events: list[Event] = []
        rest: Mapping[bytes, int] = {aggregate_key_of(source): 0}
        while rest and len(events) < version:
            load = await self._store.load_rows(rest)
            events += self._decoder.events(load.rows)
            rest = load.rest
        return index.folded(source, events[:version])

    def _with_json_text(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        written = list(values)
        for index in self._json:
            if (value := values[index]) is not None:
                written[index] = encode_json(self._program.name, value).decode()
        return tuple(written)


def json_columns(table: ProjectedTable) -> list[int]:
    """Which columns of a table are JSON."""
    kinds = enumerate(column.type for column in table.columns)
    return [index for index, kind in kinds if kind is ColumnType.JSON]


def plain_values(values: tuple[Any, ...], json: Sequence[int]) -> tuple[Any, ...]:
    """What columns hold, with the values of JSON in the place of its text."""
    if not json:
        return values
    read = list(values)
    for index in json:
        if (text := values[index]) is not None:
            read[index] = decode_json(text.encode())
    return tuple(read)
