"""The tally: counts what the log has, each event once, and never makes publishing wait.

It is a function of the log alone: how many events of each type, and of each node, stand behind the
position at which the system was launched. What is counted is saved now and then, and whoever comes
later goes on from there, on whichever machine, so nothing is counted twice and nothing is lost.
What an earlier bus or writer did not come to, or what was missed, is counted out of the
log, in the background, before what followed it.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from store.appends import Commit
from store.errors import StoreUnavailable
from store.event_store import Page, Tallied
from store.rows.decoding import folds

logger = logging.getLogger("thornback.bus")

#: Is told how many events there are by now of those types and nodes that have become more, and up
#: to which position that is.
Show = Callable[[Mapping[str, int], Mapping[str, int], int], None]


class _Counts(NamedTuple):
    """How many events, by type and by node."""

    types: Mapping[str, int]
    nodes: Mapping[str, int]


class _Stretch(NamedTuple):
    """Events that follow one another."""

    first: int
    last: int
    counts: _Counts


class Tally:
    """Everything up to `counted` is counted. What waits for a stretch before it is bounded:
    beyond that it is counted out of the log, too."""

    MAX_WAITING = 1_000
    PAGE = 2_000
    PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0

    def __init__(
        self,
        tallied: Tallied,
        head: int,
        show: Show,
        read: Callable[[int, int], Awaitable[Page]],
        node_of: Callable[[str], str],
    ) -> None:
        """It goes on from `tallied`. Nothing is shown until it has come to `head`, where the log
        stands: who was before may have shown as much, and no counter is to go back. `read` reads
        the log after a position; `node_of` says who decides a source."""
        self.counted = tallied.through
        self._known = tallied.through  #: counted, or waiting to be
        self._launch, self._head = tallied.launch, head
        self._types, self._nodes = Counter(tallied.by_type), Counter(tallied.by_node)
        self._shown = False
        self._show = show
        self._read = read
        self._node_of = node_of
        self._waiting: deque[_Stretch] = deque()
        self._filling: asyncio.Task[None] | None = None
        if self.counted < head:
            self._known = head
            self._await(_Stretch(head + 1, head, _Counts({}, {})))
        else:
            self._tell(_Counts({}, {}))

    @property
    def tallied(self) -> Tallied:
        """What is counted, to be saved."""
        return Tallied(
            launch=self._launch,
            through=self.counted,
            by_type=dict(self._types),
            by_node=dict(self._nodes),
        )

    def add(self, commit: Commit) -> None:
        """A commit was published."""
        first, last = commit.first_position, commit.first_position + len(commit.rows) - 1
        if last <= self._known:
            return
        counts = _Counts(commit.types, commit.nodes)
        if first <= self._known:
            start = sum(commit.rows.lengths[: self._known + 1 - first])
            counts = self._counts_of(bytes(commit.rows.data[start:]))
            first = self._known + 1
        self._known = last
        self._await(_Stretch(first, last, counts))

    async def wait_settled(self) -> None:
        """Wait until nothing is left to count."""
        if self._filling is not None:
            await asyncio.shield(self._filling)

    def _await(self, stretch: _Stretch) -> None:
        self._waiting.append(stretch)
        if len(self._waiting) > self.MAX_WAITING:
            self._waiting = deque((self._waiting[-1],))
        self._settle()
        if self._waiting and (self._filling is None or self._filling.done()):
            self._filling = asyncio.ensure_future(self._fill())

    def _settle(self) -> None:
        while self._waiting and self._waiting[0].first == self.counted + 1:
            stretch = self._waiting.popleft()
            self._count(stretch.counts, stretch.last)

    def _count(self, counts: _Counts, through: int) -> None:
        self._types.update(counts.types)
        self._nodes.update(counts.nodes)
        self.counted = through
        if through >= self._head:
            self._tell(counts)

    def _tell(self, new: _Counts) -> None:
        types, nodes = new if self._shown else (self._types, self._nodes)
        self._shown = True
        self._show(
            {name: self._types[name] for name in types},
            {name: self._nodes[name] for name in nodes},
            self.counted,
        )

    async def _fill(self) -> None:
        """Count what is missing before the first that waits."""
        pause_s = self.PAUSE_S
        while self._waiting:
            missing = self._waiting[0].first - 1 - self.counted
            try:
                page = await self._read(self.counted, min(missing, self.PAGE))
                if page.through == self.counted:
                    raise StoreUnavailable("the log", f"it ends at {self.counted}")
            except Exception as error:
                # Whatever it is: the bus goes on, and the events are counted when it is over.
                if not isinstance(error, StoreUnavailable):
                    logger.exception("the log cannot be read for counting")
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self.LONGEST_PAUSE_S)
                continue
            pause_s = self.PAUSE_S
            self._count(self._counts_of(page.rows), page.through)
            self._settle()

    def _counts_of(self, rows: bytes) -> _Counts:
        types: Counter[str] = Counter()
        nodes: Counter[str] = Counter()
        for fold in folds(rows):
            types[fold.event_type.decode()] += 1
            nodes[self._node_of(fold.source[4:].decode())] += 1
        return _Counts(types, nodes)
