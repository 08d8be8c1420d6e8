"""What a host does when an append of it failed: a state machine with its states named.

| state        | what is done in it                  | how it ends                | next         |
|--------------|-------------------------------------|----------------------------|--------------|
| WORKING      | batches are run as they come        | an attempt failed          | SETTLING     |
| SETTLING     | nothing is decided; when no append  | this host was replaced     | REPLACED     |
|              | is under way any more, all failed   | the store is away          | TURNING_AWAY |
|              | attempts are undone                 | the log refused appends    | RERUNNING    |
|              |                                     | else: the writer is away   | WAITING      |
| WAITING      | the writer is waited for            | it is back                 | RERUNNING    |
|              |                                     | that takes too long        | TURNING_AWAY |
| TURNING_AWAY | the batches of undone attempts are  | always                     | RERUNNING    |
|              | answered that the store is away     |                            |              |
| RERUNNING    | what is left of the other batches   | an attempt failed          | SETTLING     |
|              | is run, in the order of numbers     | nothing is left            | WORKING      |
| REPLACED     | all batches are turned away         | never: the host is done    |              |

Undone means: what an attempt put into the table of recent commands is forgotten, its actors
leave memory and come back from the log, its commands are its batch's to run again. Whether its
append is in the log may be open; what was answered in vain before one that is stands. Batches
are kept in the order of their numbers, which is each driver's order. A batch that is turned
away takes along what its driver sent after it, so that a retry finds nothing of it done
before the batch itself.
"""

import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Protocol

from runtime.errors import HostUnavailable, RetriesExhausted
from runtime.host.batch import Attempt, Batch
from runtime.host.mailbox import Mailbox
from runtime.host.recent import Recent
from runtime.host.repeats import first_event_id
from runtime.host.residents import Residents
from runtime.host.supervision import Supervisor
from runtime.partition.journal import Journal
from runtime.wire.commands import ID, SOURCE
from store.errors import (
    AppendRefused,
    DuplicateEvent,
    RowsRefused,
    StaleEpoch,
    StoreError,
    StoreUnavailable,
    Superseded,
)

logger = logging.getLogger("thornback.host")

_EARLIER = "an earlier batch was turned away"


class Discarded(StoreError):
    """What this attempt was decided on was thrown away."""


class State(Enum):
    """Where the recovery of a host stands; the module's table says what follows what."""

    WORKING = "working"
    SETTLING = "settling"
    WAITING = "waiting"
    TURNING_AWAY = "turning away"
    RERUNNING = "rerunning"
    REPLACED = "replaced"


class LineOfWork(Protocol):
    """The host's line of work, as its recovery sees it."""

    async def wait_settled(self) -> None:
        """Wait until no append is under way."""

    async def run_batch(self, batch: Batch) -> None:
        """Run what is left of a batch, up to where its durability alone is open."""

    def answer(self, batch: Batch) -> None:
        """Answer a batch that is complete."""

    def evict(self, batch: Batch) -> None:
        """A batch has come to its end: actors that nobody needs any more may leave memory."""

    def begin_anew(self) -> None:
        """What is decided next follows on nothing that is under way."""


class Recovery:
    """Brings a host from a failed attempt back to work. The line of work alone calls it."""

    #: Reruns of one batch before its commands are run alone, and of one command alone before
    #: its caller is told that the log refuses it.
    TRIES = 5

    def __init__(
        self,
        line: LineOfWork,
        mailbox: Mailbox,
        residents: Residents,
        recent: Recent,
        journal: Journal,
        supervisor: Supervisor,
        *,
        writer_back: Callable[[], Awaitable[None]],
        name: str,
    ) -> None:
        # What it undoes with.
        self._line = line
        self._mailbox = mailbox
        self._residents = residents
        self._recent = recent
        self._journal = journal
        self._supervisor = supervisor
        self._writer_back = writer_back
        self._name = name
        # Where it stands. `failed` may add to `_failed` at any time; the rest is changed
        # by the line of work alone.
        self.state = State.WORKING
        self._failed: list[Attempt] = []  #: and not undone yet
        self._batches: dict[int, Batch] = {}  #: to be run, by number
        self._undone: list[Batch] = []  #: those of the attempts that were undone last
        self._given_up: set[tuple[bytes, int]] = set()  #: senders whose batches were turned away
        self._gone: StoreUnavailable | None = None  #: why batches are turned away

    @property
    def needed(self) -> bool:
        """Has something failed, so that nothing else is to be run before?"""
        return bool(self._failed or self._batches)

    @property
    def has_failed(self) -> bool:
        """Is there a failed attempt that is not undone yet? What follows it would be."""
        return bool(self._failed)

    def failed(self, attempt: Attempt) -> None:
        """An attempt cannot become durable."""
        self._failed.append(attempt)

    def postpone(self, batch: Batch) -> None:
        """A batch is to be run when everything before it has been."""
        self._batches[batch.number] = batch

    async def run(self) -> None:
        """Take all steps back to WORKING. Raises StaleEpoch when this host was replaced."""
        steps = {
            State.SETTLING: self._settle,
            State.WAITING: self._wait,
            State.TURNING_AWAY: self._turn_away,
            State.RERUNNING: self._rerun,
        }
        self.state = State.SETTLING
        while self.state is not State.WORKING:
            self.state = await steps[self.state]()
        self._given_up.clear()  # nothing of theirs is left here

    def undo(self, attempt: Attempt, failure: Exception) -> None:
        """Throw away what an attempt left in memory, once no append is under way."""
        self._recent.forget(attempt.effects)
        for index in attempt.vain:
            self._recent.in_vain.forget(attempt.batch.commands[index][ID])
        self._supervisor.undo(attempt)
        self._residents.drop(attempt.sources)
        self._residents.drop({*attempt.stopped, *attempt.rebuild})  # its groups, too
        attempt.undo(failure)

    def turn_away(self, batch: Batch, error: Exception) -> None:
        """Answer a batch that it was not run, or that its outcome is open."""
        if self._batches:  # some of which may be its driver's, and follow it
            self._given_up.add(_sender(batch))
        self._mailbox.end_generation(batch)
        self._end(batch, error)

    def _end(self, batch: Batch, error: Exception) -> None:
        batch.turn_away(error)
        self._line.evict(batch)  # a part of it may be durable, and what it touched in memory

    async def _settle(self) -> State:
        await self._line.wait_settled()
        failed, self._failed = self._failed, []
        self._undone = []
        self._line.begin_anew()
        if not failed:
            return State.RERUNNING
        self._journal.begin_generation()
        failures = [attempt.failure for attempt in failed if attempt.failure is not None]
        logger.warning(
            "%s: %d attempts are undone, the first because of %s",
            self._name, len(failed), failures[0],
        )  # fmt: skip
        self._leave_open(failed)
        for attempt in failed:
            await self._undo_failed(attempt)
        for failure in failures:
            if isinstance(failure, StaleEpoch):
                return self._replaced(failure)
        self._gone = next((one for one in failures if isinstance(one, StoreUnavailable)), None)
        if self._gone is not None:
            return State.TURNING_AWAY
        if all(isinstance(one, AppendRefused | Discarded) for one in failures):
            return State.RERUNNING
        return State.WAITING

    def _leave_open(self, failed: list[Attempt]) -> None:
        """Whether an append that failed is in the log is open, and may stay so for a while. If it
        is, all before it are: what was in vain before it is not decided anew behind it, as long as
        both are of one driver and for one actor (docs/decisions/0048)."""
        followers: dict[tuple[bytes, str], bytes] = {}
        # Backwards: those with events have ticks of their own, the others those of the one before.
        backwards = sorted(failed, key=lambda one: (one.ticks, not len(one.effects.rows)))[::-1]
        for attempt in backwards:
            driver, commands = attempt.batch.request.driver, attempt.batch.commands
            effective, vain = set(attempt.effective), set(attempt.vain).difference(attempt.repeats)
            for index in reversed(attempt.indexes):
                source, message_type, command_id, *_ = commands[index]
                if index in effective:
                    followers[driver, source] = first_event_id(commands[index])
                elif index in vain and (follower := followers.get((driver, source))):
                    error = attempt.errors.get(index)
                    self._recent.open.add(command_id, source, message_type, error, follower)

    async def _undo_failed(self, attempt: Attempt) -> None:
        batch, failure = attempt.batch, attempt.failure
        assert failure is not None
        self.undo(attempt, failure)
        if isinstance(failure, RowsRefused):
            # The database refuses some row, for what it is. Commands are run alone then, so
            # that it costs its own sender an answer and nobody else.
            batch.alone = True
            if len(attempt.indexes) == 1:
                (index,) = attempt.indexes
                batch.left.remove(index)
                batch.conclude(index, failure)
        if batch.complete:
            self._line.answer(batch)
        elif batch.left and not batch.turned_away:
            self.postpone(batch)
            self._undone.append(batch)

    def _replaced(self, stale: StaleEpoch) -> State:
        self.state = State.REPLACED
        for batch in self._batches.values():
            self.turn_away(batch, HostUnavailable(self._name, "it was replaced"))
        raise stale

    async def _wait(self) -> State:
        try:
            await self._writer_back()
        except StoreUnavailable as error:
            self._gone = error
            return State.TURNING_AWAY
        return State.RERUNNING

    async def _turn_away(self) -> State:
        assert self._gone is not None
        for batch in self._undone:
            self._batches.pop(batch.number, None)
            self.turn_away(batch, self._gone)
        return State.RERUNNING

    async def _rerun(self) -> State:
        first = True
        while self._batches and not self._failed:
            batch = self._batches.pop(min(self._batches))
            if _sender(batch) in self._given_up:
                # Its driver sends both again, in order: this one must not run before.
                self._end(batch, HostUnavailable(self._name, _EARLIER))
            elif not self._exhausted(batch, first=first):
                await self._line.run_batch(batch)
            else:
                await self._give_up(batch)
            first = False
        return State.SETTLING if self._failed else State.WORKING

    def _exhausted(self, batch: Batch, *, first: bool) -> bool:
        """Count a rerun, unless another batch's failure is the reason for it. The first in
        line has none before it, so there is an end to reruns."""
        failure = batch.failure
        if failure is None or isinstance(failure, RowsRefused):
            return False  # not run yet; or one command less at every turn
        if first or not isinstance(failure, Discarded | Superseded):
            batch.tries += 1
        return batch.tries > self.TRIES

    async def _give_up(self, batch: Batch) -> None:
        """Nothing more is tried with the batch as it is; what is durable of it stays. Where
        the log refuses it, commands are run alone, so that the one it refuses costs its own
        sender an answer and nobody else."""
        failure = batch.failure
        assert failure is not None
        if not isinstance(failure, AppendRefused) or isinstance(failure, Superseded):
            self.turn_away(batch, HostUnavailable(self._name, str(failure)))
            return
        if batch.alone or len(batch.left) == 1:
            # Alone, the first that is left is the one that was undone.
            index = batch.left.pop(0)
            exhausted = RetriesExhausted(batch.commands[index][SOURCE], _why(failure))
            batch.conclude(index, exhausted)
        batch.alone, batch.tries, batch.failure = True, 0, None
        if batch.complete:
            self._line.answer(batch)
        else:
            await self._line.run_batch(batch)


def _why(failure: AppendRefused) -> str:
    """What the sender of a command is told that the log refuses. It was looked for in the log
    before it ran, by its first event's id: a duplicate is the id of a later event."""
    if isinstance(failure, DuplicateEvent):
        return f"an event of somebody else has the id that one of its own would have: {failure}"
    return str(failure)


def _sender(batch: Batch) -> tuple[bytes, int]:
    return batch.request.driver, batch.request.generation
