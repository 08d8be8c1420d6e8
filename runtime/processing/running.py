"""A driver's side of stream programs: sent to the directory, which has workers run them."""

from functools import partial
from typing import Any

from actors.errors import InvalidName
from actors.naming import checked_type_name
from runtime.driver.connection import Connection
from runtime.driver.reply import Reply
from runtime.driver.selecting import checked_position, selection_of
from runtime.processing.program_code import pickled_program
from store.slots import SLOTS
from streams.errors import InvalidProgram
from streams.handler import Handler
from streams.program import Program
from streams.programs import program_of

#: How long starting workers may take, one after the other on a busy machine; and ending them.
_RUN_S, _STOP_S, _RESUME_S = 120.0, 60.0, 30.0


def run_program(
    connection: Connection, program: Program | type[Handler], workers: Any, after: int | None
) -> Reply[None]:
    """ActorSystem.run."""
    program = program_of(program)
    name = _checked(program)
    count = workers
    if count is None:
        count = min(connection.settings.processing.pipeline_parallelism, SLOTS)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= SLOTS:
        raise ValueError(f"workers= is a number from 1 to {SLOTS}, not {count!r:.80}")
    begins = None if after is None else checked_position(after)
    code = pickled_program(program)

    async def run() -> None:
        at = await connection.log.head() if begins is None else begins
        await connection.rejoining.ask("run_program", name, code, count, at)

    return connection.errand(f"running {name}", run, _RUN_S)


def stop_program(connection: Connection, program: str) -> Reply[None]:
    """ActorSystem.stop."""
    stop = partial(connection.rejoining.ask, "stop_program", program)
    return connection.errand(f"stopping {program}", stop, _STOP_S)


def resume_program(connection: Connection, program: str, *, skip: bool) -> Reply[int]:
    """ActorSystem.resume."""
    resume = partial(connection.rejoining.ask, "resume_program", program, skip)
    return connection.errand(f"resuming {program}", resume, _RESUME_S)


def _checked(program: Program) -> str:
    """Its name, where that and what it selects can be had. Raises InvalidProgram."""
    try:
        selection_of(program.event_types, program.sources)
        return checked_type_name(program.name)
    except (InvalidName, TypeError) as error:
        raise InvalidProgram(str(program.name), str(error)) from error
