"""A request, and its attempts.

What is known of a request for good is the Batch. What one run of some of its commands
decided is an Attempt, which is used once: commands that are to run again, or that had to
wait, do so in another attempt of the same batch. When every command has an outcome in an
attempt that is durable, the answer is put together from all of them.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from actors.lifecycle import LifecycleEvent
from actors.supervision import Restarts
from runtime.host.effects import Effects
from runtime.host.recent import Outcome
from runtime.host.resident import Resident
from runtime.wire.commands import ID, SOURCE, Answer, Request, turned_away
from runtime.wire.error_codec import EncodedError, encode_error
from store.event_store import Snapshot
from store.rows.layout import EncodedRows

#: Commands that an attempt is given at the least, where there are so many.
FEWEST = 32


class Batch:
    """The commands of one request. Its host's line of work alone changes it, but for
    `answer`, which whoever delivered the request waits for.

    More than fifteen fields: what was sent, what is left of it, what became of it, and how it is
    tried again.
    """

    def __init__(self, number: int, request: Request) -> None:
        self.number = number  #: its place among the host's batches; the mailbox gives it
        self.request = request
        self.commands: list[Any] = request.commands
        loop = asyncio.get_running_loop()
        self.arrived_s = loop.time()
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self.turned_away = False
        self.left: list[int] = list(range(len(self.commands)))  #: commands to be run, ascending
        self.under_way = 0  #: attempts that are neither durable nor undone
        self.attempts: list[Attempt] = []  #: those that are durable, in their order
        self.errors: dict[int, EncodedError] = {}  #: of commands that no attempt could finish
        self.failure: Exception | None = None  #: why its last undone attempt was
        self.tries = 0  #: how often it was begun again, by faults of its own
        self.alone = False  #: its commands are run one by one
        self.stretch = len(self.commands)  #: so many are run at a time, else
        self.refused: set[str] = set()  #: who rested at one of its commands
        self.interrupted: set[Any] = set()  #: what blocked while it was decided
        #: Who is not forgotten yet, as far as somebody knew who is to be loaded anew, by source.
        self.unforgotten: dict[str, Resident] = {}
        self.failures = 0  #: of handlers and appliers, in all its attempts

    @property
    def complete(self) -> bool:
        """Does every command have an outcome that is durable?"""
        return not (self.left or self.under_way or self.turned_away)

    @property
    def runs_again(self) -> bool:
        """Was an attempt of it undone?"""
        return self.failure is not None or self.alone

    def begin(self) -> "Attempt":
        """Run what is left: all of it, a stretch, or one command where they are to run alone."""
        stretch = 1 if self.alone else self.stretch
        indexes, self.left = self.left[:stretch], self.left[stretch:]
        self.under_way += 1
        return Attempt(self, indexes)

    def postpone(self, indexes: Iterable[int]) -> None:
        """These commands are to be run by another attempt."""
        self.left = sorted({*self.left, *indexes})

    def conclude(self, index: int, error: Exception) -> None:
        """The command's outcome is this error, whatever attempts there were."""
        self.errors[index] = encode_error(error)

    def turn_away(self, error: Exception) -> None:
        """Answer that nothing of the batch was run, or that its outcome is open."""
        if not self.answer.done():
            self.turned_away = True
            self.answer.set_result(turned_away(encode_error(error)))

    def outcome(self, clock: dict[str, int], elsewhere: Mapping[int, bytes]) -> Answer:
        """The answer, now that all of it is durable; `elsewhere` has the rows of repeats."""
        wanted = self.request.want_events
        first = self.attempts[0].effects if self.attempts else Effects()
        answer = Answer(
            clock=clock,
            total=sum(one.effects.of_commands for one in self.attempts),
            repeats={index for attempt in self.attempts for index in attempt.repeats},
            first_position=first.acknowledged.first_position,
            recorded_us=first.acknowledged.recorded_us,
            numbers=[],
            offsets=[],
            rows=b"",
            elsewhere={},
            values={},
            errors=self.errors,
        )
        for attempt in self.attempts:
            answer.values.update(attempt.values)
            answer.errors.update(attempt.errors)
        if wanted:
            self._put_rows(answer)
            answer.elsewhere.update(elsewhere)
        return answer

    def _put_rows(self, answer: Answer) -> None:
        """The rows of the first attempt as they are, those of reruns stamped, by command."""
        if not self.attempts:
            return
        first, *further = self.attempts
        commands, rows = self.commands, first.effects.rows
        counts = [0] * len(commands)
        for index in first.effective:
            counts[index] = first.effects.counts[commands[index][ID]]
        ends = list(accumulate(rows.lengths, initial=0))
        answer.numbers = list(accumulate(counts, initial=0))
        answer.offsets = [ends[number] for number in answer.numbers]
        answer.rows = bytes(rows.data)
        for attempt in further:
            rerun_rows = attempt.effects.rows_of(attempt.effects.counts.keys())
            for index in attempt.effective:
                answer.elsewhere[index] = rerun_rows[commands[index][ID]]


class Attempt:
    """One run of some commands of a batch; used once.

    Filled by the decider in one go, then only `effects.acknowledged`, `failure` and
    `durable` change: by the task that waits for its append. More than fifteen fields: a host
    makes one for every batch, and a second object for half of them would cost each command time.
    """

    __slots__ = (
        "batch",
        "checked",
        "clock",
        "deferred",
        "durable",
        "effects",
        "erased",
        "errors",
        "failure",
        "found",
        "in_vain",
        "indexes",
        "known",
        "lifecycle",
        "raised",
        "rebuild",
        "repeats",
        "restarts",
        "rows",
        "snapshots",
        "standing",
        "stopped",
        "taken",
        "ticks",
        "types",
        "untold",
        "vain",
        "values",
    )  # fmt: skip

    def __init__(self, batch: Batch, indexes: Sequence[int]) -> None:
        # What it is to run, and what the log knows of that beforehand.
        self.batch = batch
        self.indexes = indexes
        self.known: set[bytes] = set()  #: ids of commands that the log has events of
        self.taken: set[int] = set()  #: indexes of those whose id another actor's event has
        self.checked = False  #: `known` is complete
        self.standing: dict[bytes, Outcome] = {}  #: by id: what an undone attempt says of them
        # What was decided: an outcome for each command, by its index.
        self.effects = Effects()  #: of those with events; it outlives the attempt
        self.errors: dict[int, EncodedError] = {}
        self.raised: dict[int, list[str]] = {}  #: where commands were rejected: of the first few
        self.untold: dict[int, EncodedError] = {}  #: what timers failed at that have fired so
        self.values: dict[int, bytes] = {}
        self.repeats: dict[int, Effects | None] = {}  #: where it ran first; None: in the log
        self.found: dict[int, bytes] = {}  #: the rows of those in the log, if anybody wants them
        self.in_vain: list[int] = []  #: without effect now, but perhaps they had one before
        self.vain: list[int] = []  #: those of them that a handler has decided in this attempt
        self.deferred: list[int] = []  #: without an outcome: their actor is to be rebuilt first
        # What becomes of it beside the answer.
        self.rows: list[bytes] = []  #: emptied when they are put together for the append
        self.types: list[str] = []  #: of each row, for the metrics
        self.rebuild: set[str] = set()  #: actors to be rebuilt before their next command
        self.stopped: dict[str, Resident] = {}  #: actors that it has stopped, by source
        self.erased: tuple[str, ...] = ()  #: sources of which nothing is to be remembered
        #: What failures have led to, each with the command that failed: its last rows.
        self.lifecycle: list[tuple[Resident, LifecycleEvent, Any]] = []
        #: What was remembered before its failures, and by which change (Supervisor).
        self.restarts: dict[str, tuple[Restarts, int]] = {}
        self.snapshots: list[Snapshot] = []  #: to be saved once it is durable
        self.clock: dict[str, int] = {}  #: the node's, when all was decided
        self.ticks = 0  #: the node's own, when all was decided
        # How it ends: durable, or undone because of a failure.
        self.durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failure: Exception | None = None

    @property
    def sources(self) -> set[str]:
        """Whom its commands are for."""
        return {self.batch.commands[index][SOURCE] for index in self.indexes}

    @property
    def effective(self) -> list[int]:
        """Its commands that have events in its effects. An id alone does not tell: the same
        one may have come before, and have been rejected."""
        without = {*self.errors, *self.values, *self.repeats, *self.in_vain, *self.deferred}
        return [index for index in self.indexes if index not in without]

    def failed(self, index: int, error: Exception) -> None:
        """The command's answer is an error."""
        self.errors[index] = encode_error(error)

    def without_effect(self, index: int, error: Exception) -> None:
        """An error that stands unless the command turns out to be a repeat."""
        self.failed(index, error)
        self.in_vain.append(index)

    def refused(self, index: int, error: Exception) -> None:
        """The actor takes no commands, and the command's answer says so; also where it is sent
        again because that was lost, although the actor takes commands by then."""
        self.without_effect(index, error)
        self.vain.append(index)

    def tell(self, resident: Resident, event: LifecycleEvent, command: Any) -> None:
        """Put an event that no handler has made behind all others."""
        resident.batch = self.batch.number  # it stays in memory until that is durable
        self.lifecycle.append((resident, event, command))

    def repeated(self, index: int) -> None:
        """After all: the command took effect before, and the log has its events."""
        self.errors.pop(index, None)
        self.repeats[index] = None

    def took_effect(self, index: int) -> None:
        """After all: the command has events, though code of its actor has failed."""
        if (error := self.errors.pop(index, None)) is not None:
            self.untold[index] = error
        for noted in (self.in_vain, self.vain):
            if index in noted:
                noted.remove(index)

    def seal(self, clock: dict[str, int], ticks: int) -> None:
        """All is decided: what is deferred goes back to the batch, the rows become one piece."""
        self.clock, self.ticks = clock, ticks
        self.batch.postpone(self.deferred)
        decided = len(self.indexes) - len(self.deferred)
        # Where each command that is decided defers all the others, as those of one actor that fails
        # again and again do, going through all of them each time takes longer than all else.
        self.batch.stretch = max(2 * decided, FEWEST) if self.deferred else len(self.batch.commands)
        if self.rows:
            self.effects.rows = EncodedRows.of(self.rows)
            self.rows = []

    def succeed(self) -> None:
        """It is durable, and so is all that was decided before it."""
        self.batch.under_way -= 1
        self.batch.attempts.append(self)
        self.durable.set_result(None)

    def undo(self, failure: Exception) -> None:
        """Nothing of it stands: its commands are the batch's to run again."""
        ran = set(self.indexes).difference(self.deferred)
        self.batch.under_way -= 1
        self.batch.failure = failure
        self.batch.postpone(ran)
