"""A projection: events into the rows of a table, one key at a time.

    @dataclass(frozen=True)
    class Carrier:
        flights: int
        worst_delay_min: float

    class Carriers(Projection[Carrier]):
        event_types = ("flight-departed",)

        def key(self, event: Event) -> str:
            return event.data["carrier"]

        def project(self, event: Event, row: Carrier | None) -> Carrier:
            ...

The table is `projections.carriers`: a column `key`, and one for each field of the row. It is pure,
as every program is; what runs it has row and checkpoint in one transaction.
"""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

from actors.columns import Column, ColumnType, RowForm, TableSchema, fits_sql
from actors.errors import InvalidName
from actors.event import Event, Kind
from actors.naming import checked_type_name, kebab_case
from actors.patterns import selection_problem
from streams.errors import InvalidProgram
from streams.program import Change, Stretch

Row = TypeVar("Row")

#: How many bytes a projection's name may have: PostgreSQL's names have 63, and its tables have a
#: number in theirs.
NAME_BYTES = 48

#: What the names of the indexes of actor types begin with.
INDEX = "index-of-"

#: What the name of the one ends with that is built beside the one in service.
REBUILD = ".rebuild"


class Projection(Generic[Row]):
    """Derive from `Projection[RowClass]`, say which events it wants, and define `project`.

    `event_types`, `sources` and `kinds` are as those of a subscription. The name, made of the
    class's name where none is given, is its identity and that of its table. `indexes` names columns
    that are to have an index. It is one object a process, made without arguments, and keeps
    nothing: what it has to remember of a key is in the row.
    """

    name: str = ""
    event_types: Sequence[str] = ()
    sources: Sequence[str] = ()
    kinds: Sequence[Kind] = ()
    indexes: Sequence[str] = ()
    row_class: ClassVar[Any] = None

    disorder_us: int = 0
    keeps_state: bool = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = kebab_case(cls.__name__)
        for several in ("event_types", "sources", "indexes"):
            if isinstance(said := getattr(cls, several), str):
                setattr(cls, several, (said,))
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) is Projection and not isinstance(get_args(base)[0], TypeVar):
                cls.row_class = get_args(base)[0]

    def key(self, event: Event) -> str | None:
        """Whose row an event is for; None: for none. By default that of its source."""
        return event.source

    def project(self, event: Event, row: Row | None) -> Row | None:
        """The row of its key after an event; `row` is the one before, or None. None: there is no
        row any more. It makes a new one, and leaves the one before as it is."""
        raise NotImplementedError

    @cached_property
    def table(self) -> TableSchema:
        """Its table, without the column `key`."""
        form = self.form
        return TableSchema(name=self.name, columns=form.columns, indexes=tuple(self.indexes))

    @cached_property
    def form(self) -> RowForm:
        """What its rows are in the table."""
        return RowForm(self.row_class, tuple(self.indexes))

    def __getstate__(self) -> dict[str, Any]:
        """What was made of its class is made anew where it goes."""
        return {name: kept for name, kept in vars(self).items() if name not in ("table", "form")}

    def row_of(self, key: str, values: tuple[Any, ...]) -> Any:
        """The row of what its columns hold."""
        return self.form.row(values)

    # ------------------------------------------------------------------ as a Program

    def route(self, event: Event) -> Iterable[tuple[str, Any]]:
        """See Program."""
        key = self.key(event)
        return () if key is None else ((key, None),)

    def step(self, key: str, item: Any, event: Event, state: Any, watermark_us: int) -> Change:
        """See Program: the state is the row."""
        return Change(self.project(event, state))

    def due(self, key: str, state: Any, watermark_us: int) -> Change:
        """See Program: it waits for nothing."""
        return Change(state)

    def again(
        self,
        key: str,
        stretch: Stretch,
        items: Sequence[tuple[Any, Event]],
        state: Any,
        watermark_us: int,
    ) -> Change:
        """See Program: it asks for nothing again."""
        return Change(state)


class Rebuilt:
    """A projection, or an index, that is built anew beside the one in service: the same under
    another name, and with another table."""

    def __init__(self, projection: Any) -> None:
        self.of = projection
        self.name = projection.name + REBUILD
        self.table = replace(projection.table, name=self.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.of, name)


def described_projection(projection: type[Projection[Any]] | Projection[Any]) -> Projection[Any]:
    """A projection that can be run, of a class or of an object of one. Raises InvalidProgram, which
    says what is wrong with the class."""
    cls = projection if isinstance(projection, type) else type(projection)
    for check in (_check_name, _check_selection, _check_row, _check_methods):
        problem = check(cls)
        if problem is not None:
            raise InvalidProgram(cls.name or cls.__name__, problem)
    if not isinstance(projection, type):
        return projection
    try:
        return projection()
    except TypeError as error:
        problem = f"it is made without arguments, and its __init__ does not allow that: {error}"
        raise InvalidProgram(cls.name, problem) from error


def _check_name(cls: type[Projection[Any]]) -> str | None:
    try:
        name = checked_type_name(cls.name)
    except (InvalidName, TypeError) as error:
        return f"its name cannot be one: {error}"
    if name.startswith(INDEX):
        return f"the names that begin with {INDEX} are those of the indexes of actor types"
    if name.endswith(REBUILD):
        return f"the names that end with {REBUILD} are those of projections that are built anew"
    if len(name) + name.count(".") > NAME_BYTES:
        return f"the name of a projection is that of a table: it has at most {NAME_BYTES} letters"
    return None


def _check_selection(cls: type[Projection[Any]]) -> str | None:
    if (problem := selection_problem(cls)) is not None:
        return problem
    if not cls.event_types and not cls.sources and not cls.kinds:
        return 'says of no event that it wants it: give it event_types, ("*",) for all, or sources'
    return None


def _check_row(cls: type[Projection[Any]]) -> str | None:
    if cls.row_class is None:
        return f"say the class of its rows: class {cls.__name__}(Projection[RowClass])"
    try:
        columns = RowForm(cls.row_class).columns
    except ValueError as error:
        return f"the class of its rows {error}"
    return _mistake_in_columns(cls, columns)


def _mistake_in_columns(cls: type[Projection[Any]], columns: Sequence[Column]) -> str | None:
    names = [column.name for column in columns]
    if not names:
        return f"{cls.row_class.__name__} has no fields: a row has one column, or more"
    if "key" in names:
        return "key is the column of the key, which every table has: call that field something else"
    if unfit := next((name for name in names if not fits_sql(name)), None):
        return (
            f"{unfit} cannot be the name of a column: ASCII letters, digits and _, at most 63, and "
            "none of those that every table of PostgreSQL has, as ctid"
        )
    if unknown := [name for name in cls.indexes if name not in names]:
        return f"indexes names {unknown[0]!r}, and its rows have {', '.join(names)}"
    for column in columns:
        if column.name in cls.indexes and column.type is ColumnType.JSON:
            return f"indexes names {column.name!r}, which is JSON: no index of the kind is of use"
    return None


def _check_methods(cls: type[Projection[Any]]) -> str | None:
    if cls.project is Projection.project:
        return "does nothing: define project(self, event, row), which returns the next row"
    for name, count in (("project", 2), ("key", 1)):
        method = getattr(cls, name)
        if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
            return f"{name} is async, or yields: it is a plain function that returns"
        try:
            inspect.signature(method).bind(*[None] * (count + 1))
        except TypeError:
            arguments = "event, row" if name == "project" else "event"
            return f"{name} takes {count} argument{'s'[: count - 1]}: def {name}(self, {arguments})"
    return None
