"""How many handlers may listen to one event type: looked at when another one is to run."""

from collections import defaultdict
from collections.abc import Iterable

from actors.patterns import matcher
from runtime.driver.connection import Connection
from runtime.topology.status import ProcessStatus, Status, WorkerFacts
from streams.errors import InvalidProgram
from streams.handler import Handler
from streams.program import Program


def handled_by(program: Program) -> tuple[str, ...]:
    """The patterns of event types that a handler listens to; none for what is no handler."""
    return tuple(program.event_types) or ("*",) if isinstance(program, Handler) else ()


async def check_room(connection: Connection, program: Program) -> None:
    """May it run beside the handlers that do? In the courier's loop. Raises InvalidProgram, which
    names the event type that has no room. Two that are run at the same moment may both find it."""
    wanted = handled_by(program)
    if not wanted:
        return
    statuses: tuple[Status, ...] = await connection.rejoining.ask("statuses")
    others = _others(statuses, program.name)
    if not others:
        return
    exact = {pattern for pattern in wanted if "*" not in pattern}
    types = exact | set(await connection.log.event_types())
    most = connection.settings.event_bus.max_handlers_per_type
    wants = matcher(wanted)
    for event_type in sorted(filter(wants, types)):
        there = [name for name, patterns in others.items() if matcher(patterns)(event_type)]
        if len(there) >= most:
            raise InvalidProgram(
                program.name,
                f"{len(there)} handlers of {event_type!r} run, and no more may "
                f"(event_bus.max_handlers_per_type): {', '.join(sorted(there))}",
            )


def _others(statuses: Iterable[Status], program: str) -> dict[str, tuple[str, ...]]:
    """The handlers that run, but for the one of that name: what each listens to."""
    found: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for status in statuses:
        facts = status.facts if isinstance(status, ProcessStatus) else None
        if isinstance(facts, WorkerFacts) and facts.handles and facts.program != program:
            found[facts.program] = facts.handles
    return dict(found)
