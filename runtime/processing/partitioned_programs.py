"""Stream programs in a system of several partitions: each runs once in every partition, on its log.

So a program sees the events of one log alone, which is all that it needs where the key is the
source of an event: all events of a source are in one log, and what comes of them stays beside it.
"""

from typing import Any

from actors.actor import Actor
from runtime.errors import NotPossible
from streams.handler import Handler
from streams.handlers import Handlers
from streams.pipeline import EventPipeline
from streams.programs import Runnable, program_of
from streams.projection import Projection


def check_for_partitions(program: Runnable | type[Actor[Any]]) -> None:
    """Raises NotPossible for a program whose keys may have events in several logs, and
    InvalidProgram for what is none."""
    if isinstance(program, type) and issubclass(program, Actor):
        return  # its events come from one log, and go to wherever its actors are
    made: Any = program_of(program)
    if not _is_by_source(made):
        raise NotPossible(
            f"{made.name} has other keys than the sources of events, and those of a key may be "
            "in several logs: in a system of several partitions (event_store.partitions) a program "
            "reads each log by itself. Key it by the source, or launch with one partition"
        )


def _is_by_source(program: Any) -> bool:
    """Is each of its keys the source of all the events that come for it? What decides about its
    keys itself is not asked: nobody could tell."""
    if isinstance(program, Handlers):
        return all(map(_is_by_source, program.handlers))
    if isinstance(program, Handler):
        return type(program).route is Handler.route
    if isinstance(program, Projection):
        kind = type(program)
        return kind.key is Projection.key and kind.route is Projection.route
    return isinstance(program, EventPipeline) and program.by_source
