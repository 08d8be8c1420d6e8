"""A join of a stream with the latest event of another, as of the moment of each item.

An item waits until the watermark has passed its moment: then every event of the other stream that
is not late has come, and the answer is right at the first time in most cases. The other way, to
answer at once with what is there and to correct that, would put out a correction for most items of
two streams that are never quite in step. What comes late all the same corrects what is out, with
revisions as windows have them: within lateness from the state, beyond it from the log.

`within` bounds how old the other event may be. It is what bounds the state: without it, one event
of the other stream would be needed for ever.

The state of a key is `[waiting, out, others, revised, asked, done]`:

- waiting: `[moment, id, item]` of items whose moment the watermark has not passed.
- out: `[moment, id, item, id of the other, revision]` of those that are out, within lateness.
- others: `[moment, id, data]` of the other stream, `within` longer than that.
- revised: `[id, revision]` of items that are gone and were corrected, as with windows.
- asked: `[is it an item, moment, position]` of events for which the log is to be asked.
- done: the position of the last event for which that was done, or 0.
"""

from bisect import bisect_right, insort
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


_EMPTY: tuple[Any, ...] = ([], [], [], [], [], 0)
_Out = list[tuple[Any, int]]


class JoinLatest:
    """The stage of such a join; see Stage. An item that is an `Other` is of the other stream."""

    def __init__(self, within_us: int, lateness_us: int) -> None:
        self._within_us, self._lateness_us = within_us, lateness_us

    def step(self, key: str, items: list[Any], event: Event, state: Any, watermark_us: int) -> Turn:
        """Items wait, or are answered late; an event of the other stream is taken down, and
        corrects what is out."""
        kept = list(state or _EMPTY)
        if not items:
            return self._turn(kept, [], [])
        is_other = isinstance(items[0], Other)
        at_us, position = event.timestamp_us, event.position or 0
        out: _Out = []
        if is_other:
            self._take_other(key, event, kept, watermark_us, out)
        elif at_us >= watermark_us:
            held = [[at_us, event.id_bytes, plain_of(item)] for item in items]
            kept[0] = sorted([*kept[0], *held], key=_order)
        elif at_us >= watermark_us - self._lateness_us:
            for item in items:
                self._answer(key, [at_us, event.id_bytes, plain_of(item)], kept, out)
            kept[1] = [each for each in kept[1] if each[0] >= watermark_us - self._lateness_us]
        if at_us >= watermark_us - self._lateness_us or kept[5] == position:
            return self._turn(kept, out, [])
        asked = [not is_other, at_us, position]
        if asked in kept[4]:
            return self._turn(kept, out, [])
        kept[4] = [*kept[4], asked]
        gone_us = watermark_us - self._lateness_us
        until_us = min(at_us + self._within_us + 1, gone_us) if is_other else at_us + 1
        return self._turn(kept, out, [Stretch(at_us - self._within_us, until_us)])

    def due(self, key: str, state: Any, watermark_us: int) -> Turn:
        """Items whose moment has passed are answered; what is behind lateness goes."""
        kept = list(state or _EMPTY)
        out: _Out = []
        gone_us = watermark_us - self._lateness_us
        answered = bisect_right(kept[0], watermark_us - 1, key=_moment)
        for waiting in kept[0][:answered]:
            self._answer(key, waiting, kept, out)
        kept[0] = kept[0][answered:]
        gone = [each for each in kept[1] if each[0] < gone_us]
        kept[1] = [each for each in kept[1] if each[0] >= gone_us]
        for _, id, _, _, revision in gone:
            kept[3] = _noted(kept[3], id, revision)
        kept[2] = [each for each in kept[2] if each[0] >= gone_us - self._within_us]
        kept[5] = 0
        return self._turn(kept, out, [])

    def again(self, key: str, stretch: Stretch, read: Read, state: Any, watermark_us: int) -> Turn:
        """Late items are answered, and items that are gone are corrected, by all the log has."""
        kept = list(state or _EMPTY)
        out: _Out = []
        positions = {event.position or 0 for _, event in read}
        still = []
        for asked in kept[4]:
            is_item, at_us, position = asked
            if position not in positions or not stretch.start_us <= at_us < stretch.end_us:
                still.append(asked)
                continue
            known = [each for each in read if each[0] and (each[1].position or 0) <= position]
            if is_item:
                self._answer_from(key, known, position, out)
            else:
                gone_us = min(at_us + self._within_us + 1, watermark_us - self._lateness_us)
                self._correct_from(key, known, (at_us, gone_us, position), kept, out)
            kept[5] = position
        kept[4] = still
        return self._turn(kept, out, [])

    def _take_other(
        self, key: str, event: Event, kept: list[Any], watermark_us: int, out: _Out
    ) -> None:
        at_us, gone_us = event.timestamp_us, watermark_us - self._lateness_us
        if at_us < gone_us - self._within_us:
            return
        others = kept[2][:]
        insort(others, [at_us, event.id_bytes, event.data], key=_order)
        kept[2] = others
        if at_us >= watermark_us:
            return
        corrected = []
        for record in kept[1]:
            moment_us, id, plain, other_id, revision = record
            found = self._latest(others, moment_us)
            if found is not None and found[1] != other_id and at_us <= moment_us:
                revision += 1
                out.append(_joined(key, moment_us, id, item_of(plain), found, revision))
                record = [moment_us, id, plain, found[1], revision]  # noqa: PLW2901 - as it is now
            corrected.append(record)
        kept[1] = corrected

    def _answer(self, key: str, waiting: list[Any], kept: list[Any], out: _Out) -> None:
        at_us, id, plain = waiting
        found = self._latest(kept[2], at_us)
        out.append(_joined(key, at_us, id, item_of(plain), found, 1))
        record = [at_us, id, plain, None if found is None else found[1], 1]
        kept[1] = sorted([*kept[1], record], key=_order)

    def _answer_from(self, key: str, known: Read, position: int, out: _Out) -> None:
        others = _others(known, position)
        for items, event in known:
            if (event.position or 0) == position:
                for item in items:
                    found = self._latest(others, event.timestamp_us)
                    out.append(_joined(key, event.timestamp_us, event.id_bytes, item, found, 1))

    def _correct_from(
        self, key: str, known: Read, late: tuple[int, int, int], kept: list[Any], out: _Out
    ) -> None:
        at_us, until_us, position = late
        before, after = _others(known, position - 1), _others(known, position)
        for items, event in known:
            moment_us, id = event.timestamp_us, event.id_bytes
            if isinstance(items[0], Other) or not at_us <= moment_us < until_us:
                continue
            now = self._latest(after, moment_us)
            if now is None or now == self._latest(before, moment_us):
                continue
            revision = 1 + next((number for of, number in kept[3] if of == id), 1)
            kept[3] = _noted(kept[3], id, revision)
            out += [_joined(key, moment_us, id, item, now, revision) for item in items]

    def _latest(self, others: list[Any], at_us: int) -> Any:
        place = bisect_right(others, at_us, key=_moment) - 1
        if place < 0 or at_us - others[place][0] > self._within_us:
            return None
        return others[place]

    def _turn(self, kept: list[Any], out: _Out, again: list[Stretch]) -> Turn:
        waiting, answered, others = kept[0], kept[1], kept[2]
        moments = []
        if waiting:
            moments.append(waiting[0][0] + 1)
        if answered:
            moments.append(answered[0][0] + self._lateness_us + 1)
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


def _noted(revised: list[Any], id: bytes, revision: int) -> list[Any]:
    others = [each for each in revised if each[0] != id]
    return [*others, [id, revision]] if revision > 1 else others
