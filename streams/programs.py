"""Whatever a user calls a program, as one that can be run."""

from typing import Any

from streams.errors import InvalidProgram
from streams.failures import failures_of
from streams.handler import Handler, described
from streams.pipeline import EventPipeline
from streams.program import Program
from streams.projection import Projection, described_projection

_NEEDED = ("name", "event_types", "sources", "disorder_us", "keeps_state",
           "route", "step", "due", "again")  # fmt: skip


#: What a user calls a program.
Runnable = Program | type[Handler] | Projection[Any] | type[Projection[Any]]


def program_of(program: Runnable) -> Program:
    """A handler's class, a handler, several of them, a pipeline or any other program, looked
    through. Raises InvalidProgram, which says what is wrong."""
    if isinstance(program, Handler):
        return described(program)
    if isinstance(program, Projection):
        return described_projection(program)
    if isinstance(program, type):
        if issubclass(program, Handler):
            return described(program)
        if issubclass(program, Projection):
            return described_projection(program)
        raise InvalidProgram(program.__name__, "is a class, and no handler: derive it from Handler")
    if isinstance(program, EventPipeline):
        return program.checked()
    if isinstance(program, list | tuple):
        several = "is several: handlers run together as Handlers('name', First, Second)"
        raise InvalidProgram(f"{program!r:.80}", several)
    missing = [name for name in _NEEDED if not hasattr(program, name)]
    if missing:
        raise InvalidProgram(
            f"{program!r:.80}", f"is no handler, no pipeline and no program: no {missing[0]}"
        )
    if problem := failures_of(program).problem():
        raise InvalidProgram(program.name, problem)
    return program
