"""Group commit: the appends that arrive while one commit runs share the next one.

An idle writer commits at once; it never waits for company. Appends of one node carry
sequence numbers and commit in that order, because calls to an async actor may overtake
one another. When the store refuses a batch, its appends are tried one by one: those in
conflict are refused, with all that follow them from the same node, and the others
commit. After a lost connection the writer reads in the store whether its last commit
happened, so a commit is neither lost nor done twice.
"""

import asyncio
from array import array
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from store.appends import Acknowledged, Append, Commit
from store.errors import AppendRefused, StaleEpoch, StoreUnavailable, Superseded
from store.event_store import WRITER, CounterMove, EventStore
from store.rows.layout import EncodedRows, stamp


@dataclass(frozen=True, slots=True)
class _Committed:
    """One transaction: what it wrote, and where."""

    first: int
    recorded_us: int
    rows: EncodedRows
    appends: Sequence[Append]


@dataclass(slots=True)
class _Waiting:
    append: Append
    done: "asyncio.Future[Acknowledged]"


@dataclass(slots=True)
class _Order:
    """Where a node stands: the next append to take, and those that came too early."""

    epoch: int = 0
    generation: int = -1
    next: int = 0
    refused: bool = False
    early: dict[int, _Waiting] = field(default_factory=dict)


class Writer:
    """Commits appends to a store in batches of up to `batch_size` events (one larger
    append goes alone). `publish` is called after each commit, in commit order.

    `now_us` tells the commit time; `patience_s` is how long an unreachable store is
    waited for before the appends in hand fail with StoreUnavailable.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        batch_size: int,
        publish: Callable[[Commit], None],
        now_us: Callable[[], int],
        patience_s: float,
    ) -> None:
        self._store = store
        self._batch_size = batch_size
        self._publish = publish
        self._now_us = now_us
        self._patience_s = patience_s
        self._orders: dict[str, _Order] = {}
        self._ready: deque[_Waiting] = deque()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._epoch = 0
        self._position = 0
        self._in_doubt = False
        self._attempt: _Committed | None = None

    @property
    def position(self) -> int:
        """The last position this writer knows to be committed."""
        return self._position

    @property
    def backlog(self) -> int:
        """Appends that wait for a commit."""
        return len(self._ready)

    async def open(self) -> None:
        """Take over: from now on no older writer can append."""
        epoch = await self._store.open_epoch(WRITER)
        self._epoch, self._position = epoch.number, epoch.counter

    async def append(self, append: Append) -> Acknowledged:
        """Commit in the node's order; returns when the rows are durable.

        Raises DuplicateEvent, VersionConflict, StaleEpoch, Superseded (then nothing of
        it was stored), or StoreUnavailable (then its outcome is open).
        """
        order = self._admit(append)
        waiting = _Waiting(append, asyncio.get_running_loop().create_future())
        order.early[append.sequence] = waiting
        while (due := order.early.pop(order.next, None)) is not None:
            self._ready.append(due)
            order.next += 1
        if self._ready:
            self._idle.clear()
            self._work.set()
        return await waiting.done

    async def run(self) -> None:
        """Commit for ever. Raises StaleEpoch when another writer has taken over."""
        try:
            while True:
                await self._work.wait()
                while self._ready:
                    await self._commit_or_end(self._next_batch())
                self._work.clear()
                self._idle.set()
        finally:
            self._idle.set()  # one that was replaced has nothing to wait for either

    async def drained(self) -> None:
        """Wait until everything that arrived is committed or refused."""
        await self._idle.wait()

    def _admit(self, append: Append) -> _Order:
        order = self._orders.setdefault(append.node, _Order())
        stand = (append.epoch, append.generation)
        if append.epoch < order.epoch:
            raise StaleEpoch(append.node, append.epoch)
        if stand > (order.epoch, order.generation):
            self._refuse_early(order)
            order.epoch, order.generation = stand
            # Not its first append: the others went to another writer, or were overtaken by
            # this one. The node is to begin anew; nothing of this generation is awaited.
            order.next, order.refused = 0, append.sequence > 0
        if append.generation < order.generation or order.refused:
            raise Superseded(append.node, append.sequence)
        return order

    def _refuse_early(self, order: _Order) -> None:
        for waiting in order.early.values():
            _fail(waiting, Superseded(waiting.append.node, waiting.append.sequence))
        order.early.clear()

    def _next_batch(self) -> list[_Waiting]:
        batch = [self._ready.popleft()]
        room = self._batch_size - len(batch[0].append.rows)
        while self._ready and len(self._ready[0].append.rows) <= room:
            room -= len(self._ready[0].append.rows)
            batch.append(self._ready.popleft())
        return batch

    async def _commit_or_end(self, batch: list[_Waiting]) -> None:
        try:
            await self._commit(batch)
        except StaleEpoch:
            self._give_up(batch, StoreUnavailable("the log", "another writer took over"))
            raise

    async def _commit(self, batch: list[_Waiting]) -> None:
        batch = [waiting for waiting in batch if self._stands(waiting)]
        if not batch:
            return
        try:
            commit = await self._commit_once_there([waiting.append for waiting in batch])
        except StoreUnavailable as error:
            self._give_up(batch, error)
        except AppendRefused as refusal:
            if isinstance(refusal, StaleEpoch) and refusal.name == WRITER:
                raise
            if len(batch) == 1:
                self._refuse(batch[0], refusal)
            else:
                for waiting in batch:
                    await self._commit([waiting])
        else:
            self._acknowledge(batch, commit)

    def _stands(self, waiting: _Waiting) -> bool:
        append, order = waiting.append, self._orders[waiting.append.node]
        current = (order.epoch, order.generation) == (append.epoch, append.generation)
        if current and not order.refused:
            return True
        _fail(waiting, Superseded(append.node, append.sequence))
        return False

    async def _commit_once_there(self, appends: Sequence[Append]) -> _Committed:
        """Commit, waiting up to `patience_s` for a store that is away."""
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        pause_s = 0.02
        stood = -1
        while True:
            try:
                if self._in_doubt and (done := await self._resolve(appends)) is not None:
                    return done
                return await self._append(appends)
            except StaleEpoch as stale:
                # Another writer; or a commit of our own, which was still under way when we
                # looked whether it had happened.
                if stale.name != WRITER or self._in_doubt or stood == self._position:
                    raise
                self._in_doubt, stood = True, self._position
                continue
            except StoreUnavailable:
                self._in_doubt = True
                deadline = deadline or loop.time() + self._patience_s
                if loop.time() + pause_s > deadline:
                    raise
            await asyncio.sleep(pause_s)  # the server tells nobody when it is back
            pause_s = min(pause_s * 2, 0.5)

    async def _append(self, appends: Sequence[Append]) -> _Committed:
        ticks: dict[str, CounterMove] = {}
        for append in appends:
            ticks[append.node] = CounterMove(
                name=append.node, epoch=append.epoch, counter=append.tick
            )
        attempt = self._attempt
        if attempt is None or attempt.appends is not appends or attempt.first != self._position + 1:
            attempt = self._attempt = self._stamped(appends)
        last = self._position + len(attempt.rows)
        await self._store.append(
            attempt.rows,
            writer=CounterMove(name=WRITER, epoch=self._epoch, counter=last),
            nodes=list(ticks.values()),
        )
        self._position = last
        return attempt

    def _stamped(self, appends: Sequence[Append]) -> _Committed:
        """The rows as they are to stand at the head: on a retry the same, to the byte."""
        recorded_us, first = self._now_us(), self._position + 1
        rows = _joined(appends)
        stamp(rows.data, rows.lengths, recorded_us, first)  # type: ignore[arg-type]
        return _Committed(first, recorded_us, rows, appends)

    async def _resolve(self, appends: Sequence[Append]) -> "_Committed | None":
        """After a lost connection: did the commit in hand happen?"""
        present = (await self._store.epochs([WRITER])).get(WRITER)
        if present is None or present.number != self._epoch:
            raise StaleEpoch(WRITER, self._epoch)
        attempt, moved = self._attempt, present.counter > self._position
        # By its first event's id: an earlier attempt may have been still under way, too.
        done = (
            moved
            and attempt is not None
            and bool(await self._store.find_ids([bytes(attempt.rows.data[6:22])]))
        )
        self._in_doubt, self._position = False, present.counter
        if attempt is None or not done:
            return None
        if attempt.appends is appends:
            return attempt
        # Those who sent it were told that its outcome is open; the bus is still owed it.
        types = _types(attempt.appends)
        self._publish(Commit(first_position=attempt.first, rows=attempt.rows, types=types))
        return None

    def _acknowledge(self, batch: list[_Waiting], commit: _Committed) -> None:
        position = commit.first
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_result(
                    Acknowledged(first_position=position, recorded_us=commit.recorded_us)
                )
            position += len(waiting.append.rows)
        types = _types([waiting.append for waiting in batch])
        self._publish(Commit(first_position=commit.first, rows=commit.rows, types=types))

    def _refuse(self, waiting: _Waiting, refusal: AppendRefused) -> None:
        order = self._orders[waiting.append.node]
        order.refused = True
        self._refuse_early(order)
        _fail(waiting, refusal)

    def _give_up(self, batch: list[_Waiting], error: StoreUnavailable) -> None:
        for order in self._orders.values():
            order.refused = True
            for waiting in order.early.values():
                _fail(waiting, error)
            order.early.clear()
        for waiting in (*batch, *self._ready):
            _fail(waiting, error)
        self._ready.clear()


def _joined(appends: Sequence[Append]) -> EncodedRows:
    lengths = array("I")
    for append in appends:
        lengths.extend(append.rows.lengths)
    return EncodedRows(bytearray().join(append.rows.data for append in appends), lengths)


def _types(appends: Sequence[Append]) -> dict[str, int]:
    """Events by type."""
    types: Counter[str] = Counter()
    for append in appends:
        types.update(append.types)
    return dict(types)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)
