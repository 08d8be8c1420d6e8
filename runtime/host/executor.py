"""A host's one line of work: load actors, decide, append, answer; and recover.

Batches are decided one after another, and their appends travel to the writer without
being waited for, so the state in memory runs ahead of the log. Nothing leaves before it
is durable: an answer waits for its batch's append, a batch without rows for those
before it. When an append is refused, the state that ran ahead is thrown away, and the
batches concerned are run again on what the log says.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable

from actors.ids import event_id
from runtime.errors import HostUnavailable, RetriesExhausted
from runtime.host.batch import Batch
from runtime.host.decision import Decider
from runtime.host.host_metrics import HostMetrics
from runtime.host.mailbox import Mailbox
from runtime.host.recent import Recent
from runtime.host.repeats import rows_of_repeats
from runtime.host.residents import Residents
from runtime.partition.journal import Journal, type_counts
from runtime.partition.writer_link import WriterAway
from runtime.wire.commands import PUBLISH, Request
from store.appends import Acknowledged
from store.errors import AppendRefused, RowsRefused, StaleEpoch, StoreError, StoreUnavailable
from store.event_store import EventStore

logger = logging.getLogger("thornback.host")


class _Discarded(StoreError):
    """What this batch was decided on was thrown away."""


class Executor:
    """Runs batches from the mailbox for ever."""

    #: Appends on their way at once; more would only wait in the writer.
    WINDOW = 8
    #: Runs of one batch before its callers are told that the log refuses it.
    ATTEMPTS = 6
    #: Batches looked up in the log beforehand, after one that held repeats.
    LOOKUPS_AFTER_REPEAT = 16

    def __init__(
        self,
        store: EventStore,
        mailbox: Mailbox,
        residents: Residents,
        decider: Decider,
        recent: Recent,
        journal: Journal,
        metrics: HostMetrics,
        *,
        writer_back: Callable[[], Awaitable[None]],
        name: str,
    ) -> None:
        self._store = store
        self._mailbox = mailbox
        self._residents = residents
        self._decider = decider
        self._recent = recent
        self._journal = journal
        self._metrics = metrics
        self._writer_back = writer_back
        self._name = name
        self._last: Batch | None = None
        self._in_flight: dict[int, Batch] = {}
        self._finishing: set[asyncio.Task[None]] = set()
        self._failed: list[Batch] = []
        self._window = asyncio.Semaphore(self.WINDOW)
        self._lookups_left = 0
        self._errands: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until cancelled. Raises StaleEpoch when this host was replaced."""
        while True:
            batch = await self._mailbox.take()
            while self._failed:
                await self._recover()
            if batch is not None:
                await self._process(batch)

    async def settled(self) -> None:
        """Wait until no append is on its way."""
        while self._finishing:
            await asyncio.wait(self._finishing)

    async def _process(self, batch: Batch) -> None:
        """Take one batch to the point where only its durability is open."""
        try:
            self._decider.clock.observe(batch.request.clock)
            if self._lookups_left or batch.attempts:
                await self._look_up_all(batch)
            await self._load(batch)  # last: from here to deciding nothing is evicted
            self._decider.decide(batch, range(len(batch.commands)))
            await self._look_up_refused(batch)
        except Exception as error:
            if not isinstance(error, StoreUnavailable):
                logger.exception("%s: a batch could not be run", self._name)
            await self._abandon(batch, error)
            return
        # Of now, not of when it is answered: ticks of later batches may never be stored.
        batch.clock = self._decider.clock.counts()
        await self._window.acquire()
        append = None
        if batch.rows:
            types, ticks = type_counts(batch.types), self._decider.clock.ticks
            append = self._journal.append(batch.encoded(), types, ticks)
        task = asyncio.ensure_future(self._finish(batch, append, self._last))
        self._last, self._in_flight[batch.number] = batch, batch
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        if batch.rebuild:
            await self._rebuild(batch)

    async def _load(self, batch: Batch) -> None:
        get = self._residents.get
        # Again, until all are there: while some are loaded, an answer may evict others.
        while missing := {command[0] for command in batch.commands if get(command[0]) is None}:
            await self._residents.load(missing)

    async def _look_up_all(self, batch: Batch) -> None:
        """Which commands have taken effect before? One query for the whole batch."""
        await self._look_up(batch, range(len(batch.commands)))
        batch.checked = True
        self._lookups_left = (
            self.LOOKUPS_AFTER_REPEAT if batch.known else max(self._lookups_left - 1, 0)
        )

    async def _look_up_refused(self, batch: Batch) -> None:
        """A command that now finds nothing to do may have done it before: the answer is
        then the first run's, not the refusal."""
        doubtful = [] if batch.checked else batch.empty + batch.refusals
        if not doubtful:
            return
        await self._look_up(batch, doubtful)
        for index in doubtful:
            if batch.commands[index][2] in batch.known:
                self._lookups_left = self.LOOKUPS_AFTER_REPEAT
                batch.errors.pop(index, None)
                batch.repeated(index, None)

    async def _look_up(self, batch: Batch, indexes: Iterable[int]) -> None:
        commands = batch.commands
        first = {_first_event(commands[index]): commands[index][2] for index in indexes}
        batch.known |= {first[found] for found in await self._store.find_ids(list(first))}

    async def _abandon(self, batch: Batch, error: Exception) -> None:
        """The store went away while the batch was decided: undo, and say so."""
        batch.failure = error
        self._recent.forget(batch)
        await self.settled()
        self._residents.drop(_sources(batch))
        self._turn_away([batch], error)

    async def _finish(
        self, batch: Batch, append: "asyncio.Task[Acknowledged] | None", before: Batch | None
    ) -> None:
        """Wait until the batch is durable, then answer it."""
        try:
            if append is not None:
                batch.acknowledged = await append
            if before is not None:
                # Also with rows of its own: acknowledgements overtake one another, and an
                # answer may repeat events of the batch before.
                await asyncio.shield(before.durable)
        except (AppendRefused, StoreUnavailable, WriterAway, _Discarded) as error:
            batch.failure = error
            self._failed.append(batch)
            batch.durable.set_exception(_Discarded())
            batch.durable.exception()  # looked at: a batch that nobody waits for is no leak
            self._mailbox.wake()
            return
        finally:
            self._in_flight.pop(batch.number, None)
            self._window.release()
        batch.durable.set_result(None)
        if not batch.rebuild:
            await self._answer(batch)

    async def _answer(self, batch: Batch) -> None:
        self._recent.keep(batch)
        self._residents.evict(min(self._in_flight, default=batch.number + 1) - 1)
        self._metrics.batch_done(
            batch, len(self._residents), self._residents.evicted, loop_time() - batch.arrived_s
        )
        if batch.snapshots:
            self._errand(self._save_snapshots(batch))
        elsewhere: dict[int, bytes] = {}
        if batch.repeats and batch.request.want_events:
            try:
                elsewhere = await rows_of_repeats(self._store, batch)
            except StoreUnavailable as error:
                batch.turn_away(error)
                return
        if not batch.answer.done():
            batch.answer.set_result(batch.finish(elsewhere))

    async def _save_snapshots(self, batch: Batch) -> None:
        try:
            await self._store.save_snapshots(batch.snapshots)
            self._metrics.snapshots_saved(len(batch.snapshots))
        except StoreError as error:
            # Nothing is lost: the log has the events; the next snapshot is tried again.
            logger.warning("%s: snapshots not saved: %s", self._name, error)

    async def _rebuild(self, batch: Batch) -> None:
        """Actors of this batch failed: once all is durable, rebuild them from the log
        and run the commands that had to wait for it."""
        await self.settled()
        if self._failed:
            return  # the whole batch is run again
        self._residents.drop(batch.rebuild)
        if batch.deferred:
            child = await self._apart(batch, batch.deferred)
            if child.failure is not None:
                batch.failure = child.failure
                self._failed.append(batch)
                return
            batch.adopt(child)
        await self._answer(batch)

    async def _apart(self, batch: Batch, indexes: list[int]) -> Batch:
        """Run some commands of a batch as a batch of their own, to its end."""
        commands = [batch.commands[index] for index in indexes]
        child = Batch(batch.number, Request(b"", 0, 0, {}, True, commands))
        child.attempts = batch.attempts
        await self._process(child)
        await self.settled()
        self._failed = [one for one in self._failed if one is not child]
        return child

    async def _one_by_one(self, batch: Batch) -> None:
        """The database refuses some row of this batch, for what it is. Commands are run
        alone then, so that it costs its own sender an answer and nobody else."""
        batch.reset()
        for index in range(len(batch.commands)):
            child = await self._apart(batch, [index])
            if child.failure is None:
                batch.deferred = [index]
                batch.adopt(child)
                continue
            self._journal.begin_generation()
            self._last = None
            self._recent.forget(child)
            self._residents.drop(_sources(child))
            if not isinstance(child.failure, RowsRefused):
                # What ran before this one is stored: their driver is to send all of it again.
                gone = isinstance(child.failure, StoreUnavailable)
                away = HostUnavailable(self._name, str(child.failure))
                self._turn_away([batch], child.failure if gone else away)
                return
            batch.failed(index, child.failure)
        batch.failure = None
        await self._answer(batch)

    async def _recover(self) -> None:
        """Throw away what ran ahead, and run again what was not stored."""
        await self.settled()
        failed, self._failed = sorted(self._failed, key=lambda one: one.number), []
        causes = [batch.failure for batch in failed]
        logger.warning("%s: running %d batches again: %s", self._name, len(failed), causes[0])
        self._journal.begin_generation()
        self._last = None
        for batch in failed:
            self._recent.forget(batch)
            self._residents.drop(_sources(batch))
        for cause in causes:
            if isinstance(cause, StaleEpoch):
                self._turn_away(failed, HostUnavailable(self._name, "it was replaced"))
                raise cause
        gone = next((cause for cause in causes if isinstance(cause, StoreUnavailable)), None)
        if gone is None and any(isinstance(cause, WriterAway) for cause in causes):
            try:
                await self._writer_back()
            except StoreUnavailable as error:
                gone = error
        if gone is not None:
            self._turn_away(failed, gone)
            return
        given_up: set[tuple[bytes, int]] = set()
        for batch in failed:
            sender = (batch.request.driver, batch.request.generation)
            if sender in given_up:
                # Its driver sends both again, in order: this one must not run before.
                batch.turn_away(HostUnavailable(self._name, "an earlier batch was turned away"))
                continue
            await self._again(batch)
            if batch.turned_away:
                given_up.add(sender)

    async def _again(self, batch: Batch) -> None:
        batch.attempts += 1
        if isinstance(batch.failure, RowsRefused):
            await self._one_by_one(batch)
            return
        if batch.attempts >= self.ATTEMPTS:
            self._turn_away([batch], RetriesExhausted(self._name, str(batch.failure)))
            return
        batch.failure = None
        batch.reset()
        await self._process(batch)

    def _turn_away(self, batches: list[Batch], error: Exception) -> None:
        for batch in batches:
            self._mailbox.end_generation(batch)
            batch.turn_away(error)

    def _errand(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)


def loop_time() -> float:
    """Seconds of the running loop's clock."""
    return asyncio.get_running_loop().time()


def _first_event(command: list[object]) -> bytes:
    command_id: bytes = command[2]  # type: ignore[assignment]
    return command_id if command[1] == PUBLISH else event_id(command_id, 0)


def _sources(batch: Batch) -> set[str]:
    return {command[0] for command in batch.commands}
