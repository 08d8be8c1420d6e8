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
from actors.columns import Column, UnfitValue, checked_value
from actors.naming import checked_type_name, source_of
from runtime.driver.connection import Connection
from runtime.driver.ref import ActorRef
from runtime.driver.reply import Reply
from runtime.driver.selecting import checked_position
from runtime.errors import IndexBehind, InvalidQuery
from runtime.processing.running import end_program, ensure_program
from store.errors import AnotherTable
from store.event_store import EventStore
from store.projected import Condition, Operator, ProjectedTable
from store.selection import Selection
from streams.actor_index import ActorIndex
from streams.errors import InvalidProgram
from streams.projection import INDEX

S = TypeVar("S")

#: So many refs a page may have, and has.
MOST, USUAL = 10_000, 1_000
#: Between two looks at how far the index is: the database does not say when it has moved.
_FIRST_LOOK_S, _LATER_LOOK_S = 0.005, 0.1
#: So many positions are looked through for what an index may lack.
_GAP = 100_000
#: So long nobody asks again whether an index runs, once it did.
_SURE_S = 10.0
#: After so long it is asked again all the same.
_DOUBT_S = 1.0
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
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST:
        raise ValueError(f"limit= is a number from 1 to {MOST:,}, not {limit!r:.80}")
    if at_least is not None:
        checked_position(at_least)
    behind = source_of(name, after) if after else ""
    wanted = Wanted(name, where, conditions, at_least, behind, limit, timeout_s)

    async def ask() -> Found[Any]:
        return await _find(connection, index, wanted)

    return connection.errand(f"finding {name}", ask, timeout_s + _BEYOND_S)


def index(connection: Connection, actor: type[Actor[Any]], workers: int | None) -> Reply[None]:
    """ActorSystem.index."""
    wanted = _index_of(actor)
    ensure = partial(_ensured, connection, wanted, workers or 0)
    return connection.errand(f"indexing {actor.actor_type}", ensure, _BEYOND_S)


def conditions_of(
    actor_type: str, columns: tuple[Column, ...], where: Mapping[str, Any]
) -> list[Condition]:
    """What `field=value` and `field__operator=value` say. Raises InvalidQuery."""
    known = {column.name: column for column in columns if not column.name.startswith("_")}
    return [_condition(actor_type, known, said, value) for said, value in where.items()]


def _condition(actor_type: str, known: Mapping[str, Column], said: str, value: Any) -> Condition:
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
        return Condition(name, operator, _compared(column, operator, value))
    except UnfitValue as error:
        raise InvalidQuery(actor_type, f"{said}: {error}") from error


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


async def _find(connection: Connection, index: ActorIndex | None, wanted: Wanted) -> Found[Any]:
    log, name = connection.log, INDEX + wanted.actor_type
    at_least = wanted.at_least
    if at_least is None:
        at_least = await log.ask(lambda store: store.head())
    table = await log.ask(lambda store: _table(store, name))
    position = await log.ask(partial(_seen, wanted.actor_type, at_least))
    fits = table is not None and (index is None or table.columns == index.table.columns)
    if position < max(at_least, 0) or not fits:
        if index is None and table is None:
            raise _no_index(wanted.actor_type)
        position = await _waited(connection, index, wanted, at_least)
        table = await log.ask(lambda store: _table(store, name))
    if table is None:
        raise _no_index(wanted.actor_type)
    conditions = wanted.conditions
    if conditions is None:
        conditions = conditions_of(wanted.actor_type, table.columns, wanted.where)
    found, behind, limit = table, wanted.after, wanted.limit
    rows = await log.ask(lambda store: store.select_projected(found, conditions, behind, limit))
    actor = wanted.actor_type if index is None else index.actor
    names = [key.partition("/")[2] for key, _ in rows]
    refs = [_ref(connection, actor, name) for name in names]
    return Found(refs, position, names[-1] if len(names) == limit else None)


def _ref(connection: Connection, actor: type[Actor[Any]] | str, name: str) -> ActorRef[Any]:
    if isinstance(actor, str):
        return ActorRef(connection, None, source_of(actor, name))
    return ActorRef(connection, actor, source_of(actor.actor_type, name))


async def _table(store: EventStore, name: str) -> ProjectedTable | None:
    return next((table for table in await store.projections() if table.name == name), None)


def _no_index(actor_type: str) -> InvalidQuery:
    return InvalidQuery(
        actor_type,
        "it has no index: its class says indexes = ('field',), and a program that has the class "
        "begins it, system.index(Class)",
    )


async def _waited(
    connection: Connection, index: ActorIndex | None, wanted: Wanted, at_least: int
) -> int:
    """Wait until the index is as far; where it is. Raises IndexBehind."""
    name, clock = INDEX + wanted.actor_type, asyncio.get_running_loop().time
    ran_s = _ran_s.setdefault(connection, {})
    if index is not None and ran_s.get((name, index.actor), -_SURE_S) < clock() - _SURE_S:
        await _ensured(connection, index, 0)
    look = partial(_seen, wanted.actor_type, at_least)
    began_s, pause_s = clock(), _FIRST_LOOK_S
    while (position := await connection.log.ask(look)) < max(at_least, 0):
        waited_s = clock() - began_s
        if waited_s >= wanted.timeout_s:
            raise IndexBehind(wanted.actor_type, position, at_least, wanted.timeout_s)
        if (
            index is not None
            and waited_s >= _DOUBT_S
            and ran_s.get((name, index.actor), 0) < began_s
        ):
            await _ensured(connection, index, 0)  # it has been stopped since, perhaps
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LATER_LOOK_S)
    return position


async def _seen(actor_type: str, at_least: int, store: EventStore) -> int:
    """Up to which position the index has seen all that it wants: its place, or what is wanted if
    the log has nothing for it in between. Its worker is told of that only now and then."""
    position = await store.reached(INDEX + actor_type)
    if not 0 < at_least - position <= _GAP or position < 0 or await store.head() < at_least:
        return position
    selection = Selection(sources=(f"{actor_type}/*",))
    missing = await store.recount(selection, position, at_least)
    return position if missing.count else at_least


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
