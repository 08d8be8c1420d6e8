"""How many handlers may listen to one event type: looked at when others are to run."""

from collections import defaultdict
from collections.abc import Iterable

from actors.patterns import matcher
from runtime.driver.connection import Connection
from runtime.topology.status import ProcessStatus, Status, WorkerFacts
from streams.errors import InvalidProgram
from streams.handler import Handler
from streams.handlers import Handlers
from streams.program import Program


def handled_by(program: Program) -> tuple[str, ...]:
    """The patterns of event types that a handler listens to; none for what is no handler."""
    return tuple(program.event_types) or ("*",) if isinstance(program, Handler) else ()


async def check_room(connection: Connection, program: Program) -> None:
    """May it run beside the handlers that do? In the courier's loop. Raises InvalidProgram, which
    names the event type that has no room. Two that are run at the same moment may both find it. Of
    a handler that runs already, elsewhere, the directory says so."""
    parts = program.handlers if isinstance(program, Handlers) else (program,)
    wanted = {part.name: patterns for part in parts if (patterns := handled_by(part))}
    if not wanted:
        return
    statuses: tuple[Status, ...] = await connection.rejoining.ask("statuses")
    others = _others(statuses, program.name)
    if wanted.keys() & others.keys():
        return
    most = connection.settings.event_bus.max_handlers_per_type
    if len(others) + len(wanted) <= most:
        return
    exact = {pattern for patterns in wanted.values() for pattern in patterns if "*" not in pattern}
    for event_type in sorted(exact | set(await connection.log.event_types())):
        come = _listening(wanted, event_type)
        there = _listening(others, event_type)
        if come and len(come) + len(there) > most:
            beside = f"{len(there)} handlers of {event_type!r} run, and no more may"
            if len(come) > 1:
                beside = (
                    f"{len(come)} of its handlers listen to {event_type!r}, as do {len(there)} "
                    f"that run, and {most} may"
                )
            told = ", ".join(there or come)
            raise InvalidProgram(
                program.name, f"{beside} (event_bus.max_handlers_per_type): {told}"
            )


def _listening(handlers: dict[str, tuple[str, ...]], event_type: str) -> list[str]:
    return sorted(name for name, patterns in handlers.items() if matcher(patterns)(event_type))


def _others(statuses: Iterable[Status], program: str) -> dict[str, tuple[str, ...]]:
    """The handlers that run, but for what is run under that name: what each listens to."""
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for status in statuses:
        facts = status.facts if isinstance(status, ProcessStatus) else None
        if isinstance(facts, WorkerFacts) and facts.program != program:
            for each in (facts, *facts.handlers):
                if each.handles:
                    found[each.program] = each.handles
    return dict(found)
