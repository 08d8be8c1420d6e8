"""Group commit: the appends that arrive while one commit runs share the next one.

An idle writer commits at once; it never waits for company. Appends of one node commit in
the order of their numbers (store/sequencing.py). When the store refuses a batch, its
appends are tried one by one: those in conflict are refused, with all that follow them
from the same node, and the others commit.

A commit whose connection is lost is in doubt until the store tells (store/attempts.py).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from store.appends import Acknowledged, Append, Commit
from store.attempts import Attempt, Attempts, Stand, TooMuchInDoubt, Waiting
from store.errors import (
    AppendRefused,
    RowsRefused,
    StaleEpoch,
    StoreUnavailable,
    Superseded,
)
from store.event_store import WRITER, EventStore
from store.sequencing import Sequencer, Why


class GroupCommit:
    """Commits appends to a store in batches of up to `batch_size` events and MAX_BYTES (one
    larger append goes alone). `publish` is called after each commit, in commit order.

    `now_us` tells the commit time; `patience_s` is how long an unreachable store is
    waited for before the appends in hand fail with StoreUnavailable.
    """

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
        self._batch_size = batch_size
        self._patience_s = patience_s
        # Appends on their way, from their arrival to their end; `append` adds, `run` takes:
        #: Nodes are as many as there are processes: none is forgotten.
        self._sequencer: Sequencer[str, Stand, Waiting] = Sequencer(max_senders=1_000_000)
        self._ready: deque[Waiting] = deque()  #: due, in order
        self._in_hand: list[Waiting] = []  #: taken out of `_ready`, to be settled next
        self._work = asyncio.Event()  #: for `run`: there is something in `_ready`
        self._some_settled = asyncio.Event()  #: for `wait_drained`
        #: Where this writer stands in the log; `run` alone changes it.
        self._attempts = Attempts(store, publish=publish, now_us=now_us)

    @property
    def position(self) -> int:
        """The last position this writer knows to be committed."""
        return self._attempts.position

    @property
    def backlog(self) -> int:
        """Appends that wait for a commit."""
        return len(self._ready)

    async def open(self, holder: str = "") -> None:
        """Take over: from now on no older writer can append."""
        await self._attempts.open(holder)

    async def append(self, append: Append) -> Acknowledged:
        """Commit in the node's order; returns when the rows are durable.

        Raises DuplicateEvent, VersionConflict, StaleEpoch, Superseded or RowsRefused (then
        nothing of it was stored), or StoreUnavailable (then its outcome is open).
        """
        waiting = Waiting(append, asyncio.get_running_loop().create_future())
        problem = append.rows.problem()
        arrival = self._sequencer.arrive(
            append.node, waiting.stand, append.sequence, waiting, taken=problem is None
        )
        _supersede(arrival.turned_away)
        if arrival.why is Why.NOT_TAKEN:
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
                    self._some_settled.set()
                self._work.clear()
        except StaleEpoch:
            self._give_up(StoreUnavailable("the log", "another writer took over"))
            raise
        except TooMuchInDoubt:
            self._give_up(StoreUnavailable("the log", "its writer begins anew"))
            raise
        finally:
            self._some_settled.set()  # all of it, where another writer took over

    async def _wait_for_work(self) -> None:
        """Wait for an append. What is in doubt may happen meanwhile, without one that would
        find out: it is looked for now and then, because the bus is owed it, too."""
        pause_s = self.LOOK_S
        while self._attempts.in_doubt:
            try:
                async with asyncio.timeout(pause_s):
                    await self._work.wait()
                return
            except TimeoutError:
                pause_s = min(pause_s * 2, self.LOOK_AT_LEAST_S)
            try:
                await self._attempts.find()
            except StoreUnavailable:
                continue  # it stays in doubt
        await self._work.wait()

    async def wait_drained(self) -> None:
        """Wait until everything that has arrived by now is committed or refused; not for what
        arrives meanwhile: under steady load there is always some. What came early is refused:
        when a system is drained it is of a host that is gone, because the others were drained
        before, and does not become due. Where the writer alone moves, hosts go on, and one whose
        append is refused runs it again."""
        there = (*self._in_hand, *self._ready)
        while not all(waiting.settled for waiting in there):
            self._some_settled.clear()
            await self._some_settled.wait()
        _supersede(self._sequencer.turn_away_early())

    def _overdue(self, waiting: Waiting) -> None:
        """An append has come long ago. If it is early still, what it follows is lost."""
        if not waiting.due:
            _supersede(self._sequencer.turn_away(waiting.append.node, waiting.stand))

    def _next_batch(self) -> list[Waiting]:
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

    async def _commit(self, batch: Sequence[Waiting]) -> None:
        """Settle every append of a batch, waiting up to `patience_s` for a store that is
        away."""
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        pause_s = 0.02
        attempt: Attempt | None = None
        while batch := self._standing(batch):
            attempt = self._attempts.stamped(batch, attempt)
            try:
                await self._attempts.make(attempt)
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

    def _standing(self, batch: Sequence[Waiting]) -> list[Waiting]:
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

    async def _refuse(self, batch: list[Waiting], refusal: AppendRefused) -> None:
        """The store refuses the batch: so each goes alone, to see whom it refuses."""
        if len(batch) > 1:
            for waiting in batch:
                await self._commit([waiting])
            return
        [refused] = batch
        _supersede(self._sequencer.turn_away(refused.append.node, refused.stand))
        refused.fail(refusal)

    def _give_up(self, error: StoreUnavailable) -> None:
        """Nobody here is to wait any longer; what is in doubt stays so."""
        for waiting in (*self._in_hand, *self._ready, *self._sequencer.turn_away_all()):
            if not waiting.settled:
                waiting.fail(error)
        self._ready.clear()


def _supersede(appends: Sequence[Waiting]) -> None:
    for waiting in appends:
        waiting.fail(Superseded(waiting.append.node, waiting.append.sequence))
