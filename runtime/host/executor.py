"""A host's one line of work: load actors, decide, append, answer.

Batches are decided one after another, and their appends travel to the writer without
being waited for, so the state in memory runs ahead of the log. Nothing leaves before it
is durable: an attempt is when its append is acknowledged and so is everything that was
decided before it; a batch is answered when all its commands have durable outcomes. What
happens when an append fails stands in recovery.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runtime.errors import HandlerBlocked, HostFailed, HostUnavailable
from runtime.host.answering import Answering
from runtime.host.batch import Attempt, Batch
from runtime.host.decision import Decider
from runtime.host.host_metrics import HostMetrics
from runtime.host.mailbox import Mailbox
from runtime.host.recent import Recent
from runtime.host.recovery import Discarded, Recovery
from runtime.host.repeats import Lookups
from runtime.host.residents import Residents
from runtime.host.shards import Shards
from runtime.partition.journal import Journal, type_counts
from runtime.partition.writer_link import WriterAway
from runtime.wire.commands import ID, MESSAGE_TYPE, SOURCE
from runtime.wire.error_codec import text_of_error
from store.appends import Acknowledged
from store.errors import AppendRefused, StaleEpoch, StoreUnavailable
from store.event_store import Epoch, EventStore

logger = logging.getLogger("thornback.host")

#: Failures of an append that belong to the design; any other is logged whole.
_EXPECTED = (AppendRefused, StoreUnavailable, WriterAway, Discarded)


class Executor:
    """Runs batches from the mailbox for ever.

    `run` is the line of work; the tasks in `_finishing`, one an attempt, wait for what it
    has decided and change nothing that it is deciding on.

    More than fifteen fields: what the host has of everything, set once, the parts of its work that
    are classes of their own, and what is under way.
    """

    #: Appends on their way at once; more would only wait in the writer.
    WINDOW = 8

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
        shards: Shards | None = None,
    ) -> None:
        # What the host has of everything; the line of work alone decides with it.
        self._store = store
        self._mailbox = mailbox
        self._residents = residents
        self._decider = decider
        self._recent = recent
        self._journal = journal
        self._name = name
        self._shards = shards  # None: dedicated, to one actor, whatever its shard
        # Parts of the line of work that are concepts of their own.
        self._lookups = Lookups(store, recent)
        self._answering = Answering(store, residents, decider.clock, metrics, name=name)
        self._recovery = Recovery(
            self, mailbox, residents, recent, journal, decider.supervisor,
            writer_back=writer_back, name=name,
        )  # fmt: skip
        # What is under way: changed by the line of work and by the tasks in `_finishing`.
        self._last: Attempt | None = None  #: what was decided last and may still fail
        #: What was decided and is neither durable nor failed, with its append if it has rows.
        self._in_flight: dict[Attempt, asyncio.Task[Acknowledged] | None] = {}
        self._running: int | None = None  #: the number of the batch that is being decided
        self._finishing: set[asyncio.Task[None]] = set()  #: those of `_in_flight`, and answers
        self._window = asyncio.Semaphore(self.WINDOW)  #: held by each attempt in flight

    async def run(self) -> None:
        """Work until cancelled. Raises StaleEpoch when this host was replaced."""
        while True:
            batch = await self._mailbox.take()
            if self._recovery.needed:
                if batch is not None:
                    self._recovery.postpone(batch)  # after all that came before it
                await self._recovery.run()
            elif batch is not None:
                await self.run_batch(batch)
            if self._shards is not None and self._shards.some_leave and not self.troubled:
                await self._shards.give_away(self)

    async def wait_settled(self) -> None:
        """Wait until no append is under way."""
        while self._finishing:
            await asyncio.wait(self._finishing)

    def begin_anew(self) -> None:
        """What is decided next follows on nothing that is under way."""
        self._last = None

    @property
    def troubled(self) -> bool:
        """Is something to be undone, or run again, before anything else?"""
        return self._recovery.needed

    def begin_epoch(self, epoch: Epoch) -> None:
        """What is appended from now on is of this epoch; nothing is under way."""
        self._journal.begin_epoch(epoch)

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Forget the actors of such sources, and what became of their commands: they live
        elsewhere, and may come back changed."""
        self._residents.drop([source for source in self._residents.sources() if gone(source)])
        self._recent.forget_of(gone)

    async def run_batch(self, batch: Batch) -> None:
        """Run what is left of a batch, up to where its durability alone is open.

        Commands that must wait for an actor's rebuilding are left at first, and run by
        further attempts. What a failure elsewhere leaves over is left to the recovery.
        """
        shards = self._shards
        if shards is not None:
            if not shards.found_rightly(batch.request.shards):
                try:
                    why_not = await shards.why_not(self, batch)
                except StaleEpoch:
                    self._recovery.turn_away(batch, HostUnavailable(self._name, "it was replaced"))
                    raise
                if why_not is not None:
                    self._recovery.turn_away(batch, why_not)
                    return
            shards.loads.note(batch)
        self._running = batch.number
        going = True
        while going:
            attempt = batch.begin()
            if await self._decide(attempt):
                await self._send(attempt)
                await self._rebuild(attempt)
            going = bool(batch.left) and not (batch.turned_away or self._recovery.has_failed)
        self._running = None
        if batch.left and not batch.turned_away:
            self._recovery.postpone(batch)

    def answer(self, batch: Batch) -> None:
        """Answer a batch that is complete."""
        self.evict(batch)
        self._answering.answer(batch)

    def evict(self, batch: Batch) -> None:
        """A batch has come to its end: of the actors that no batch under way has touched, as
        many leave memory as may not stay."""
        in_flight = min((one.batch.number for one in self._in_flight), default=batch.number + 1)
        self._residents.evict(in_flight - 1)

    def evict_idle(self, through: int) -> None:
        """Actors leave memory that no batch above that number has touched, and none under way."""
        under_way = [one.batch.number for one in self._in_flight]
        if self._running is not None:  # what it has decided is in no append yet
            under_way.append(self._running)
        self._residents.evict_idle(min([through, *(number - 1 for number in under_way)]))

    async def _decide(self, attempt: Attempt) -> bool:
        """Decide an attempt; False if that could not be done, and nothing is left of it."""
        try:
            self._decider.clock.observe(attempt.batch.request.clock)
            await self._lookups.before(attempt)
            await self._load(attempt)  # last: from here to deciding nothing is evicted
            while await self._lookups.standing(attempt) and self._missing(attempt):
                await self._load(attempt)
            self._decider.decide(attempt)
            # Of now, not of when it is answered: nothing that comes later is in its past.
            clock, ticks = self._decider.clock.counts(), self._decider.clock.ticks
            await self._lookups.after(attempt)
            if attempt.repeats:
                await self._lookups.repeats(attempt)
            if self._decider.met.fresh:
                await self._decider.met.note(self._store)
            attempt.seal(clock, ticks)
            if attempt.vain:
                self._remember_vain(attempt)
        except Exception as error:
            await self._abandon(attempt, error)
            return False
        return True

    def _remember_vain(self, attempt: Attempt) -> None:
        """Before it is durable: what is decided next may follow on it."""
        add, commands, errors = self._recent.in_vain.add, attempt.batch.commands, attempt.errors
        for index in attempt.vain:
            if index not in attempt.repeats:
                one = commands[index]
                add(one[ID], one[SOURCE], one[MESSAGE_TYPE], errors.get(index))

    async def _load(self, attempt: Attempt) -> None:
        # Again, until all are there: while some are loaded, an answer may evict others, and
        # a class may be registered anew.
        while missing := self._missing(attempt):
            await self._residents.load(sorted(missing))  # the same order every time
            for resident in self._residents.without_snapshot():
                self._decider.snapshot_of_loaded(attempt, resident)

    def _missing(self, attempt: Attempt) -> set[str]:
        get = self._residents.get
        return {source for source in attempt.sources if get(source) is None}

    async def _abandon(self, attempt: Attempt, error: Exception) -> None:
        """It could not be decided. Where code of an actor was interrupted, the batch is run again
        without it (blocked.py), and if the same is interrupted once more, that costs the command
        it is run for; where the store went away, its batch is turned away; where something failed
        that should not, that costs the command it failed at."""
        batch = attempt.batch
        await self.wait_settled()  # what was decided before it is in the state that is thrown away
        self._decider.forget_fresh()
        if isinstance(error, HandlerBlocked):
            self._decider.clock.renew()
        batch.postpone(attempt.deferred)  # perhaps it did not come to its seal, which does that
        self._recovery.undo(attempt, error)
        if isinstance(error, HandlerBlocked) and _is_news(batch, error.at):
            return  # its batch is run again, without what was interrupted
        if isinstance(error, StoreUnavailable):
            self._recovery.turn_away(batch, error)
            return
        logger.error("%s: commands could not be run", self._name, exc_info=error)
        batch.alone = True
        if len(attempt.indexes) > 1:
            return
        for index in attempt.indexes:
            batch.left.remove(index)
            told = isinstance(error, HandlerBlocked)
            failure = error if told else HostFailed(self._name, text_of_error(error))
            batch.conclude(index, failure)
        if batch.complete:
            self.answer(batch)

    async def _send(self, attempt: Attempt) -> None:
        await self._window.acquire()
        append = None
        if attempt.types and not self._recovery.has_failed:
            types = type_counts(attempt.types)
            append = self._journal.append(attempt.effects.rows, types, attempt.ticks)
        task = asyncio.ensure_future(self._finish(attempt, append, self._last))
        self._last = attempt
        self._in_flight[attempt] = append
        self._finishing.add(task)
        task.add_done_callback(lambda done: self._finished(attempt, done))

    async def _finish(
        self, attempt: Attempt, append: "asyncio.Task[Acknowledged] | None", before: Attempt | None
    ) -> None:
        """Wait until an attempt is durable; answer its batch if that was the last of it."""
        try:
            if append is not None:
                attempt.effects.acknowledged = await append
            if before is not None:
                # Also with rows of its own: acknowledgements overtake one another, and an
                # answer may repeat events of the attempt before.
                await asyncio.shield(before.durable)
        except asyncio.CancelledError:
            if append is None or not append.cancelled():
                raise  # this task itself was
            self._fail(attempt, WriterAway("given up with an earlier append"))
            return
        except Exception as error:
            self._fail(attempt, error)
            return
        finally:
            del self._in_flight[attempt]
            self._window.release()
        if append is not None:
            self._decider.clock.keep(attempt.ticks)
        attempt.succeed()
        self._recent.keep(attempt.effects)
        if attempt.erased:
            self._recent.erase(frozenset(attempt.erased))
        if self._recent.open:
            for index in set(attempt.indexes).difference(attempt.deferred):
                self._recent.open.forget(attempt.batch.commands[index][ID])
        self._answering.durable(attempt)
        if attempt.stopped:
            self._decider.supervisor.settled(attempt)
        if attempt.batch.complete:
            self.answer(attempt.batch)

    def _fail(self, attempt: Attempt, error: Exception) -> None:
        if not isinstance(error, _EXPECTED):
            logger.error("%s: an append ended as it should not", self._name, exc_info=error)
        attempt.failure = error
        attempt.durable.set_exception(Discarded())
        attempt.durable.exception()  # looked at: one that nobody waits for is no leak
        self._recovery.failed(attempt)
        self._mailbox.wake()
        if isinstance(error, AppendRefused | StoreUnavailable | Discarded):
            return  # the writer has answered, and answers what follows, too
        # The writer may never have got this append, and would hold back what follows it.
        for append in self._in_flight.values():
            if append is not None:
                append.cancel()

    def _finished(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        self._finishing.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        logger.error("%s: a batch could not be finished", self._name, exc_info=error)
        attempt.batch.turn_away(HostFailed(self._name, text_of_error(error)))

    async def _rebuild(self, attempt: Attempt) -> None:
        """Before anything else is decided, actors that failed or whose class was replaced
        leave memory, once all that they decided is in the log."""
        if attempt.batch.alone:
            await self.wait_settled()
        if not attempt.rebuild:
            return
        await self.wait_settled()
        if not self._recovery.has_failed:
            self._residents.drop(attempt.rebuild)


def _is_news(batch: Batch, at: Sequence[Any]) -> bool:
    """Is what was interrupted so for the first time, as far as this batch knows? Whatever runs it
    again although it was noted, there is an end to that."""
    what = at[SOURCE], at[MESSAGE_TYPE], bytes(at[ID])
    known = what in batch.interrupted
    batch.interrupted.add(what)
    return not known
