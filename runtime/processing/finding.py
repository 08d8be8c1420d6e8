"""Asking a fleet by its state: which actors of a type have such fields now.

An index that has not been begun is begun by whoever asks first, and one that ended with its system
goes on: nobody is told that there is nothing, because nobody has started what would know.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from actors.actor import Actor, described
from actors.columns import Column, ColumnType, UnfitValue, checked_value, value_of_text
from actors.naming import checked_type_name, source_of
from runtime.driver.connection import Connection
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.driver.selecting import checked_position
from runtime.errors import IndexBehind, InvalidQuery
from runtime.processing.rebuilding import running
from runtime.processing.running import end_program, ensure_program
from store.errors import AnotherTable, StoreUnavailable
from store.event_store import EventStore
from store.projected import Condition, Operator, ProjectedTable, shown_columns
from store.selection import Selection, after_all_of
from streams.actor_index import ActorIndex
from streams.errors import InvalidProgram
from streams.projection import INDEX

S = TypeVar("S")

#: So many refs a page may have, and has.
MOST, USUAL = 10_000, 1_000
#: Between two looks at how far the index is: the database does not say when it has moved.
_FIRST_LOOK_S, _LATER_LOOK_S = 0.005, 0.1
#: So many positions are looked through for what an index may lack.
_GAP = 20_000
#: So long nobody asks again whether an index runs, once it did.
_SURE_S = 10.0
#: After so long it is asked again all the same.
_DOUBT_S = 1.0
#: So often the table may be another one while it is asked.
_CHANGES = 5
#: What is beyond the time that is waited for the index: starting its workers, and asking.
_BEYOND_S = 150.0

#: When the index of a class was last known to run, by connection, and by name and class.
_ran_s: WeakKeyDictionary[Connection, dict[tuple[str, Any], float]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Found(Generic[S]):
    """Actors that were found: a page of them, in the order of their names."""

    refs: list[ActorRef[S]]
    #: All that was committed up to this position was seen.
    position: int
    #: The name to say as `after` for the next page; None: there is none.
    next: str | None

    def __iter__(self) -> Iterator[ActorRef[S]]:
        return iter(self.refs)

    def __len__(self) -> int:
        return len(self.refs)


class Wanted(NamedTuple):
    """What was asked for."""

    actor_type: str
    where: Mapping[str, Any]
    conditions: list[Condition] | None  #: what that says, where its class is known
    at_least: int | None
    after: str
    limit: int
    timeout_s: float
    prefix: str = ""  #: how the sources begin that may be found
    as_text: bool = False  #: values are texts, as they stand in a URL


class FoundRows(NamedTuple):
    """A page of what was found, as it stands in the index."""

    rows: list[tuple[str, dict[str, Any]]]  #: names, each with the fields that are indexed
    position: int
    next: str | None


def find(
    connection: Connection,
    actor: type[Actor[Any]] | str,
    where: Mapping[str, Any],
    *,
    at_least: int | None,
    after: str,
    limit: Any,
    timeout_s: float,
) -> Reply[Found[Any]]:
    """ActorSystem.find."""
    index: ActorIndex | None = None
    conditions = None
    if isinstance(actor, str):
        name = checked_type_name(actor)
    else:
        index, name = _index_of(actor), actor.actor_type
        conditions = conditions_of(name, index.table.columns, where)
        _check_choices(name, index, conditions)
    wanted = Wanted(
        name, where, conditions, at_least, _behind(name, after), _checked(limit), timeout_s
    )
    if at_least is not None:
        checked_position(at_least)

    async def ask() -> Found[Any]:
        found = await _find(connection, index, wanted)
        refs = [_ref(connection, actor, name) for name, _ in found.rows]
        return Found(refs, found.position, found.next)

    return connection.errand(f"finding {name}", ask, timeout_s + _BEYOND_S)


def find_rows(
    connection: Connection,
    actor_type: str,
    where: Mapping[str, list[str]],
    *,
    prefix: str,
    at_least: int | None,
    after: str,
    limit: int,
    timeout_s: float,
) -> Reply[FoundRows]:
    """The same for whoever has no class, and has texts: of the sources that begin with a prefix.
    The reply raises InvalidQuery, too."""
    wanted = Wanted(
        actor_type, where, None, at_least, _behind(actor_type, after), _checked(limit), timeout_s,
        prefix, as_text=True,
    )  # fmt: skip
    ask = partial(_find, connection, None, wanted)
    return connection.errand(f"finding {actor_type}", ask, timeout_s + _BEYOND_S)


def _checked(limit: Any) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise ValueError(f"limit= is a number from 1 to {MOST:,}, not {limit!r:.80}")
    return limit


def _behind(actor_type: str, after: str) -> str:
    return source_of(actor_type, after) if after else ""


def index(connection: Connection, actor: type[Actor[Any]], workers: int | None) -> Reply[None]:
    """ActorSystem.index."""
    wanted = _index_of(actor)
    ensure = partial(_ensured, connection, wanted, workers or 0)
    return connection.errand(f"indexing {actor.actor_type}", ensure, _BEYOND_S)


def conditions_of(
    actor_type: str, columns: tuple[Column, ...], where: Mapping[str, Any], *, as_text: bool = False
) -> list[Condition]:
    """What `field=value` and `field__operator=value` say. Raises InvalidQuery."""
    known = {column.name: column for column in columns if not column.name.startswith("_")}
    return [_condition(actor_type, known, said, value, as_text) for said, value in where.items()]


def _condition(
    actor_type: str, known: Mapping[str, Column], said: str, value: Any, as_text: bool
) -> Condition:
    name, _, suffix = (said, "", "") if said in known else said.rpartition("__")
    if (column := known.get(name)) is None:
        asked = f"{said!r} is no indexed field; indexed are {', '.join(known)}"
        raise InvalidQuery(actor_type, asked)
    try:
        operator = Operator(suffix or "eq")
    except ValueError as error:
        operators = ", ".join(Operator)
        raise InvalidQuery(
            actor_type, f"{said}: what may stand behind __ is {operators}"
        ) from error
    try:
        if as_text:
            value = _of_texts(column, operator, value)
        return Condition(name, operator, _compared(column, operator, value))
    except UnfitValue as error:
        raise InvalidQuery(actor_type, f"{said}: {error}") from error


def _check_choices(actor_type: str, index: ActorIndex, conditions: list[Condition]) -> None:
    """Nobody is found by a value that no state can have, and nothing would say why. Raises
    InvalidQuery."""
    for condition in conditions:
        choices = index.form.choices.get(condition.column)
        if choices is None or condition.operator not in (Operator.EQ, Operator.NE, Operator.IN):
            continue
        several = condition.operator is Operator.IN
        for value in condition.value if several else (condition.value,):
            if value not in choices:
                shown = ", ".join(map(repr, choices))
                problem = f"{condition.column} is one of {shown}, and never {value!r:.80}"
                raise InvalidQuery(actor_type, problem)


def _of_texts(column: Column, operator: Operator, texts: list[str]) -> Any:
    if operator is Operator.IN:
        return [value_of_text(column, text) for text in texts]
    if len(texts) > 1:
        raise UnfitValue("it is given twice")
    if operator is Operator.ISNULL:
        return value_of_text(Column(column.name, ColumnType.BOOL), texts[0])
    return value_of_text(column, texts[0])


def _compared(column: Column, operator: Operator, value: Any) -> Any:
    if operator is Operator.ISNULL:
        if type(value) is bool:
            return value
        raise UnfitValue(f"isnull is True or False, not {value!r:.80}")
    if operator is Operator.IN:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise UnfitValue(f"in takes several values, not {value!r:.80}")
        return [checked_value(column, each) for each in value]
    if value is None:
        raise UnfitValue(f"it is compared with None: {column.name}__isnull=True")
    return checked_value(column, value)


def _index_of(actor: type[Actor[Any]]) -> ActorIndex:
    kind = described(actor)
    try:
        return ActorIndex(actor)
    except InvalidProgram as error:
        raise InvalidQuery(kind.name, error.problem) from error


async def _find(connection: Connection, index: ActorIndex | None, wanted: Wanted) -> FoundRows:
    at_least = wanted.at_least
    if at_least is None:
        at_least = await connection.log.ask(lambda store: store.head())
    for _ in range(_CHANGES):
        table, position = await _ready(connection, index, wanted, at_least)
        found = await _page(connection, wanted, table, position)
        if found is not None:
            return found
    raise IndexBehind(wanted.actor_type, 0, at_least, wanted.timeout_s)


async def _ready(
    connection: Connection, index: ActorIndex | None, wanted: Wanted, at_least: int
) -> tuple[ProjectedTable, int]:
    """The table, and then how far that is, if it has not made way for another one meanwhile. Raises
    InvalidQuery and IndexBehind."""
    log = connection.log
    for _ in range(_CHANGES):
        table = await log.ask(partial(_table, wanted.actor_type))
        if table is None and index is None:
            raise _no_index(wanted.actor_type)
        if table is not None and index is not None and table.columns != index.table.columns:
            raise _another_index(wanted.actor_type, table, index)
        position = await log.ask(partial(_seen, wanted.actor_type, at_least))
        if table is not None and position >= max(at_least, 0):
            return table, position
        await _waited(connection, index, wanted, at_least)
    raise IndexBehind(wanted.actor_type, 0, at_least, wanted.timeout_s)


async def _page(
    connection: Connection, wanted: Wanted, table: ProjectedTable, position: int
) -> FoundRows | None:
    """What there is in a table that was so far; None: that has made way for another one."""
    log, conditions = connection.log, wanted.conditions
    if conditions is None:
        conditions = conditions_of(
            wanted.actor_type, table.columns, wanted.where, as_text=wanted.as_text
        )
    limit, wanted_all = wanted.limit, [*_within(wanted.prefix), *conditions]

    async def select(store: EventStore) -> list[tuple[str, tuple[Any, ...]]] | None:
        refused: StoreUnavailable | None = None
        rows: list[tuple[str, tuple[Any, ...]]] = []
        try:
            rows = await store.select_projected(table, wanted_all, wanted.after, limit)
        except StoreUnavailable as error:  # of a table that has gone, it says so, too
            refused = error
        there = await _table(wanted.actor_type, store)
        if there is None or there.number != table.number:
            return None
        if refused is not None:
            raise refused
        return rows

    rows = await log.ask(select)
    if rows is None:
        return None
    shown = [at for at, column in enumerate(table.columns) if not column.name.startswith("_")]
    named = [
        (key.partition("/")[2], {table.columns[at].name: values[at] for at in shown})
        for key, values in rows
    ]
    return FoundRows(named, position, named[-1][0] if len(named) == limit else None)


def _within(prefix: str) -> list[Condition]:
    """That a source begins so."""
    if not prefix:
        return []
    return [
        Condition("key", Operator.GE, prefix),
        Condition("key", Operator.LT, after_all_of(prefix)),
    ]


def _ref(connection: Connection, actor: type[Actor[Any]] | str, name: str) -> ActorRef[Any]:
    if isinstance(actor, str):
        return ActorRef(connection, None, source_of(actor, name))
    return ActorRef(connection, actor, source_of(actor.actor_type, name))


async def _table(actor_type: str, store: EventStore) -> ProjectedTable | None:
    name = INDEX + actor_type
    return next((table for table in await store.projections() if table.name == name), None)


def _no_index(actor_type: str) -> InvalidQuery:
    return InvalidQuery(
        actor_type,
        "it has no index: its class says indexes = ('field',), and a program that has the class "
        "begins it, system.index(Class)",
    )


def _another_index(actor_type: str, there: ProjectedTable, index: ActorIndex) -> InvalidQuery:
    return InvalidQuery(
        actor_type,
        f"its index is of another class, and has {shown_columns(there.columns)}; this one wants "
        f"{shown_columns(index.table.columns)}: system.index({index.actor.__name__}) drops it, and "
        "begins another one",
    )


async def _waited(
    connection: Connection, index: ActorIndex | None, wanted: Wanted, at_least: int
) -> None:
    """Wait until the index is as far. Raises IndexBehind."""
    name, clock = INDEX + wanted.actor_type, asyncio.get_running_loop().time
    ran_s = _ran_s.setdefault(connection, {})
    if index is not None and ran_s.get((name, index.actor), -_SURE_S) < clock() - _SURE_S:
        await _ensured_for_reader(connection, index)
    look = partial(_seen, wanted.actor_type, at_least)
    began_s, pause_s = clock(), _FIRST_LOOK_S
    while (position := await connection.log.ask(look)) < max(at_least, 0):
        waited_s = clock() - began_s
        if waited_s >= wanted.timeout_s:
            raise IndexBehind(wanted.actor_type, max(position, 0), at_least, wanted.timeout_s)
        if (
            index is not None
            and waited_s >= _DOUBT_S
            and ran_s.get((name, index.actor), 0) < began_s
        ):
            await _ensured_for_reader(connection, index)  # it has been stopped since, perhaps
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LATER_LOOK_S)


async def _seen(actor_type: str, at_least: int, store: EventStore) -> int:
    """Up to which position the index has seen all that it wants: its place, or what is wanted if
    the log has nothing for it in between. Its worker is told of that only now and then."""
    position = await store.reached(INDEX + actor_type)
    if not 0 < at_least - position <= _GAP or position < 0 or await store.head() < at_least:
        return position
    selection = Selection(sources=(f"{actor_type}/*",))
    missing = await store.recount(selection, position, at_least)
    return position if missing.count else at_least


async def _ensured_for_reader(connection: Connection, index: ActorIndex) -> None:
    """Have the index run; but not by this class in the place of another one. Who only asks may be a
    program of last week's. Raises InvalidQuery where it is another table."""
    if await running(connection, index.name) is None:
        try:
            # Somebody may have it run meanwhile: that one stays, too.
            await ensure_program(connection, index, 0, keep=True)
        except AnotherTable as error:  # somebody was quicker
            table = await connection.log.ask(partial(_table, index.actor.actor_type))
            if table is None:
                raise
            raise _another_index(index.actor.actor_type, table, index) from error
    known = _ran_s.setdefault(connection, {})
    known[index.name, index.actor] = asyncio.get_running_loop().time()


async def _ensured(connection: Connection, index: ActorIndex, workers: int) -> None:
    """Have the index run, in so many workers; 0: in as many as it has."""
    try:
        await ensure_program(connection, index, workers)
    except AnotherTable:  # its class names other fields than it did: what there is is of no use
        await end_program(connection, index.name)
        await connection.log.ask(lambda store: store.drop_program(index.name))
        await ensure_program(connection, index, workers)
    known = _ran_s.setdefault(connection, {})
    known[index.name, index.actor] = asyncio.get_running_loop().time()
