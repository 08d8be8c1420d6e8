"""The events of commands that took effect before: those of the first run.

They are remembered, or in the log. A batch that consists of repeats (an import that is
run again) is looked up in one query, not in one a command.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from actors.ids import event_id
from actors.naming import aggregate_key_of
from runtime.errors import InvalidMessage
from runtime.host.batch import Attempt
from runtime.host.effects import Effects
from runtime.host.recent import Outcome, Recent
from runtime.wire.commands import ERASE, ID, PUBLISH, SOURCE
from store.event_store import EventStore
from store.rows.layout import aggregate_at, split_rows

#: Events looked for per command at first: few commands have more.
FEW = 4


class Lookups:
    """Asks the log which commands of an attempt have taken effect before."""

    #: Attempts looked up beforehand after one that held repeats: where one was, more follow. Not
    #: after one that its driver sent again: that had a reason of its own, which others have not.
    AFTER_REPEAT = 16

    def __init__(self, store: EventStore, recent: Recent) -> None:
        self._store = store
        self._recent = recent
        self._left = 0

    async def before(self, attempt: Attempt) -> None:
        """Before deciding: all of its commands in one query, if repeats are likely. They are in a
        batch that was sent before and had no answer: to find out by an append that is refused
        would cost it, and all that was decided behind it, a second run."""
        again = attempt.batch.request.again
        if not (self._left or again or attempt.batch.failure is not None):
            return
        # What is remembered now may be forgotten before this attempt is decided, and was perhaps
        # not in the log yet when the log was asked. So it is noted here: either it becomes
        # durable, or this attempt is undone with it.
        ids = (attempt.batch.commands[index][ID] for index in attempt.indexes)
        attempt.known.update(each for each in ids if each in self._recent)
        await self._look_up(attempt, attempt.indexes)
        attempt.checked = True
        if not again:
            self._left = self.AFTER_REPEAT if attempt.known else max(self._left - 1, 0)

    async def standing(self, attempt: Attempt) -> bool:
        """Which outcomes of attempts that were undone stand, because the log has what followed
        them after all; False if there was nothing to ask the log.

        After loading: where the log does not have it yet, the state in memory does not either,
        and the command is decided anew before what follows it."""
        batch = attempt.batch
        if not self._recent.open or not (batch.runs_again or batch.request.again):
            return False
        followers: dict[bytes, list[tuple[bytes, Outcome]]] = {}
        for index in attempt.indexes:
            source, message_type, command_id, *_ = batch.commands[index]
            outcome = self._recent.open.of(command_id, source, message_type)
            if outcome is not None:
                followers.setdefault(outcome.follower, []).append((command_id, outcome))
        if not followers:
            return False
        for follower, aggregate in (await self._store.find_ids(list(followers))).items():
            for command_id, outcome in followers[follower]:
                if aggregate == aggregate_key_of(outcome.source):
                    attempt.standing[command_id] = outcome
        return True

    async def after(self, attempt: Attempt) -> None:
        """After deciding: a command that now finds nothing to do may have done it before;
        the answer is then the first run's, not the rejection."""
        if not attempt.in_vain or (attempt.checked and attempt.batch.failure is None):
            return  # in a rerun, what was taken for lost may have been stored since
        await self._look_up(attempt, attempt.in_vain)
        for index in attempt.in_vain:
            if attempt.batch.commands[index][ID] in attempt.known:
                self._left = self.AFTER_REPEAT
                attempt.repeated(index)

    async def repeats(self, attempt: Attempt) -> None:
        """Check the repeats among an attempt's commands, and read those of their rows that are
        not remembered. Here, in the line of work: an attempt whose rows cannot be read is
        abandoned before anything that its driver sent after it is decided."""
        self._check(attempt)
        for index in attempt.repeats:
            source, message_type, *_ = attempt.batch.commands[index]
            if message_type == ERASE:  # its end was written by an attempt that did not hear of it
                attempt.erased = (*attempt.erased, source)
        if attempt.batch.request.want_events:
            commands = attempt.batch.commands
            wanted = {at: commands[at] for at, first in attempt.repeats.items() if first is None}
            attempt.found = await rows_in_the_log(self._store, wanted)

    def _check(self, attempt: Attempt) -> None:
        """A repeat is the same actor's command, of the same message type as far as that is
        remembered. An id that has taken effect otherwise is used twice, which is surely a
        mistake: the command is invalid."""
        for index, first in list(attempt.repeats.items()):
            source, message_type, command_id, *_ = attempt.batch.commands[index]
            if first is None:
                took = "took effect at another actor" if index in attempt.taken else ""
            else:
                took = _otherwise(first, command_id, source, message_type)
            if took:
                del attempt.repeats[index]
                problem = (
                    f"its id {UUID(bytes=command_id)} is that of a command which {took}: give each "
                    "command an id of its own"
                )
                attempt.failed(index, InvalidMessage(source, message_type, problem))

    async def _look_up(self, attempt: Attempt, indexes: Iterable[int]) -> None:
        commands = attempt.batch.commands
        first = {first_event_id(commands[index]): commands[index][ID] for index in indexes}
        aggregates: dict[bytes, bytes] = {}  # by command id
        for found, aggregate in (await self._store.find_ids(list(first))).items():
            aggregates[first[found]] = aggregate
        attempt.known |= aggregates.keys()
        for index in indexes:
            theirs = aggregates.get(commands[index][ID])
            if theirs is not None and theirs != aggregate_key_of(commands[index][SOURCE]):
                attempt.taken.add(index)


def _otherwise(first: Effects, command_id: bytes, source: str, message_type: str) -> str:
    """How a command of this id took effect before, if it was another one."""
    aggregate, kind = first.firsts.get(command_id, (b"", ""))
    if aggregate != aggregate_key_of(source):
        return "took effect at another actor"
    return "" if kind == message_type else f"took effect as {kind!r}"


def rows_of_repeats(attempt: Attempt) -> dict[int, bytes]:
    """The stamped rows of each repeat of an attempt that is durable, by the command's index."""
    found, commands = dict(attempt.found), attempt.batch.commands
    remembered: dict[Effects, list[int]] = {}
    for index, first in attempt.repeats.items():
        if first is not None:
            remembered.setdefault(first, []).append(index)
    for effects, indexes in remembered.items():
        run = effects.rows_of({commands[index][ID] for index in indexes})
        found |= {index: run[commands[index][ID]] for index in indexes}
    return found


async def rows_in_the_log(store: EventStore, commands: Mapping[int, Any]) -> dict[int, bytes]:
    """The stamped rows of commands that took effect. Raises StoreUnavailable."""
    wanted = {index: _ids(command, 0, FEW) for index, command in commands.items()}
    if not wanted:
        return {}
    found: dict[int, bytes] = {}
    rows = await _rows(store, (each for ids in wanted.values() for each in ids))
    for index, ids in wanted.items():
        theirs = _run(ids, rows)
        if len(theirs) == FEW:
            theirs += await _the_rest(store, commands[index], aggregate_at(theirs[0], 0))
        found[index] = b"".join(theirs)
    return found


async def _the_rest(store: EventStore, command: Any, aggregate: bytes) -> list[bytes]:
    """The rows of a command's events beyond the first few, page by page."""
    run: list[bytes] = []
    number, width = FEW, 4 * FEW
    while True:
        ids = _ids(command, number, width)
        more = _run(ids, await _rows(store, ids), aggregate)
        run += more
        if len(more) < len(ids):
            return run
        number, width = number + width, width * 4


def _run(
    ids: Sequence[bytes], rows: Mapping[bytes, bytes], aggregate: bytes | None = None
) -> list[bytes]:
    """The rows of these events of one command, up to the last that it has: the id of the
    next may be that of somebody else's event, which has another source."""
    run: list[bytes] = []
    for row in map(rows.get, ids):
        if row is None or (aggregate and aggregate_at(row, 0) != aggregate):
            break
        aggregate = aggregate_at(row, 0)
        run.append(row)
    return run


async def _rows(store: EventStore, ids: Iterable[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    wanted = list(ids)
    while wanted:
        page = await store.find_rows(wanted)
        found |= split_rows(page.rows)
        wanted = [each for each in wanted if each not in found] if page.more else []
    return found


def first_event_id(command: Any) -> bytes:
    """The id of a command's first event."""
    return _ids(command, 0, 1)[0]


def _ids(command: Any, number: int, width: int) -> list[bytes]:
    """The ids of a command's events from `number` on; a published event has its own."""
    _, message_type, command_id, *_ = command
    if message_type == PUBLISH:
        return [command_id]
    return [event_id(command_id, number + ahead) for ahead in range(width)]
