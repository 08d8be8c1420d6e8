"""Stream programs in a system of several partitions.

Where the keys of a program are the sources of events it runs once in every partition, on its log:
all events of a source are in one log, and what comes of them stays beside it. Any other runs once,
in the partition where it has its home, and reads all logs as one (merged_reading.py).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from actors.actor import Actor
from runtime.driver.connection import Connection
from runtime.driver.starting import Start, position_of
from runtime.errors import NotPossible
from runtime.topology.partitions import partition_of
from store.event_store import EventStore
from store.projected import REBUILD
from streams.actor_index import ActorIndex
from streams.errors import InvalidProgram
from streams.handler import Handler
from streams.handlers import Handlers
from streams.pipeline import EventPipeline
from streams.program import Program
from streams.programs import Runnable, program_of
from streams.projection import Projection, Rebuilt


def reads_all_logs(program: Runnable | type[Actor[Any]]) -> bool:
    """May the events of one of its keys be in several logs? Raises InvalidProgram for what is no
    program, and NotPossible for handlers that run together, of which one has other keys than the
    sources of events."""
    if isinstance(program, type) and issubclass(program, Actor):
        return False  # its events come from one log, and go to wherever its actors are
    made: Any = program_of(program)
    if isinstance(made, Handlers) and not is_by_source(made):
        raise NotPossible(
            f"{made.name} are handlers that run together, and one of them has other keys than the "
            "sources of events: in a system of several partitions (event_store.partitions) that "
            "one runs by itself, system.run(handler)"
        )
    return not is_by_source(made)


def is_by_source(program: Any) -> bool:
    """Is each of its keys the source of all the events that come for it? What decides about its
    keys itself is not asked: nobody could tell."""
    if isinstance(program, Rebuilt):
        program = program.of
    if isinstance(program, Handlers):
        return all(map(is_by_source, program.handlers))
    if isinstance(program, Handler):
        return type(program).route is Handler.route
    if isinstance(program, Projection):
        kind = type(program)
        return kind.key is Projection.key and kind.route is Projection.route
    return isinstance(program, ActorIndex) or (
        isinstance(program, EventPipeline) and program.by_source
    )


def is_merged(program: Program, partitions: int) -> bool:
    """Does it read several logs as one, in a system of so many?"""
    return partitions > 1 and not is_by_source(program)


def home_of_program(program: str, partitions: int) -> int:
    """The partition in which one that reads all logs runs, and has its outputs, states, table,
    dead letters and checkpoints."""
    return partition_of(merge_name(program), partitions)


def merge_name(program: str) -> str:
    """By whose name its merge is known: a projection that is built anew goes by that of the one in
    service, whose place it takes."""
    return program.removesuffix(REBUILD)


def check_where(program: Program, connection: Connection, *, merged: bool) -> None:
    """Raises NotPossible for one that reads all logs, and is to run on a single one."""
    partitions = connection.settings.event_store.partitions
    if not merged and is_merged(program, partitions):
        raise NotPossible(
            f"{program.name} has other keys than the sources of events, and those of a key may be "
            f"in all {partitions} logs: run it on the whole system, not on one of its partitions"
        )


async def ensure_merge(
    connections: Sequence[Connection], program: Program, starts: Sequence[Start]
) -> int:
    """Have a program have its merge, which begins at a start in each log; the place behind which it
    begins. Raises InvalidProgram where it has run, and has none (check_same_logs)."""
    await check_same_logs(connections, program)
    home = connections[home_of_program(program.name, len(connections))]
    name = merge_name(program.name)
    merge = await home.log.ask(lambda store: store.merge_of(name))
    if merge is None:
        began = [
            await position_of(connection.log, start)
            for connection, start in zip(connections, starts, strict=True)
        ]
        merge = await home.log.ask(lambda store: store.make_merge(name, began))
    return merge.start


async def homes(connections: Sequence[Connection], program: str) -> list[int]:
    """The partitions in which a program of this name runs, if it does: the one where it has its
    home, where it reads all logs; all of them otherwise. Raises StoreUnavailable."""
    home = home_of_program(program, len(connections))
    merged = await connections[home].log.ask(partial(_has_merge, merge_name(program)))
    return [home] if merged else list(range(len(connections)))


async def check_same_logs(connections: Sequence[Connection], program: Program) -> None:
    """Raises InvalidProgram for one of which the keys are the sources of events, or are not any
    more, where one of its name has run that was otherwise: it has read one log, or all of them."""
    partitions = len(connections)
    for each in program.handlers if isinstance(program, Handlers) else (program,):
        home = connections[home_of_program(each.name, partitions)]
        merged = await home.log.ask(partial(_has_merge, merge_name(each.name)))
        if is_merged(each, partitions) == merged:
            continue
        records = await home.log.ask(lambda store: store.subscriptions())
        if any(record.name.partition("/")[0] == each.name for record in records):
            problem = (
                f"has read {'all logs as one' if merged else 'each log by itself'} so far, and "
                f"would read {'each by itself' if merged else 'all as one'}, as its keys are now: "
                "drop it (`thornback subscriptions --drop`), or take another name"
            )
            raise InvalidProgram(each.name, problem)


async def _has_merge(name: str, store: EventStore) -> bool:
    return await store.merge_of(name) is not None
