"""What a worker keeps of a projection's keys: rows of its table, in the place of states."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from actors.columns import ColumnType, TableSchema, UnfitValue
from actors.event import Event
from actors.naming import aggregate_key_of
from runtime.host.resident import FAILURES
from runtime.wire.error_codec import text_of_error
from store.errors import InvalidData
from store.event_store import EventStore
from store.projected import ProjectedTable, RowChange
from store.rows.decoding import Decoder
from store.rows.json_text import decode_json, encode_json
from streams.actor_index import ActorIndex, IndexForm, Unread
from streams.program import Program


class Form(Protocol):
    """What the rows of a class are in a table."""

    is_plain: bool  #: need nobody try whether a row can be read back?

    def values(self, row: Any) -> tuple[Any, ...] | None:
        """What columns hold of a row; None: it is to be none. Raises UnfitValue."""


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
        #: It is an index, of which a row can be had from the log, too.
        self._index: ActorIndex | None = (
            cast("ActorIndex", program) if isinstance(program.form, IndexForm) else None
        )
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

    def check(self, key: str, row: Any) -> None:
        """Could it be committed as it is? Raises UnfitValue."""
        if row is not None and self._index is not None:
            self._index.form.check(row)
        else:
            self.change(key, row, None)

    async def mended(self, key: str, version: int) -> Any:
        """The state of a key of which events are missing here, of the log up to this version."""
        assert self._index is not None  # nobody else raises Unread
        return self._index.mended(key, await self._history(key, version), version)

    def passed_over(self, event: Event) -> list[RowChange]:
        """What becomes of rows when an event is passed over: an actor that is not known to be as
        its row says is not to be found, until its next event."""
        return [RowChange(event.source, None)] if self._index is not None else []

    def change(self, key: str, row: Any, due_us: int | None) -> tuple[RowChange, int]:
        """What is to be committed of a row, and about how many bytes that has. Raises UnfitValue,
        for what could not be read back, too."""
        values = None if row is None else self._program.form.values(row)
        if values is None:
            return RowChange(key, None), len(key)
        if not self._program.form.is_plain:
            self._check_read_back(key, values)
        if self._json:
            values = self._with_json_text(values)
        texts = sum(len(value) for value in values if type(value) is str)
        return RowChange(key, values), len(key) + texts + 8 * len(values)

    def _check_read_back(self, key: str, values: tuple[Any, ...]) -> None:
        """Whoever begins anew has to have it of the table."""
        try:
            self._program.row_of(key, values)
        except FAILURES as error:
            problem = f"its row could not be read back: {text_of_error(error)}"
            raise UnfitValue(problem) from error

    async def _folded(self, source: str, version: int) -> Any:
        """An actor that is indexed, out of its history."""
        assert self._index is not None  # nobody else has rows that are unread
        return self._index.folded(source, await self._history(source, version))

    async def _history(self, source: str, version: int) -> list[Event]:
        events: list[Event] = []
        rest: Mapping[bytes, int] = {aggregate_key_of(source): 0}
        while rest and len(events) < version:
            load = await self._store.load_rows(rest)
            events += self._decoder.events(load.rows)
            rest = load.rest
        return events[:version]

    def _with_json_text(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        written = list(values)
        for index in self._json:
            if (value := values[index]) is not None:
                written[index] = _json_text(self._table.columns[index].name, value)
        return tuple(written)


def _json_text(column: str, value: Any) -> str:
    try:
        return encode_json(column, value).decode()
    except InvalidData as error:  # else it would be taken for trouble of the store's
        raise UnfitValue(str(error)) from error


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
