"""Nothing is in the log that nobody sent."""

from collections.abc import Iterator

from tests.chaos.history import EventRow, History, Problem
from tests.chaos.identity import event_id
from tests.chaos.judging_derived import FOLLOWED, PROGRAM
from tests.chaos.judging_messages import RETURNED, SENT, receiver_of
from tests.chaos.judging_timers import SET


def stranger_problems(history: History) -> Iterator[Problem]:
    """Each event has a cause that there was: a command of a driver, or another event."""
    commands = {command: sent[0].source for command, sent in history.by_command.items()}
    for row in history.events:
        cause = row.causation_id
        if cause is None or not (
            commands.get(cause) == row.source or _follows(row, history.by_id.get(cause))
        ):
            said = f"{row.event_type} of {row.source} at {row.position}"
            yield Problem("stranger", f"nobody sent what {said} comes from")
    yield from _disowned(history)


def _follows(row: EventRow, cause: EventRow | None) -> bool:
    if cause is None:
        return False
    if row.source.startswith(f"{PROGRAM}/"):
        return cause.source.startswith(FOLLOWED)
    if row.event_type == RETURNED:
        return cause.event_type == SENT
    if cause.event_type == SET:
        return cause.source == row.source
    return receiver_of(cause) == row.source


def _disowned(history: History) -> Iterator[Problem]:
    """An event under the id of a command's first one which names another cause."""
    for command in history.by_command:
        row = history.by_id.get(event_id(command, 0))
        if row is not None and row.causation_id != command:
            yield Problem("stranger", f"the event of {command.hex()} names another cause")
