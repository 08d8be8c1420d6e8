"""Tumbling and sliding windows: those whose places are known before any event comes.

The state of a key is `[open, revised, asked, done]`:

- open: `[start, revision, accumulator]` of each window that is within lateness, ascending; the
  revision is 0 while no result is out. So it is bounded by lateness and the size of windows.
- revised: `[start, revision]` of each window that is gone and whose revision is above 1. One that
  came out once leaves nothing behind: that it was out is told by the log, which has an earlier
  event in it. So this grows with the windows that were ever corrected, by ten bytes or so each, and
  with nothing else; there is no other place from which their number could be told.
- asked: `[start, position]` of each window that is to be computed again, and for which event.
- done: the position of an event, and the windows that were computed again for it, because an event
  may have several items.
"""

from bisect import bisect_left
from typing import Any

from actors.event import Event
from streams.aggregation import Gathering
from streams.program import Stretch
from streams.stage import Read, Turn
from streams.windows import Replaced, Sliding, Tumbling, WindowResult

_EMPTY: tuple[list[Any], ...] = ([], [], [], [])


class AlignedWindows:
    """The stage of tumbling and sliding windows; see Stage."""

    def __init__(self, windows: Tumbling | Sliding, of: Gathering, lateness_us: int) -> None:
        self._windows, self._of, self._lateness_us = windows, of, lateness_us
        self._size_us, self._every_us = windows.size_us, windows.every_us
        self._add_of = of.add_of

    def step(self, key: str, items: list[Any], event: Event, state: Any, watermark_us: int) -> Turn:
        """Within lateness an item is added, and what is out already is corrected at once; what
        lies before is asked for."""
        open_, revised, asked, done = state or _EMPTY
        if not items:
            return self._turn(open_, revised, asked, done, [], [])
        if open_ and not done and self._every_us == self._size_us:
            # Nearly every event is of the last window that is open, and that is not out yet.
            start_us, revision, so_far = open_[-1]
            end_us = start_us + self._size_us
            if not revision and start_us <= event.timestamp_us < end_us and end_us > watermark_us:
                fresh = open_[:-1]
                fresh.append([start_us, 0, self._added(so_far, items, event)])
                return Turn([fresh, revised, asked, done], (), self._due_us(fresh))
        size_us, gone_us = self._size_us, watermark_us - self._lateness_us
        out: list[tuple[Any, int]] = []
        gone: list[int] = []
        fresh = open_[:]
        for start_us in self._windows.starts(event.timestamp_us):
            end_us = start_us + size_us
            if end_us <= gone_us:
                gone.append(start_us)
                continue
            place, record = _find(fresh, start_us)
            revision, so_far = (record[1], record[2]) if record else (0, self._of.zero())
            so_far = self._added(so_far, items, event)
            if end_us <= watermark_us:
                revision += 1
                out.append(self._result(key, start_us, revision, so_far))
            if record:
                fresh[place] = [start_us, revision, so_far]
            else:
                fresh.insert(place, [start_us, revision, so_far])
        if not gone and not done:
            return self._turn(fresh, revised, asked, done, out, [])
        position = event.position or 0
        done = done if done and done[0] == position else []
        wanted = [s for s in gone if s not in done[1:] and [s, position] not in asked]
        asked = [*asked, *([start_us, position] for start_us in wanted)]
        again = [Stretch(wanted[0], wanted[-1] + size_us)] if wanted else []
        return self._turn(fresh, revised, asked, done, out, again)

    def due(self, key: str, state: Any, watermark_us: int) -> Turn:
        """Windows that the watermark has passed come out; those behind lateness go."""
        open_, revised, asked, _ = state or _EMPTY
        out: list[tuple[Any, int]] = []
        fresh = []
        passed = bisect_left(open_, [watermark_us - self._size_us + 1])
        for record in open_[:passed]:
            start_us, revision, so_far = record
            if revision == 0:
                out.append(self._result(key, start_us, 1, so_far))
            if start_us + self._size_us + self._lateness_us > watermark_us:
                fresh.append(record if revision else [start_us, 1, so_far])
            elif revision > 1:
                revised = _noted(revised, start_us, revision)
        return self._turn(fresh + open_[passed:], revised, asked, [], out, [])

    def again(self, key: str, stretch: Stretch, read: Read, state: Any, watermark_us: int) -> Turn:
        """Each window of the stretch that was asked for is computed from all its events."""
        open_, revised, asked, done = state or _EMPTY
        positions = {event.position or 0 for _, event in read}
        out: list[tuple[Any, int]] = []
        still: list[list[int]] = []
        for start_us, position in asked:
            end_us = start_us + self._size_us
            inside = stretch.start_us <= start_us and end_us <= stretch.end_us
            if not inside or position not in positions:
                still.append([start_us, position])
                continue
            so_far, earlier = self._computed(read, start_us, end_us, position)
            revision = 1 + (_revision(revised, start_us) if earlier else 0)
            if revision > 1:
                revised = _noted(revised, start_us, revision)
            out.append(self._result(key, start_us, revision, so_far))
            done = [*done, start_us] if done and done[0] == position else [position, start_us]
        return self._turn(open_, revised, still, done, out, [])

    def _computed(self, read: Read, start_us: int, end_us: int, position: int) -> tuple[Any, bool]:
        """What a window comes to with the events up to a position, and whether it came to
        something before that."""
        so_far, earlier = self._of.zero(), False
        for items, event in read:
            theirs = event.position or 0
            if items and theirs <= position and start_us <= event.timestamp_us < end_us:
                so_far = self._added(so_far, items, event)
                earlier = earlier or theirs < position
        return so_far, earlier

    def _added(self, so_far: Any, items: list[Any], event: Event) -> Any:
        for item in items:
            so_far = self._add_of(so_far, item, event)
        return so_far

    def _result(
        self, key: str, start_us: int, revision: int, so_far: Any
    ) -> tuple[WindowResult, int]:
        end_us = start_us + self._size_us
        replaces = (Replaced(start_us, end_us, revision - 1),) if revision > 1 else ()
        value = self._of.result(so_far)
        result = WindowResult(key, start_us, end_us, revision, replaces, value)
        return result, result.at_us

    def _turn(
        self,
        open_: list[Any],
        revised: list[Any],
        asked: list[Any],
        done: list[Any],
        out: list[tuple[Any, int]],
        again: list[Stretch],
    ) -> Turn:
        kept = [open_, revised, asked, done] if open_ or revised or asked or done else None
        return Turn(kept, out, self._due_us(open_), again)

    def _due_us(self, open_: list[Any]) -> int | None:
        """When the first of these windows comes out, or goes. Those that are out come first."""
        if not open_:
            return None
        first_us, revision, _ = open_[0]
        due_us: int = first_us + self._lateness_us if revision else first_us
        if revision:
            for start_us, revision, _ in open_:
                if not revision:
                    due_us = min(due_us, start_us)
                    break
        return due_us + self._size_us


def _find(windows: list[Any], start_us: int) -> tuple[int, Any]:
    """Where the window is, or belongs, and its record if it has one."""
    place = bisect_left(windows, [start_us])
    if place < len(windows) and windows[place][0] == start_us:
        return place, windows[place]
    return place, None


def _revision(revised: list[Any], start_us: int) -> int:
    place = bisect_left(revised, [start_us])
    if place < len(revised) and revised[place][0] == start_us:
        return int(revised[place][1])
    return 1


def _noted(revised: list[Any], start_us: int, revision: int) -> list[Any]:
    place = bisect_left(revised, [start_us])
    known = place < len(revised) and revised[place][0] == start_us
    return [*revised[:place], [start_us, revision], *revised[place + known :]]
