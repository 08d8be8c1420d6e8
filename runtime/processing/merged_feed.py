"""Following a merge of several logs, and putting on it what comes.

Whoever has read a merge to its end, and knows of more in the logs, puts that behind it; where
somebody else was quicker, that is the order, and is read. So any number of workers go by one merge,
and nobody is in charge of it.
"""

import asyncio
from collections.abc import Callable

from runtime.errors import fresh
from runtime.partition.pages_ahead import PagesAhead
from runtime.processing.logs_of_partitions import LogsOfPartitions
from runtime.processing.merging import MergedPage, Merging
from store.event_store import EventStore
from store.merges import Leg, Merge
from store.rows.layout import moment_at
from store.selection import Selection


class MergedFeed:
    """Pages of a merge from a place on. It ends with `close`, or with an error, which its reader is
    told: begun anew, it goes on. Lives in one event loop."""

    AHEAD_PAGES = 3
    AHEAD_BYTES = 8 * 1024 * 1024
    #: Legs that are read together, and positions of one log that one of them has at the most: where
    #: all logs have much, they take turns.
    LEGS, LEG = 200, 1_000
    #: Between two times that something is put on: each is a commit, and a leg of each log.
    ROUND_S = 0.05

    def __init__(
        self,
        store: EventStore,
        merge: Merge,
        logs: LogsOfPartitions,
        selection: Selection,
        after: int,
        on_change: Callable[[], None],
        now_us: Callable[[], int],
    ) -> None:
        self._store, self._merge, self._logs = store, merge, logs
        self._selection, self._after = selection, after
        self._on_change, self._now_us = on_change, now_us
        self._merging: Merging | None = None
        self._more = asyncio.Event()  #: one of the logs may have more
        self._next_s = 0.0  #: when something is put on again, at the earliest
        self._ahead = PagesAhead()
        self._error: Exception | None = None
        self._task = asyncio.ensure_future(self._fetch())

    def take(self) -> MergedPage | None:
        """The next page, if one is there. Raises what ended it."""
        try:
            page = self._ahead.take()
        except IndexError:
            if self._error is not None:
                raise fresh(self._error) from None
            return None
        assert isinstance(page, MergedPage)
        return page

    def close(self) -> None:
        """No page comes any more."""
        self._task.cancel()
        self._ahead.clear()
        if self._merging is not None:
            self._merging.close()

    async def _fetch(self) -> None:
        try:
            logs = await self._logs.all()
            merging = self._merging = await Merging.behind(
                self._after, self._merge, self._store, logs, self._selection, self._more.set
            )
            while True:
                await self._ahead.wait_room(self.AHEAD_PAGES, self.AHEAD_BYTES)
                legs = await self._store.merge_legs(self._merge, merging.place, self.LEGS)
                if legs := legs or await self._put_on(merging):
                    self._ahead.add(await merging.page(legs))
                    self._on_change()
        except Exception as error:
            self._error = error
            self._on_change()

    async def _put_on(self, merging: Merging) -> list[Leg]:
        """Wait until there is more, and put that behind the end; what was put there: nothing, where
        somebody else was quicker. Raises what has ended one of the logs."""
        while all(log.fetched <= log.position for log in merging.logs):
            self._more.clear()
            for log in merging.logs:
                log.check()
            await self._more.wait()
        wait_s = self._next_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self._next_s = asyncio.get_running_loop().time() + self.ROUND_S
        legs = await self._next_legs(merging)
        return legs if await self._store.extend_merge(self._merge, legs) else []

    async def _next_legs(self, merging: Merging) -> list[Leg]:
        """A leg of each log that has more."""
        legs: list[Leg] = []
        after, merged_us = merging.place, max(self._now_us(), merging.merged_us)
        for partition, log in enumerate(merging.logs):
            if (length := min(log.fetched - log.position, self.LEG)) <= 0:
                continue
            through = log.position + length
            await log.reach(through)
            newest_us, heard_us = merging.time.of(partition)
            for _, row in log.up_to(through):
                moment_us, heard_us = moment_at(row, 0), merged_us
                newest_us = moment_us if newest_us is None else max(newest_us, moment_us)
            legs.append(
                Leg(
                    after=after, partition=partition, log_after=log.position, length=length,
                    merged_us=merged_us, newest_us=newest_us, heard_us=heard_us,
                )
            )  # fmt: skip
            after += length
        return legs
