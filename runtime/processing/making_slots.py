"""The slots of a program are made by whoever has it run, and by none of its workers.

A worker that finds its slots gone knows by that that its program was dropped. If it made them, it
would begin anew what somebody wanted gone, whenever it was started anew, or came back from a
database that was away, after the drop.
"""

import secrets
from collections.abc import Iterable, Mapping

from runtime.processing.program_selection import selection_of_program
from runtime.processing.projected_rows import tabled
from store.event_store import EventStore
from store.selection import Selection
from store.slots import SLOTS, slot_name
from streams.handlers import Handlers
from streams.program import Program

#: The number under which nobody works, by name of what was made.
Made = dict[str, int]


async def make_slots(program: Program, after: int, store: EventStore) -> Made:
    """Those that there are not yet, of each handler where several run together, and the table of a
    projection. They begin where the others of it do, or after that position. Whoever dies meanwhile
    has made a part of them; who runs it again makes the rest. Raises AnotherSelection, AnotherTable
    and StoreUnavailable."""
    there = {record.name: record.began for record in await store.subscriptions()}
    made: Made = {}
    for part in program.handlers if isinstance(program, Handlers) else (program,):
        names = slots_of(part.name)
        begins = min((there[name] for name in names if name in there), default=after)
        missing = [name for name in names if name not in there]
        made |= await make_checkpoints(missing, selection_of_program(part), begins, store)
        if (projection := tabled(part)) is not None:
            await store.open_projection(projection.table, make=True)
    return made


async def make_checkpoints(
    names: Iterable[str], selection: Selection, after: int, store: EventStore
) -> Made:
    """Those of these names, which nobody has. Where somebody has opened one meanwhile he opens it
    again. Raises AnotherSelection and StoreUnavailable."""
    made: Made = {}
    for name in names:
        made[name] = -1 - secrets.randbelow(2**62)
        await store.open_subscription(name, selection, after, made[name])
    return made


async def forget_slots(made: Mapping[str, int], store: EventStore) -> None:
    """What they were made for is not to run: forget it, where nothing was there of it before, and
    nobody has begun to work for it. Run again, it begins where it is told to."""
    there = {record.name: record.epoch for record in await store.subscriptions()}
    for program in sorted({name.partition("/")[0] for name in made}):
        theirs = [name for name in there if name.partition("/")[0] == program]
        if theirs and all(made.get(name) == there[name] for name in theirs):
            if program in theirs:
                await store.drop_subscription(program)
            else:
                await store.drop_program(program)


def slots_of(program: str) -> list[str]:
    """What they are called."""
    return [slot_name(program, slot) for slot in range(SLOTS)]
