"""The attempts of a writer at the end of the log: each one transaction, sent until it is known.

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
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from store.appends import Acknowledged, Append, CheckpointMove, Commit, StateChange
from store.dead_letters import LetterChange, merged
from store.errors import AppendRefused, StaleEpoch, StoreError
from store.event_store import WRITER, CounterMove, EventStore
from store.rows.layout import EncodedRows, stamp

Stand = tuple[int, int]  #: a node's epoch, and the generation in it


class TooMuchInDoubt(StoreError):
    """The outcome of too many attempts is open. A writer that begins anew, in a new epoch,
    settles them all."""


@dataclass(slots=True, eq=False)
class Waiting:
    """An append and whoever waits for it."""

    append: Append
    done: "asyncio.Future[Acknowledged]"
    due: bool = False  #: all that its node sent before it has come
    settled: bool = False  #: acknowledged or refused; `done` also ends when its caller leaves

    @property
    def stand(self) -> Stand:
        return self.append.epoch, self.append.generation

    def acknowledge(self, done: Acknowledged) -> None:
        """It is durable."""
        self.settled = True
        if not self.done.done():
            self.done.set_result(done)

    def fail(self, error: StoreError) -> None:
        """It is refused, or nobody here is to wait for it any longer."""
        self.settled = True
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One transaction, as it is sent: on a retry the same, to the byte."""

    number: int
    first: int
    recorded_us: int
    rows: EncodedRows
    parts: Sequence[Waiting]

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1


class Attempts:
    """Where one incarnation of a writer stands in the log, and what it has sent behind that.

    `publish` is called after each commit, in commit order; `now_us` tells the commit time.
    """

    #: Attempts kept whose outcome is open, each with its rows.
    MAX_IN_DOUBT = 16

    def __init__(
        self, store: EventStore, *, publish: Callable[[Commit], None], now_us: Callable[[], int]
    ) -> None:
        # Set once:
        self._store = store
        self._publish = publish
        self._now_us = now_us
        # Changed by one task, the writer's:
        self._epoch = 0
        self._position = 0  #: the last that is known to be committed
        self._given = 0  #: numbers of attempts given out in this epoch
        self._doubtful: dict[int, Attempt] = {}  #: all of which begin behind `_position`

    @property
    def position(self) -> int:
        """The last position that is known to be committed."""
        return self._position

    @property
    def in_doubt(self) -> bool:
        """Is the outcome of any attempt open?"""
        return bool(self._doubtful)

    async def open(self, holder: str) -> None:
        """Take over: from now on no older writer can append."""
        epoch = await self._store.open_epoch(WRITER, holder)
        self._epoch, self._position = epoch.number, epoch.counter

    def stamped(self, batch: Sequence[Waiting], before: Attempt | None) -> Attempt:
        """The batch's rows as they are to stand at the head: `before`, where that is of the
        same appends and its place is still free."""
        if before is not None and before.first > self._position and before.parts == batch:
            return before
        recorded_us, first = self._now_us(), self._position + 1
        rows = _joined(batch)
        stamp(rows.data, rows.lengths, recorded_us, first)  # type: ignore[arg-type]
        self._given += 1
        return Attempt(
            number=self._given, first=first, recorded_us=recorded_us, rows=rows, parts=batch
        )

    async def make(self, attempt: Attempt) -> None:
        """Have one attempt happen: this one, or one in doubt that turns out to have. Raises
        AppendRefused, StoreUnavailable (then it is in doubt) and TooMuchInDoubt."""
        if self._doubtful and await self.find():
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
            if self._doubtful and await self.find():
                return
            raise
        self._happened(attempt)

    async def find(self) -> bool:
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

    async def _append(self, attempt: Attempt) -> None:
        ticks: dict[str, CounterMove] = {}
        # The last of each holder: what one that was replaced says is refused, not left out.
        checkpoints: dict[tuple[str, int], CheckpointMove] = {}
        states: dict[tuple[str, str], StateChange] = {}
        letters: list[LetterChange] = []
        for part in attempt.parts:
            append = part.append
            checkpoints |= {(each.name, each.epoch): each for each in append.checkpoints}
            states |= {(each.program, each.key): each for each in append.states}
            letters += append.letters
            ticks[append.node] = CounterMove(
                name=append.node, epoch=append.epoch, counter=append.tick
            )
        await self._store.append(
            attempt.rows,
            writer=CounterMove(name=WRITER, epoch=self._epoch, counter=attempt.last),
            nodes=list(ticks.values()),
            checkpoints=list(checkpoints.values()),
            states=list(states.values()),
            letters=merged(letters),
            attempt=attempt.number,
        )

    def _happened(self, attempt: Attempt) -> None:
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
        types, nodes = _types(attempt.parts), _nodes(attempt.parts)
        self._publish(
            Commit(first_position=attempt.first, rows=attempt.rows, types=types, nodes=nodes)
        )


def _joined(batch: Sequence[Waiting]) -> EncodedRows:
    lengths = array("I")
    for waiting in batch:
        lengths.extend(waiting.append.rows.lengths)
    return EncodedRows(bytearray().join(each.append.rows.data for each in batch), lengths)


def _types(parts: Sequence[Waiting]) -> dict[str, int]:
    """Events by type."""
    types: Counter[str] = Counter()
    for part in parts:
        types.update(part.append.types)
    return dict(types)


def _nodes(parts: Sequence[Waiting]) -> dict[str, int]:
    """Events by node. The dedicated hosts of an actor type are one: what is before the slash."""
    nodes: Counter[str] = Counter()
    for part in parts:
        nodes[part.append.node.partition("/")[0]] += len(part.append.rows)
    return dict(nodes)
