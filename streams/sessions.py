"""Session windows: those whose places the events make.

An event at t reaches `gap` far; what meets is one session. An event may so extend a session, or
join several. The result of what came of it then replaces theirs. If sessions that are out are
joined to one that is not over yet, theirs stand until it is: nothing takes a result back before
there is another one.

The state of a key is `[sessions, revised, asked, done]`:

- sessions: `[start, last, changed, out, accumulator]` of each that is within lateness, ascending:
  its first and its last moment, whether something came since a result was out, and the results
  that are out and are to be replaced, as `[start, end, revision]`.
- revised: `[start, revision]` of each that is gone, and whose revision is above 1 (see
  `streams/aligned.py`, also for how this is bounded).
- asked: `[moment, position]` of each event whose session is to be computed from the log.
- done: the position of the event for which that was last done, or 0.

A session that is gone has ended at or before the watermark less the lateness. So an event from that
moment on meets none of them, and all it meets is in the state; about an event before it the log is
asked, more and more of it until the session's two ends are in it.
"""

from collections.abc import Iterable
from typing import Any

from actors.event import Event
from streams.aggregation import Gathering
from streams.program import Stretch
from streams.stage import Read, Turn
from streams.windows import Replaced, Session, WindowResult

_EMPTY: tuple[Any, ...] = ([], [], [], 0)

_Out = list[tuple[Any, int]]


class SessionWindows:
    """The stage of session windows; see Stage."""

    def __init__(self, sessions: Session, of: Gathering, lateness_us: int) -> None:
        self._gap_us, self._of, self._lateness_us = sessions.gap_us, of, lateness_us

    def step(self, key: str, items: list[Any], event: Event, state: Any, watermark_us: int) -> Turn:
        """An event joins the sessions that it meets, or begins one."""
        sessions, revised, asked, done = state or _EMPTY
        at_us, position = event.timestamp_us, event.position or 0
        if not items:
            return self._turn(sessions, revised, asked, done, [], [])
        if at_us < watermark_us - self._lateness_us:
            if done == position or [at_us, position] in asked:
                return self._turn(sessions, revised, asked, done, [], [])
            near_us = 4 * self._gap_us
            again = [Stretch(at_us - near_us, at_us + near_us)]
            return self._turn(sessions, revised, [*asked, [at_us, position]], done, [], again)
        met = [each for each in sessions if self._meets(each, at_us)]
        so_far = self._of.zero() if not met else met[0][4]
        for other in met[1:]:
            so_far = self._of.merge(so_far, other[4])
        for item in items:
            so_far = self._of.add_of(so_far, item, event)
        first_us = min([at_us, *(each[0] for each in met)])
        last_us = max([at_us, *(each[1] for each in met)])
        replaced = [result for each in met for result in each[3]]
        joined = [first_us, last_us, True, replaced, so_far]
        out: _Out = []
        if last_us + self._gap_us <= watermark_us:
            joined = self._emitted(key, joined, out)
        kept = sorted([*(each for each in sessions if each not in met), joined], key=_start)
        return self._turn(kept, revised, asked, done, out, [])

    def due(self, key: str, state: Any, watermark_us: int) -> Turn:
        """Sessions that are over come out; those behind lateness go."""
        sessions, revised, asked, _ = state or _EMPTY
        out: _Out = []
        kept = []
        for session in sessions:
            if session[2] and session[1] + self._gap_us <= watermark_us:
                session = self._emitted(key, session, out)  # noqa: PLW2901 - as it is now
            if session[1] + self._gap_us + self._lateness_us > watermark_us:
                kept.append(session)
            else:
                revised = _noted(revised, session)
        return self._turn(kept, revised, asked, 0, out, [])

    def again(self, key: str, stretch: Stretch, read: Read, state: Any, watermark_us: int) -> Turn:
        """The sessions of events that were asked about, from all events of the log; where one
        reaches beyond the stretch, a wider one is asked for."""
        sessions, revised, asked, done = state or _EMPTY
        out: _Out = []
        still: list[list[int]] = []
        wider: list[Stretch] = []
        positions = {event.position or 0 for _, event in read}
        for at_us, position in asked:
            if position not in positions or not stretch.start_us <= at_us < stretch.end_us:
                still.append([at_us, position])
                continue
            events = self._around(at_us, [e for e in read if e[0] and _position(e) <= position])
            first_us, last_us = _at(events[0]), _at(events[-1])
            if not self._is_whole(stretch, first_us, last_us):
                width_us = stretch.end_us - stretch.start_us
                wide = Stretch(first_us - width_us, last_us + width_us)
                wider.append(Stretch(*_hull(wide, stretch)))
                still.append([at_us, position])
                continue
            inside = [each for each in sessions if first_us <= each[0] and each[1] <= last_us]
            before = [each for each in events if _position(each) < position]
            replaced, revised = self._replaced(before, inside, revised)
            joined = [first_us, last_us, True, replaced, self._computed(events)]
            if last_us + self._gap_us <= watermark_us:
                joined = self._emitted(key, joined, out)
            sessions = [each for each in sessions if each not in inside]
            if last_us + self._gap_us + self._lateness_us > watermark_us:
                sessions = sorted([*sessions, joined], key=_start)
            else:
                revised = _noted(revised, joined)
            done = position
        return self._turn(sessions, revised, still, done, out, wider)

    def _meets(self, session: list[Any], at_us: int) -> bool:
        return bool(session[0] - self._gap_us < at_us < session[1] + self._gap_us)

    def _is_whole(self, stretch: Stretch, first_us: int, last_us: int) -> bool:
        """Would every event that belongs to the session have been in the stretch?"""
        return stretch.start_us <= first_us - self._gap_us and (
            last_us + self._gap_us <= stretch.end_us
        )

    def _around(self, at_us: int, events: Read) -> Read:
        """The events of the session that a moment is in."""
        return next(each for each in self._apart(events) if _at(each[0]) <= at_us <= _at(each[-1]))

    def _apart(self, events: Read) -> Iterable[Read]:
        """The sessions of events, which are in the order of their moments."""
        session: list[tuple[list[Any], Event]] = []
        for each in events:
            if session and _at(each) - _at(session[-1]) >= self._gap_us:
                yield session
                session = []
            session.append(each)
        if session:
            yield session

    def _replaced(
        self, before: Read, inside: list[Any], revised: list[Any]
    ) -> tuple[list[Any], list[Any]]:
        """The results that are out for what a session consists of now. Sessions that are in the
        state say theirs; all others are gone, and so theirs are out."""
        of_state = {each[0]: each[3] for each in inside}
        replaced: list[Any] = []
        for session in self._apart(before):
            first_us, end_us = _at(session[0]), _at(session[-1]) + self._gap_us
            if first_us in of_state:
                replaced += of_state[first_us]
                continue
            revision = next((number for start, number in revised if start == first_us), 1)
            revised = [each for each in revised if each[0] != first_us]
            replaced.append([first_us, end_us, revision])
        return replaced, revised

    def _computed(self, events: Read) -> Any:
        so_far = self._of.zero()
        for items, event in events:
            for item in items:
                so_far = self._of.add_of(so_far, item, event)
        return so_far

    def _emitted(self, key: str, session: list[Any], out: _Out) -> list[Any]:
        """The session with its result out."""
        first_us, last_us, _, replaced, so_far = session
        end_us = last_us + self._gap_us
        revision = 1 + max((number for _, _, number in replaced), default=0)
        names = tuple(Replaced(*each) for each in sorted(replaced))
        value = self._of.result(so_far)
        result = WindowResult(key, first_us, end_us, revision, names, value)
        out.append((result, result.at_us))
        return [first_us, last_us, False, [[first_us, end_us, revision]], so_far]

    def _turn(
        self,
        sessions: list[Any],
        revised: list[Any],
        asked: list[Any],
        done: int,
        out: _Out,
        again: list[Stretch],
    ) -> Turn:
        kept = [sessions, revised, asked, done] if sessions or revised or asked or done else None
        ends = [each[1] if each[2] else each[1] + self._lateness_us for each in sessions]
        return Turn(kept, out, min(ends) + self._gap_us if ends else None, again)


def _start(session: list[Any]) -> int:
    start_us: int = session[0]
    return start_us


def _at(read: tuple[list[Any], Event]) -> int:
    return read[1].timestamp_us


def _position(read: tuple[list[Any], Event]) -> int:
    return read[1].position or 0


def _hull(one: Stretch, other: Stretch) -> tuple[int, int]:
    return min(one.start_us, other.start_us), max(one.end_us, other.end_us)


def _noted(revised: list[Any], session: list[Any]) -> list[Any]:
    """With the number of a session that goes, if it is to be kept."""
    ((start_us, _, revision),) = session[3]
    return sorted([*revised, [start_us, revision]]) if revision > 1 else revised
