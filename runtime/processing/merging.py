"""Several logs, read as one: their rows in the order of a merge, each at its place in that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from runtime.partition.log_access import LogAccess
from runtime.processing.log_ahead import LogAhead
from runtime.processing.merged_time import MergedTime
from store.event_store import EventStore, Page
from store.merges import Leg, Merge, reached
from store.rows.layout import at_position, moment_at
from store.selection import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedPage(Page):
    """A stretch of a merge. `times`: how far event time has come by each event, by its place."""

    times: Mapping[int, int] = field(default_factory=dict)


class Merging:
    """From a place of a merge on. Lives in one event loop."""

    #: Bytes that a page has, a leg more or less.
    PAGE_BYTES = 4 * 1024 * 1024

    def __init__(
        self, place: int, time: MergedTime, merged_us: int, logs: Sequence[LogAhead]
    ) -> None:
        self.place = place  #: so far it has come
        self.time = time
        self.merged_us = merged_us  #: when the leg was put there that it has read last
        self.logs = tuple(logs)

    @classmethod
    async def behind(
        cls,
        place: int,
        merge: Merge,
        store: EventStore,
        logs: Sequence[LogAccess],
        selection: Selection,
        on_change: Callable[[], None] | None = None,
    ) -> Self:
        """Behind a place. With `on_change` what comes is followed (LogAhead). Raises
        StaleCheckpoint where the merge is gone, and StoreUnavailable."""
        last = await store.last_legs(merge, place)
        time = MergedTime.behind(len(logs), last)
        for leg in last:
            if leg.through > place:  # it is in the midst of this one
                before = await store.last_legs(merge, leg.after)
                time = MergedTime.behind(len(logs), before)
                time.begin(leg)
                log = LogAhead(logs[leg.partition], selection, leg.log_after)
                through = leg.log_after + place - leg.after
                await log.reach(through)
                for _, row in log.take(through):
                    time.hear(leg.partition, moment_at(row, 0))
        merged_us = max((leg.merged_us for leg in last), default=0)
        ahead = [
            LogAhead(log, selection, at, on_change)
            for log, at in zip(logs, reached(merge, place, last), strict=True)
        ]
        return cls(place, time, merged_us, ahead)

    async def page(self, legs: Sequence[Leg]) -> MergedPage:
        """What the next legs have, as many of them as go together. Raises StoreUnavailable, and
        what has ended one of the logs."""
        rows: list[bytes] = []
        times: dict[int, int] = {}
        size = 0
        for leg in legs:
            log = self.logs[leg.partition]
            await log.reach(leg.log_through)
            self.time.begin(leg)
            for position, row in log.take(leg.log_through):
                place = leg.after + position - leg.log_after
                times[place] = self.time.hear(leg.partition, moment_at(row, 0))
                rows.append(at_position(row, place))
                size += len(row)
            self.place, self.merged_us = leg.through, leg.merged_us
            if size > self.PAGE_BYTES:
                break
        return MergedPage(rows=b"".join(rows), through=self.place, times=times)

    def close(self) -> None:
        """Follow the logs no more."""
        for log in self.logs:
            log.close()
