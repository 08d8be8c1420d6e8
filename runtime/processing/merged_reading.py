"""The logs of all partitions, read as one by a program that has its home in one of them.

In what order, its merge says (store/merges.py): the position of an event is its place there, and
all that is promised of a program that reads one log is promised of this one in that order.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from dataclasses import replace

from actors.event import Event
from runtime.partition.log_access import LogAccess
from runtime.processing.logs_of_partitions import LogsOfPartitions
from runtime.processing.merged_feed import MergedFeed
from runtime.processing.merging import MergedPage, Merging
from store.errors import StaleCheckpoint
from store.event_store import EventStore, Found, Page
from store.merges import Leg, Merge, reached
from store.rows.layout import at_position, position_at, split_rows
from store.selection import Selection
from streams.program import NEVER


class MergedReading:
    """What Reading is, over several logs."""

    #: Legs that are looked up together.
    LEGS = 2_000

    def __init__(
        self,
        program: str,
        store: EventStore,
        logs: LogsOfPartitions,
        now_us: Callable[[], int],
    ) -> None:
        """`store` is that of the partition where the program has its home."""
        self._program, self._store, self._logs, self._now_us = program, store, logs, now_us
        self._merge: Merge | None = None
        self._times: dict[int, int] = {}  # by place, of the page that was read last

    @property
    def logs(self) -> int:
        """See Reading."""
        return len(self._logs)

    def event_time(self, event: Event) -> int:
        """See Reading. One that was not read with those before it moves nothing: what is replayed
        comes with the watermark of when it came first."""
        return self._times.get(event.position or 0, NEVER)

    async def begin(self) -> None:
        """See Reading."""
        self._merge = await self._store.merge_of(self._program)
        self._times = {}
        if self._merge is None:
            raise StaleCheckpoint(self._program, 0)

    async def read(self, after: int, limit: int, selection: Selection) -> Page:
        """See Reading. Of a stretch of event time nobody asks how far that has come by it."""
        if selection.moments_us is not None:
            return await self._read_apart(after, after + limit, selection)
        logs = await self._logs.all()
        merging = await Merging.behind(after, self._there, self._store, logs, selection)
        while merging.place < after + limit:
            legs = await self._store.merge_legs(self._there, merging.place, self.LEGS)
            legs = _until(legs, after + limit)
            if not legs:
                break
            page = await merging.page(legs)
            if page.rows:
                return self._noted(page)
        return self._noted(MergedPage(rows=b"", through=merging.place))

    async def find_rows(self, event_ids: Sequence[bytes]) -> Found:
        """See Reading. Those that are in no leg yet are not found."""
        rows: list[bytes] = []
        more = False
        for partition, log in enumerate(await self._logs.all()):
            found = await log.ask(lambda store: store.find_rows(event_ids))
            more |= found.more
            rows += (row for _, row in await self._placed(partition, found.rows))
        return Found(rows=b"".join(rows), more=more)

    async def erased_keys(self) -> Mapping[tuple[str, int], Set[str]]:
        """See Reading. An actor is erased in the log of its own partition."""
        found: dict[tuple[str, int], Set[str]] = {}
        for log in await self._logs.all():
            found |= await log.ask(lambda store: store.erased_keys())
        return found

    def follow(self, selection: Selection, after: int, on_change: Callable[[], None]) -> "_Noting":
        """See Reading."""
        feed = MergedFeed(
            self._store, self._there, self._logs, selection, after, on_change, self._now_us
        )
        return _Noting(feed, self._noted)

    @property
    def _there(self) -> Merge:
        assert self._merge is not None
        return self._merge

    def _noted(self, page: MergedPage) -> MergedPage:
        self._times = dict(page.times)
        return page

    async def _read_apart(self, after: int, through: int, selection: Selection) -> Page:
        """Each log by itself, and what it has put at its place: few events of many legs."""
        last = [await self._store.last_legs(self._there, place) for place in (after, through)]
        first, end = (
            reached(self._there, place, legs)
            for place, legs in zip((after, through), last, strict=True)
        )
        rows: list[tuple[int, bytes]] = []
        for partition, log in enumerate(await self._logs.all()):
            async for page in _pages(log, first[partition], end[partition], selection):
                rows += await self._placed(partition, page.rows)
        rows.sort()
        return Page(rows=b"".join(row for _, row in rows), through=sum(end))

    async def _placed(self, partition: int, rows: bytes) -> list[tuple[int, bytes]]:
        """Rows of one log, at their places, but for those that have none."""
        by_position = {position_at(row, 0): row for _, row in split_rows(rows)}
        if not by_position:
            return []
        places = await self._store.places_in_merge(self._there, partition, list(by_position))
        return [
            (place, at_position(by_position[position], place)) for position, place in places.items()
        ]


class _Noting:
    """A feed, of which is noted what was read last."""

    def __init__(self, feed: MergedFeed, note: Callable[[MergedPage], MergedPage]) -> None:
        self._feed, self._note = feed, note

    def take(self) -> MergedPage | None:
        """See Following."""
        page = self._feed.take()
        return None if page is None else self._note(page)

    def close(self) -> None:
        """See Following."""
        self._feed.close()


def _until(legs: Sequence[Leg], through: int) -> list[Leg]:
    """Those up to a place; the one in which that is, as far as there."""
    return [
        replace(leg, length=min(leg.length, through - leg.after))
        for leg in legs
        if leg.after < through
    ]


async def _pages(
    log: LogAccess, after: int, through: int, selection: Selection
) -> AsyncIterator[Page]:
    while after < through:
        page = await log.read(after, through - after, selection)
        yield page
        after = page.through
