"""A join of a stream with the latest event of another, as of the moment of each item.

An item waits until the watermark has passed its moment: then every event of the other stream that
is not late has come, and the answer is right at the first time in most cases. The other way, to
answer at once with what is there and to correct that, would put out a correction for most items of
two streams that are never quite in step. What comes late all the same corrects what is out, with
revisions as windows have them: a late item is answered from the state within lateness, and beyond
it from the log; which items a late event of the other stream concerns is always asked of the log,
so that items need not be kept when they are out.

`within` bounds how old the other event may be. It is what bounds the state: without it, one event
of the other stream would be needed for ever.

The state of a key is `[waiting, others, revised, asked, done]`:

- waiting: `[moment, id, item]` of items whose moment the watermark has not passed.
- others: `[moment, id, data]` of the other stream, as far back as an item within lateness reaches.
- revised: `[id, revision]` of items that were corrected; as with windows, these alone make it grow.
- asked: `[is it an item, moment, position]` of events for which the log is to be asked.
- done: the position of the last event for which that was done, or 0.
"""

from bisect import bisect_left, bisect_right, insort
from typing import Any, NamedTuple

from actors.event import Event
from actors.ids import uuid_of
from streams.plain import item_of, plain_of
from streams.program import Stretch
from streams.stage import Read, Turn
from streams.windows import moment_text


class Joined(NamedTuple):
    """An item, and the data of the latest event of the other stream at its moment."""

    key: str
    item: Any
    other: dict[str, Any] | None  #: None where there was none `within` so long
    at_us: int
    of: str  #: the id of the item's event
    revision: int  #: 1, 2, 3 ...
    replaces: int | None  #: the revision that no longer holds

    @property
    def data(self) -> dict[str, Any]:
        """As JSON values."""
        item = self.item.data if isinstance(self.item, Event) else self.item
        return {
            "key": self.key, "item": item, "other": self.other, "of": self.of,
            "at": moment_text(self.at_us), "revision": self.revision, "replaces": self.replaces,
        }  # fmt: skip


class Other(NamedTuple):
    """An event of the other stream, on its way to the join."""

    event: Event


_EMPTY: tuple[Any, ...] = ([], [], [], [], 0)
_WAITING, _OTHERS, _REVISED, _ASKED, _DONE = range(5)
_Out = list[tuple[Any, int]]


class JoinLatest:
    """The stage of such a join; see Stage. An item that is an `Other` is of the other stream."""

    def __init__(self, within_us: int, lateness_us: int) -> None:
        self._within_us, self._lateness_us = within_us, lateness_us

    def step(self, key: str, items: list[Any], event: Event, state: Any, watermark_us: int) -> Turn:
        """Items wait, or are answered late; an event of the other stream is taken down."""
        kept = list(state or _EMPTY)
        if not items:
            return self._turn(kept, [], [])
        at_us, kept_from_us = event.timestamp_us, watermark_us - self._lateness_us
        if isinstance(items[0], Other):
            if at_us >= kept_from_us - self._within_us:
                record = [at_us, event.id_bytes, event.data]
                kept[_OTHERS] = _with(kept[_OTHERS], record)
            if at_us < watermark_us:
                until_us = min(at_us + self._within_us + 1, watermark_us)
                return self._asking(kept, False, event, until_us)
            return self._turn(kept, [], [])
        if at_us < kept_from_us:
            return self._asking(kept, True, event, at_us + 1)
        if at_us < watermark_us:
            found = self._latest(kept[_OTHERS], at_us)
            answers = [_joined(key, at_us, event.id_bytes, item, found, 1) for item in items]
            return self._turn(kept, answers, [])
        for item in items:
            record = [at_us, event.id_bytes, plain_of(item)]
            kept[_WAITING] = _with(kept[_WAITING], record)
        return self._turn(kept, [], [])

    def due(self, key: str, state: Any, watermark_us: int) -> Turn:
        """Items whose moment has passed are answered; others that no item can reach any more go."""
        kept = list(state or _EMPTY)
        waiting, others = kept[_WAITING], kept[_OTHERS]
        answered = bisect_left(waiting, watermark_us, key=_moment)
        out = [
            _joined(key, at_us, id, item_of(plain), self._latest(others, at_us), 1)
            for at_us, id, plain in waiting[:answered]
        ]
        kept_from_us = watermark_us - self._lateness_us - self._within_us
        kept[_WAITING] = waiting[answered:]
        kept[_OTHERS] = others[bisect_left(others, kept_from_us, key=_moment) :]
        kept[_DONE] = 0
        return self._turn(kept, out, [])

    def again(self, key: str, stretch: Stretch, read: Read, state: Any, watermark_us: int) -> Turn:
        """Late items are answered, and items that are out are corrected, by all the log has."""
        kept = list(state or _EMPTY)
        out: _Out = []
        positions = {event.position or 0 for _, event in read}
        still = []
        for asked in kept[_ASKED]:
            is_item, at_us, position = asked
            if position not in positions or not stretch.start_us <= at_us < stretch.end_us:
                still.append(asked)
                continue
            known = [each for each in read if each[0] and (each[1].position or 0) <= position]
            if is_item:
                self._answer(key, known, position, out)
            else:
                until_us = min(at_us + self._within_us + 1, watermark_us)
                self._correct(key, known, (at_us, until_us, position), kept, out)
            kept[_DONE] = position
        kept[_ASKED] = still
        return self._turn(kept, out, [])

    def _asking(self, kept: list[Any], is_item: bool, event: Event, until_us: int) -> Turn:
        """The log is asked, once for an event, however many items it has."""
        at_us, position = event.timestamp_us, event.position or 0
        asked = [is_item, at_us, position]
        if kept[_DONE] == position or asked in kept[_ASKED]:
            return self._turn(kept, [], [])
        kept[_ASKED] = [*kept[_ASKED], asked]
        return self._turn(kept, [], [Stretch(at_us - self._within_us, until_us)])

    def _answer(self, key: str, known: Read, position: int, out: _Out) -> None:
        others = _others(known, position)
        for items, event in known:
            if (event.position or 0) == position:
                at_us = event.timestamp_us
                found = self._latest(others, at_us)
                out += [_joined(key, at_us, event.id_bytes, item, found, 1) for item in items]

    def _correct(
        self, key: str, known: Read, late: tuple[int, int, int], kept: list[Any], out: _Out
    ) -> None:
        late_us, until_us, position = late
        before, after = _others(known, position - 1), _others(known, position)
        for items, event in known:
            at_us, id = event.timestamp_us, event.id_bytes
            if isinstance(items[0], Other) or not late_us <= at_us < until_us:
                continue
            now = self._latest(after, at_us)
            if now is None or now == self._latest(before, at_us):
                continue
            revision = 1 + next((number for of, number in kept[_REVISED] if of == id), 1)
            kept[_REVISED] = [*(each for each in kept[_REVISED] if each[0] != id), [id, revision]]
            out += [_joined(key, at_us, id, item, now, revision) for item in items]

    def _latest(self, others: list[Any], at_us: int) -> Any:
        place = bisect_right(others, at_us, key=_moment) - 1
        if place < 0 or at_us - others[place][0] > self._within_us:
            return None
        return others[place]

    def _turn(self, kept: list[Any], out: _Out, again: list[Stretch]) -> Turn:
        waiting, others = kept[_WAITING], kept[_OTHERS]
        moments = []
        if waiting:
            moments.append(waiting[0][0] + 1)
        if others:
            moments.append(others[0][0] + self._within_us + self._lateness_us + 1)
        state = kept if any(kept) else None
        return Turn(state, out, min(moments) if moments else None, again)


def _joined(
    key: str, at_us: int, id: bytes, item: Any, other: Any, revision: int
) -> tuple[Joined, int]:
    data = None if other is None else other[2]
    replaces = revision - 1 if revision > 1 else None
    return Joined(key, item, data, at_us, str(uuid_of(id)), revision, replaces), at_us


def _others(known: Read, position: int) -> list[Any]:
    """Those of the other stream up to a position, in their order."""
    events = [event for items, event in known if isinstance(items[0], Other)]
    found = [each for each in events if (each.position or 0) <= position]
    return sorted(([e.timestamp_us, e.id_bytes, e.data] for e in found), key=_order)


def _order(record: list[Any]) -> tuple[int, bytes]:
    return record[0], record[1]


def _moment(record: list[Any]) -> int:
    moment_us: int = record[0]
    return moment_us


def _with(records: list[Any], record: list[Any]) -> list[Any]:
    grown = records[:]
    insort(grown, record, key=_order)
    return grown
