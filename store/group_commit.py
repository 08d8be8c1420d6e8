"""Group commit: the appends that arrive while one commit runs share the next one.

An idle writer commits at once; it never waits for company. Appends of one node commit in
the order of their numbers (store/sequencing.py). When the store refuses a batch, its
appends are tried one by one: those in conflict are refused, with all that follow them
from the same node, and the others commit.

**In doubt.** When the connection is lost during a commit, the server may have done it,
may do it later, or never. The writer keeps what it attempted: each attempt has a number,
which the store keeps beside the writer's counter and moves with it, in the transaction of
the rows. All attempts in doubt begin at the same position, so the database lets at most
one of them happen, and its number says which. Whoever was in that one is acknowledged,
where its rows stand; everybody else is tried again behind it. So no commit is lost, none
is done twice, and nobody is acknowledged for rows that are not in the log, whatever
company they were attempted in.
"""

import asyncio
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from store.appends import Acknowledged, Append, CheckpointMove, Commit
from store.errors import (
    AppendRefused,
    RowsRefused,
    StaleEpoch,
    StoreError,
    StoreUnavailable,
    Superseded,
)
from store.event_store import WRITER, CounterMove, EventStore
from store.rows.layout import EncodedRows, stamp
from store.sequencing import Sequencer, Why

_Stand = tuple[int, int]  #: a node's epoch, and the generation in it


@dataclass(slots=True, eq=False)
class _Waiting:
    """An append and whoever waits for it."""

    append: Append
    done: "asyncio.Future[Acknowledged]"
    due: bool = False  #: all that its node sent before it has come
    settled: bool = False  #: acknowledged or refused; `done` also ends when its caller leaves

    @property
    def stand(self) -> _Stand:
        return self.append.epoch, self.append.generation

    def acknowledge(self, done: Acknowledged) -> None:
        self.settled = True
        if not self.done.done():
            self.done.set_result(done)

    def fail(self, error: StoreError) -> None:
        self.settled = True
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One transaction, as it is sent: on a retry the same, to the byte."""

    number: int
    first: int
    recorded_us: int
    rows: EncodedRows
    parts: Sequence[_Waiting]

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


class TooMuchInDoubt(StoreError):
    """The outcome of too many attempts is open. A writer that begins anew, in a new epoch,
    settles them all."""


class GroupCommit:
    """Commits appends to a store in batches of up to `batch_size` events and MAX_BYTES (one
    larger append goes alone). `publish` is called after each commit, in commit order.

    `now_us` tells the commit time; `patience_s` is how long an unreachable store is
    waited for before the appends in hand fail with StoreUnavailable.
    """

    #: Attempts kept whose outcome is open, each with its rows.
    MAX_IN_DOUBT = 16
    #: Bytes of one commit, unless a single append has more.
    MAX_BYTES = 64 * 1024 * 1024
    #: How long an append that came early is kept. A host that lives has sent what it follows by
    #: then, or has begun anew; of one that is gone for good nothing else will ever come.
    EARLY_S = 60.0
    #: How soon an idle writer looks for what is in doubt, and how often at the least.
    LOOK_S = 0.5
    LOOK_AT_LEAST_S = 10.0

    def __init__(
        self,
        store: EventStore,
        *,
        batch_size: int,
        publish: Callable[[Commit], None],
        now_us: Callable[[], int],
        patience_s: float,
    ) -> None:
        # Set once:
        self._store = store
        self._batch_size = batch_size
        self._publish = publish
        self._now_us = now_us
        self._patience_s = patience_s
        # Appends on their way, from their arrival to their end; `append` adds, `run` takes:
        #: Nodes are as many as there are processes: none is forgotten.
        self._sequencer: Sequencer[str, _Stand, _Waiting] = Sequencer(max_senders=1_000_000)
        self._ready: deque[_Waiting] = deque()  #: due, in order
        self._in_hand: list[_Waiting] = []  #: taken out of `_ready`, to be settled next
        self._work = asyncio.Event()  #: for `run`: there is something in `_ready`
        self._idle = asyncio.Event()  #: for `wait_drained`: there is nothing, nor in hand
        self._idle.set()
        # Where this writer stands in the log; `run` alone changes it:
        self._epoch = 0
        self._position = 0  #: the last that is known to be committed
        self._attempts = 0  #: numbers given out in this epoch
        self._doubtful: dict[int, _Attempt] = {}  #: all of which begin behind `_position`

    @property
    def position(self) -> int:
        """The last position this writer knows to be committed."""
        return self._position

    @property
    def backlog(self) -> int:
        """Appends that wait for a commit."""
        return len(self._ready)

    async def open(self, holder: str = "") -> None:
        """Take over: from now on no older writer can append."""
        epoch = await self._store.open_epoch(WRITER, holder)
        self._epoch, self._position = epoch.number, epoch.counter

    async def append(self, append: Append) -> Acknowledged:
        """Commit in the node's order; returns when the rows are durable.

        Raises DuplicateEvent, VersionConflict, StaleEpoch, Superseded or RowsRefused (then
        nothing of it was stored), or StoreUnavailable (then its outcome is open).
        """
        waiting = _Waiting(append, asyncio.get_running_loop().create_future())
        problem = append.rows.problem()
        arrival = self._sequencer.arrive(
            append.node, waiting.stand, append.sequence, waiting, taken=problem is None
        )
        _supersede(arrival.turned_away)
        if arrival.why is Why.REFUSED:
            raise RowsRefused(str(problem))
        if arrival.why is not None:
            newest = self._sequencer.newest(append.node)
            if newest is not None and append.epoch < newest[0]:
                raise StaleEpoch(append.node, append.epoch)
            raise Superseded(append.node, append.sequence)
        for due in arrival.due:
            due.due = True
        self._ready += arrival.due
        if not waiting.due:
            timer = asyncio.get_running_loop().call_later(self.EARLY_S, self._overdue, waiting)
            waiting.done.add_done_callback(lambda _: timer.cancel())
        if self._ready:
            self._idle.clear()
            self._work.set()
        return await waiting.done

    async def run(self) -> None:
        """Commit for ever. Raises StaleEpoch when another writer has taken over, and
        TooMuchInDoubt when this one should begin anew."""
        try:
            while True:
                await self._wait_for_work()
                while self._ready:
                    self._in_hand = self._next_batch()
                    await self._commit(self._in_hand)
                self._work.clear()
                self._idle.set()
        except StaleEpoch:
            self._give_up(StoreUnavailable("the log", "another writer took over"))
            raise
        except TooMuchInDoubt:
            self._give_up(StoreUnavailable("the log", "its writer begins anew"))
            raise
        finally:
            self._idle.set()  # one that was replaced has nothing to wait for either

    async def _wait_for_work(self) -> None:
        """Wait for an append. What is in doubt may happen meanwhile, without one that would
        find out: it is looked for now and then, because the bus is owed it, too."""
        pause_s = self.LOOK_S
        while self._doubtful:
            try:
                async with asyncio.timeout(pause_s):
                    await self._work.wait()
                return
            except TimeoutError:
                pause_s = min(pause_s * 2, self.LOOK_AT_LEAST_S)
            try:
                await self._find()
            except StoreUnavailable:
                continue  # it stays in doubt
        await self._work.wait()

    async def wait_drained(self) -> None:
        """Wait until everything that arrived is committed or refused. Hosts were drained
        before: what came early is of one that is gone, and does not become due."""
        await self._idle.wait()
        _supersede(self._sequencer.refuse_early())

    def _overdue(self, waiting: _Waiting) -> None:
        """An append has come long ago. If it is early still, what it follows is lost."""
        if not waiting.due:
            _supersede(self._sequencer.refuse(waiting.append.node, waiting.stand))

    def _next_batch(self) -> list[_Waiting]:
        batch = [self._ready.popleft()]
        room = self._batch_size - len(batch[0].append.rows)
        space = self.MAX_BYTES - len(batch[0].append.rows.data)
        while self._ready:
            rows = self._ready[0].append.rows
            room, space = room - len(rows), space - len(rows.data)
            if room < 0 or space < 0:
                break
            batch.append(self._ready.popleft())
        return batch

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        """Settle every append of a batch, waiting up to `patience_s` for a store that is
        away."""
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        pause_s = 0.02
        attempt: _Attempt | None = None
        while batch := self._standing(batch):
            if attempt is None or attempt.first <= self._position or attempt.parts != batch:
                attempt = self._stamped(batch)
            try:
                await self._try(attempt)
            except StoreUnavailable as error:
                deadline = deadline or loop.time() + self._patience_s
                if loop.time() + pause_s > deadline:
                    self._give_up(error)
                    return
                await asyncio.sleep(pause_s)  # the server tells nobody when it is back
                pause_s = min(pause_s * 2, 0.5)
            except AppendRefused as refusal:
                if isinstance(refusal, StaleEpoch) and refusal.name == WRITER:
                    raise
                await self._refuse(batch, refusal)

    def _standing(self, batch: Sequence[_Waiting]) -> list[_Waiting]:
        """What of a batch is still to be committed; what follows a refusal is not."""
        standing = []
        for waiting in batch:
            if waiting.settled:
                continue
            if self._sequencer.stands(waiting.append.node, waiting.stand):
                standing.append(waiting)
            else:
                _supersede((waiting,))
        return standing

    def _stamped(self, batch: list[_Waiting]) -> _Attempt:
        """The batch's rows as they are to stand at the head."""
        recorded_us, first = self._now_us(), self._position + 1
        rows = _joined(batch)
        stamp(rows.data, rows.lengths, recorded_us, first)  # type: ignore[arg-type]
        self._attempts += 1
        return _Attempt(
            number=self._attempts, first=first, recorded_us=recorded_us, rows=rows, parts=batch
        )

    async def _try(self, attempt: _Attempt) -> None:
        """Have one attempt happen: this one, or one in doubt that turns out to have."""
        if self._doubtful and await self._find():
            return
        again = attempt.number in self._doubtful
        if not again and len(self._doubtful) >= self.MAX_IN_DOUBT:
            raise TooMuchInDoubt
        self._doubtful[attempt.number] = attempt  # from when it is sent until it is known
        try:
            await self._append(attempt)
        except AppendRefused as refusal:
            # The writer's fence tells nothing yet: an attempt in doubt may have moved the
            # counter. Any other refusal is an answer to this attempt, sent for the first time.
            if not again and not (isinstance(refusal, StaleEpoch) and refusal.name == WRITER):
                del self._doubtful[attempt.number]
            if self._doubtful and await self._find():
                return
            raise
        self._happened(attempt)

    async def _append(self, attempt: _Attempt) -> None:
        ticks: dict[str, CounterMove] = {}
        checkpoints: dict[str, CheckpointMove] = {}
        for part in attempt.parts:
            append = part.append
            checkpoints |= {checkpoint.name: checkpoint for checkpoint in append.checkpoints}
            ticks[append.node] = CounterMove(
                name=append.node, epoch=append.epoch, counter=append.tick
            )
        await self._store.append(
            attempt.rows,
            writer=CounterMove(name=WRITER, epoch=self._epoch, counter=attempt.last),
            nodes=list(ticks.values()),
            checkpoints=list(checkpoints.values()),
            attempt=attempt.number,
        )

    async def _find(self) -> bool:
        """Has one of the attempts in doubt happened? Raises StaleEpoch if the counter moved
        otherwise: the log is another writer's."""
        present = (await self._store.epochs([WRITER])).get(WRITER)
        if present is None or present.number != self._epoch:
            raise StaleEpoch(WRITER, self._epoch)
        if present.counter == self._position:
            return False  # so far: it may yet happen, and then the next attempt does not
        happened = self._doubtful.get(present.attempt)
        if happened is None or happened.last != present.counter:
            raise StaleEpoch(WRITER, self._epoch)
        self._happened(happened)
        return True

    def _happened(self, attempt: _Attempt) -> None:
        """The attempt is in the log. Its rows moved the counter, so no other one in doubt ever
        will be; one without rows leaves it where it is."""
        if len(attempt.rows):
            self._doubtful.clear()
        else:
            self._doubtful.pop(attempt.number, None)
        self._position = attempt.last
        first = attempt.first
        for part in attempt.parts:
            part.acknowledge(Acknowledged(first_position=first, recorded_us=attempt.recorded_us))
            first += len(part.append.rows)
        # Also where nobody waits any more, being told that the outcome is open: the bus is
        # owed every commit.
        types = _types(attempt.parts)
        self._publish(Commit(first_position=attempt.first, rows=attempt.rows, types=types))

    async def _refuse(self, batch: list[_Waiting], refusal: AppendRefused) -> None:
        """The store refuses the batch: so each goes alone, to see whom it refuses."""
        if len(batch) > 1:
            for waiting in batch:
                await self._commit([waiting])
            return
        [refused] = batch
        _supersede(self._sequencer.refuse(refused.append.node, refused.stand))
        refused.fail(refusal)

    def _give_up(self, error: StoreUnavailable) -> None:
        """Nobody here is to wait any longer; what is in doubt stays so."""
        for waiting in (*self._in_hand, *self._ready, *self._sequencer.refuse_all()):
            if not waiting.settled:
                waiting.fail(error)
        self._ready.clear()


def _supersede(appends: Sequence[_Waiting]) -> None:
    for waiting in appends:
        waiting.fail(Superseded(waiting.append.node, waiting.append.sequence))


def _joined(batch: Sequence[_Waiting]) -> EncodedRows:
    lengths = array("I")
    for waiting in batch:
        lengths.extend(waiting.append.rows.lengths)
    return EncodedRows(bytearray().join(each.append.rows.data for each in batch), lengths)


def _types(parts: Sequence[_Waiting]) -> dict[str, int]:
    """Events by type."""
    types: Counter[str] = Counter()
    for part in parts:
        types.update(part.append.types)
    return dict(types)
