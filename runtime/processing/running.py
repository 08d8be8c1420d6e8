"""A driver's side of stream programs: sent to the directory, which has workers run them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from actors.actor import Actor, described
from actors.errors import InvalidName, ThornbackError
from actors.naming import check_not_ours, checked_type_name
from runtime.driver.connection import Connection
from runtime.driver.hosts import Hosts
from runtime.driver.reply import Reply
from runtime.driver.selecting import selection_of
from runtime.driver.starting import Start, checked_start, position_of
from runtime.errors import UnknownProgram
from runtime.processing.handler_limit import check_room
from runtime.processing.hearing import selection_of_listeners
from runtime.processing.making_slots import Made, forget_slots, make_checkpoints, make_slots
from runtime.processing.partitioned_programs import check_where
from runtime.processing.program_code import pickled_program
from runtime.processing.program_selection import selection_of_program
from runtime.processing.projected_rows import tabled
from runtime.wire.class_shipping import pickled_class
from store.errors import AnotherSelection, NoProjection, StoreUnavailable
from store.event_store import EventStore
from store.slots import SLOTS
from streams.errors import InvalidProgram
from streams.handlers import Handlers
from streams.program import Program
from streams.programs import Runnable, program_of

#: How long starting workers may take, one after the other on a busy machine; and ending them.
_RUN_S, _STOP_S, _RESUME_S = 120.0, 60.0, 30.0


#: Has a program that reads several logs have its merge, and says behind which place that begins
#: (partitioned_programs.py).
Merging = Callable[[Program], Awaitable[int]]


def run_program(
    connection: Connection,
    program: Runnable | type[Actor[Any]],
    workers: Any,
    after: Start,
    merging: Merging | None = None,
) -> Reply[None]:
    """ActorSystem.run. With `merging` it reads all logs of its system, wherever `after` is in this
    one."""
    if isinstance(program, type) and issubclass(program, Actor):
        return _run_listeners(connection, program, workers, after)
    program = program_of(program)
    name = _checked(program)
    count = workers
    if count is None:
        count = min(connection.settings.processing.pipeline_parallelism, SLOTS)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= SLOTS:
        raise ValueError(f"workers= is a number from 1 to {SLOTS}, not {count!r:.80}")
    begins = checked_start(after)
    check_where(program, connection, merged=merging is not None)
    code = pickled_program(program)
    run = partial(_run, connection, program, code, count, begins, merging=merging)
    return connection.errand(f"running {name}", run, _RUN_S)


async def ensure_program(
    connection: Connection, program: Program, workers: int, *, keep: bool = False
) -> None:
    """Have a program run from the beginning of the log, in so many workers; 0: in as many as it
    has. With `keep` what runs of it stays, of whatever code (Workers.ensure_running). In the
    courier's loop. Raises what the reply of ActorSystem.run does."""
    code = await connection.world.aside(partial(pickled_program, program))
    await _run(connection, program, code, workers, 0, keep=keep)


async def end_program(connection: Connection, program: str) -> None:
    """End the workers of a program, if it has any. In the courier's loop."""
    with suppress(UnknownProgram):
        await connection.rejoining.ask("stop_program", program)


async def _run(
    connection: Connection, program: Program, code: bytes, workers: int, after: Start,
    *, keep: bool = False, merging: Merging | None = None,
) -> None:  # fmt: skip
    began = await connection.log.ask(partial(_check_taken, program))
    await check_room(connection, program)
    # Where some of its slots are there, the others begin as they did: a run that came to nothing
    # may have made a part of them, and all keys begin at one position.
    if merging is not None:
        at = await merging(program)
    else:
        at = await position_of(connection.log, after) if began is None else began
    made = await connection.log.ask(partial(make_slots, program, at))
    parts = program.handlers if isinstance(program, Handlers) else ()
    handlers = tuple(handler.name for handler in parts)
    async with _forgotten_where_refused(connection, made):
        await connection.rejoining.ask(
            "run_program", program.name, code, workers, at, handlers, keep
        )


@asynccontextmanager
async def _forgotten_where_refused(connection: Connection, made: Made) -> AsyncIterator[None]:
    """What was made for a program that the directory does not start."""
    try:
        yield
    except ThornbackError:
        if made:
            with suppress(StoreUnavailable):  # then it is there, and nobody works for it
                await connection.log.ask(partial(forget_slots, made))
        raise


def _run_listeners(
    connection: Connection, actor: type[Actor[Any]], workers: Any, after: Start
) -> Reply[None]:
    """Have actors listen. One process does it for all actors of a type: what it does for an event
    is less than what their hosts do for it."""
    known = described(actor)
    if not known.listeners:
        problem = "is an actor that listens to nothing: give it a method marked @listens(...)"
        raise InvalidProgram(known.name, problem)
    if workers not in (None, 1):
        raise ValueError(f"actors that listen have one worker, not {workers!r:.80}")
    begins = checked_start(after)
    selection = selection_of_listeners(known)
    code = pickled_class(actor)

    async def run() -> None:
        names = [known.name]
        for record in await connection.log.ask(lambda store: store.subscriptions()):
            if record.name == known.name:
                names = []
            if record.name.partition("/")[0] == known.name and record.member is not None:
                raise _is_a_group(known.name)
            if record.name == known.name and record.selection != selection:
                raise AnotherSelection(known.name, str(record.selection), str(selection))
        await Hosts(connection).register(code)
        at = await position_of(connection.log, begins)
        made = await connection.log.ask(partial(make_checkpoints, names, selection, at))
        async with _forgotten_where_refused(connection, made):
            await connection.rejoining.ask("run_program", known.name, code, 1, at)

    return connection.errand(f"running {known.name}", run, _RUN_S)


def _check_name(program: Any) -> None:
    if not isinstance(program, str):
        raise TypeError(f"a program is stopped, and resumed, by its name, not by {program!r:.120}")


def stop_program(connection: Connection, program: str) -> Reply[None]:
    """ActorSystem.stop."""
    _check_name(program)
    stop = partial(connection.rejoining.ask, "stop_program", program)
    return connection.errand(f"stopping {program}", stop, _STOP_S)


def resume_program(connection: Connection, program: str, *, skip: bool) -> Reply[int]:
    """ActorSystem.resume."""
    _check_name(program)
    resume = partial(connection.rejoining.ask, "resume_program", program, skip)
    return connection.errand(f"resuming {program}", resume, _RESUME_S)


async def _check_taken(program: Program, store: EventStore) -> int | None:
    """Is its name free for it? After which position the slots that it has begin: of handlers that
    run together, each sees to that by itself. Raises AnotherSelection and InvalidProgram."""
    if not isinstance(program, Handlers):
        return await _check_name_taken(program, store)
    for handler in program.handlers:
        await _check_name_taken(handler, store)
    for record in await store.subscriptions():
        if record.name.partition("/")[0] == program.name:
            problem = "a program or a durable subscription has this name: take another one"
            raise InvalidProgram(program.name, problem)
    return None


async def _check_name_taken(program: Program, store: EventStore) -> int | None:
    wanted = selection_of_program(program)
    began: list[int] = []
    for record in await store.subscriptions():
        name, _, slot = record.name.partition("/")
        if name == program.name and not slot:
            problem = f"a durable subscription has the name {name!r}: take another one"
            raise InvalidProgram(name, problem)
        if name == program.name and record.member is not None:
            raise _is_a_group(name)
        if name == program.name and record.selection != wanted:
            raise AnotherSelection(name, str(record.selection), str(wanted))
        if name == program.name:
            began.append(record.began)
    of_actors = (await store.type_records([program.name])).get(program.name)
    if of_actors is not None and of_actors.class_name is not None:
        problem = "its outputs would be events of an actor type, which has this name: take another"
        raise InvalidProgram(program.name, problem)
    if (projection := tabled(program)) is not None:
        with suppress(NoProjection):  # else it is made with its slots
            await store.open_projection(projection.table, make=False)
    elif any(table.name == program.name for table in await store.projections()):
        raise InvalidProgram(program.name, "a projection has this name: take another one")
    return min(began, default=None)


def _is_a_group(name: str) -> InvalidProgram:
    return InvalidProgram(name, f"a group of readers has the name {name!r}: take another one")


def _checked(program: Program) -> str:
    """Its name, where that and what it selects can be had. Raises InvalidProgram."""
    if isinstance(program, Handlers):
        for handler in program.handlers:
            _checked(handler)
    try:
        selection_of(program.event_types, program.sources, program.kinds)
        check_not_ours(program.name)
        return checked_type_name(program.name)
    except (InvalidName, TypeError, ValueError) as error:
        raise InvalidProgram(str(program.name), str(error)) from error
