"""Building a projection anew: beside the one in service, from the beginning, and then in its place.

What is built is a program of its own, NAME.rebuild, which the same code runs on a table that nobody
reads. Who asked for it looks how far it is, and has the database swap the two when it has caught
up. Nothing is remembered: who asks again goes on with what is being built. Each table has a number,
by which whoever has it built knows it: also where somebody else has put it in its place.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from ray.exceptions import RayError

from actors.columns import TableSchema
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from runtime.processing.making_slots import make_checkpoints, slots_of
from runtime.processing.program_code import pickled_program
from runtime.processing.program_selection import selection_of_program
from runtime.processing.projected_rows import tabled
from runtime.processing.running import end_program
from runtime.topology.names import worker_name
from runtime.topology.status import WorkerFacts
from runtime.transport.peers import awaited
from runtime.wire.actor_code import ActorCode
from store.errors import AnotherTable, NoProjection
from store.event_store import EventStore
from store.projected import ProjectedTable
from store.selection import Selection
from streams.errors import InvalidProgram
from streams.programs import Runnable, program_of
from streams.projection import REBUILD

#: Between two looks at how far it is: the database does not say.
_LOOK_S = 0.2
#: Reading a log of years may take long, and somebody who stands there is told at once.
_REBUILD_S = 86_400.0
#: So few events behind, it is as good as there: a swap waits for the rest.
_NEAR = 20_000
#: How long a worker may take to say something.
_ANSWER_S = 10.0

_GONE = "somebody else has begun to build it anew meanwhile, or has dropped it: ask again"
_ENDED = "its workers were ended before it was built: ask again"


class _Code(NamedTuple):
    """What builds it."""

    packed: bytes
    table: TableSchema  #: of the one in service, as the code wants it
    selection: Selection | None = None  #: None: that of the one in service

    @property
    def fingerprint(self) -> str:
        """Which code it is."""
        return ActorCode.unpack(self.packed).fingerprint


def rebuild(connection: Connection, projection: Runnable | str, workers: Any) -> Reply[None]:
    """ActorSystem.rebuild."""
    if workers is not None and (type(workers) is not int or workers < 1):
        raise ValueError(f"workers= is a number from 1 on, not {workers!r:.80}")
    if isinstance(projection, str):
        name, code = projection, None
    else:
        program = program_of(projection)
        if (found := tabled(program)) is None:
            raise InvalidProgram(program.name, "is no projection: it has no table to be built anew")
        name, code = (
            program.name,
            _Code(pickled_program(program), found.table, selection_of_program(program)),
        )
    work = partial(_Rebuild(connection, name).run, code, workers or 0)
    return connection.errand(f"rebuilding {name}", work, _REBUILD_S)


class _Rebuild:
    """Of one projection; in the courier's loop."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self._name, self._built = connection, name, name + REBUILD

    async def run(self, code: _Code | None, workers: int) -> None:
        """Build it, and put it in its place."""
        in_service = await self._runs(self._name)
        if code is None:
            code = await self._code(self._name)
        began = await self._ask(partial(_began, self._name))
        workers = workers or (in_service[1] if in_service is not None else 1)
        built = await self._begin(code, began, workers)
        await self._wait_near(built)
        if in_service is None or in_service[0] != code.fingerprint:
            # Other code: not one event more is to be projected by it when the tables are swapped.
            await end_program(self._connection, self._name)
        await self._swap(built)
        await self._run_program(self._name, code, began, in_service[1] if in_service else workers)
        await end_program(self._connection, self._built)
        await self._forget()

    async def _begin(self, code: _Code, began: int, workers: int) -> ProjectedTable:
        """Have it built: go on with what the same code builds already, or begin anew."""
        building = await self._runs(self._built)
        built: ProjectedTable | None = None
        if building is not None and building[0] == code.fingerprint:
            with suppress(NoProjection):  # else it is in its place, and its workers are done
                built = await self._opened(code, make=False)
        if built is None:
            await end_program(self._connection, self._built)
            await self._forget()
            built = await self._opened(code, make=True)
            await self._ask(partial(_make_slots, self._name, code.selection, began))
        await self._run_program(self._built, code, began, workers)
        return built

    async def _forget(self) -> None:
        """Drop what there is of it."""
        await self._ask(lambda store: store.drop_program(self._built))

    async def _opened(self, code: _Code, *, make: bool) -> ProjectedTable:
        schema = replace(code.table, name=self._built)
        try:
            found: ProjectedTable = await self._ask(
                lambda store: store.open_projection(schema, make=make)
            )
        except AnotherTable as error:  # the code is the same, so somebody has meddled
            raise InvalidProgram(self._built, str(error)) from error
        return found

    async def _wait_near(self, built: ProjectedTable) -> None:
        """Until it has nearly caught up."""
        while True:
            position, head = await self._ask(partial(_places, self._built))
            if await self._is_in_its_place(built) or 0 <= position >= head - _NEAR:
                return
            await self._check_building()
            await asyncio.sleep(_LOOK_S)

    async def _swap(self, built: ProjectedTable) -> None:
        """Until it is in the place of the other one."""
        while not await self._is_in_its_place(built):
            with suppress(NoProjection):  # somebody was quicker
                if await self._ask(lambda store: store.swap_projection(built)):
                    return
            await self._check_building()
            await asyncio.sleep(_LOOK_S)

    async def _is_in_its_place(self, built: ProjectedTable) -> bool:
        """Has somebody else put it there who had it built, too? Raises InvalidProgram where it is
        nowhere."""
        for table in await self._ask(lambda store: store.projections()):
            if table.number == built.number:
                return bool(table.name == self._name)
        raise InvalidProgram(self._built, _GONE)

    async def _check_building(self) -> None:
        """Raises InvalidProgram where it stands at an event, which somebody has to say about, and
        where its workers were ended."""
        facts: WorkerFacts | None = await self._of_worker(self._built, "facts")
        if facts is None:
            try:
                await self._connection.world.handle(worker_name(self._built, 0))
            except ValueError as error:
                raise InvalidProgram(self._built, _ENDED) from error
        if facts is not None and facts.paused:
            raise InvalidProgram(
                self._built,
                f"{facts.trouble}. Mend the code and ask again, or pass that event over: "
                f"thornback programs --resume {self._built} --skip",
            )

    async def _code(self, name: str) -> _Code:
        found = await self._of_worker(name, "code")
        if found is None:
            raise InvalidProgram(
                name, "does not run, so nobody has its code: rebuild(Class), where its class is"
            )
        return _Code(*found)

    async def _runs(self, name: str) -> tuple[str, int] | None:
        return await running(self._connection, name)

    async def _of_worker(self, program: str, method: str) -> Any:
        return await _of_worker(self._connection, program, method)

    async def _run_program(self, name: str, code: _Code, after: int, workers: int) -> None:
        await self._connection.rejoining.ask("run_program", name, code.packed, workers, after)

    async def _ask(self, question: Any) -> Any:
        return await self._connection.log.ask(question)


async def running(connection: Connection, program: str) -> tuple[str, int] | None:
    """The fingerprint of what runs of a program, and among how many workers; None: nothing."""
    found: tuple[str, int] | None = await _of_worker(connection, program, "runs")
    return found


async def _of_worker(connection: Connection, program: str, method: str) -> Any:
    """What its first worker says; None where there is none, or it says nothing."""
    world, name = connection.world, worker_name(program, 0)
    world.forget(name)  # it may have ended since, and another one have its name
    try:
        handle = await world.handle(name)
        return await asyncio.wait_for(awaited(getattr(handle, method).remote()), _ANSWER_S)
    except (RayError, ValueError, TimeoutError):
        return None


async def _began(name: str, store: EventStore) -> int:
    """After which position it began. Raises NoProjection."""
    if not any(table.name == name for table in await store.projections()):
        raise NoProjection(name)
    of = f"{name}/"
    records = [record for record in await store.subscriptions() if record.name.startswith(of)]
    return min((record.began for record in records), default=0)


async def _make_slots(
    name: str, selection: Selection | None, after: int, store: EventStore
) -> None:
    """Those of what is built in the place of a projection. Raises NoProjection where nothing is
    known of that any more."""
    if selection is None:
        of = f"{name}/"
        theirs = [each for each in await store.subscriptions() if each.name.startswith(of)]
        if not theirs:
            raise NoProjection(name)
        selection = theirs[0].selection
    await make_checkpoints(slots_of(name + REBUILD), selection, after, store)


async def _places(name: str, store: EventStore) -> tuple[int, int]:
    """How far it is, and the log; of what reads several logs, the one in service."""
    of = name.removesuffix(REBUILD)
    merged = await store.merge_of(of) is not None
    return await store.reached(name), await (store.reached(of) if merged else store.head())
