"""The timers that are due soon, in memory: as many as fire within a few seconds, of however many.

The table of timers (store/timers.py) is read in the order in which they are to be looked at, a page
at a time, up to a little ahead of now. Up to where it was read, its `reach`, all are here; what is
filed from then on is put here, too, if it is before that. So nothing is read twice, and a timer of
next year costs nothing here. What was taken to be fired is `at work` until the log says what became
of it.
"""

from heapq import heapify, heappop, heappush

from store.timers import FIRST, Place, Timer, TimerChanges

#: A source and a key.
Name = tuple[str, str]


class Window:
    """Of one incarnation of whoever fires them. Whoever changes the table says so here at once."""

    #: How far ahead is read.
    AHEAD_US = 10_000_000
    #: Timers that are here, about; where more are due at a time, they are read when there is room.
    MOST = 50_000
    #: Timers at work.
    AT_WORK = 20_000

    def __init__(self) -> None:
        self._pending: dict[Name, Timer] = {}
        self._order: list[Place] = []  # a heap; also of places where nothing is any more
        self._at_work: dict[Name, Timer] = {}
        self.reach = FIRST

    def __len__(self) -> int:
        return len(self._pending)

    def wants_more(self, now_us: int) -> bool:
        """Is the table to be read further?"""
        return len(self._pending) < self.MOST and now_us >= self._read_again_us()

    def until_us(self, now_us: int) -> int:
        """Up to which moment."""
        return now_us + self.AHEAD_US

    def read(self, timers: list[Timer], until_us: int, limit: int) -> None:
        """What the table has behind the reach: up to a moment, or so many."""
        for timer in timers:
            there = self._at_work.get((timer.source, timer.key))
            if there is None or (there.timer, there.occurrence) != (timer.timer, timer.occurrence):
                self._put(timer)
        self.reach = timers[-1].place if len(timers) >= limit else Place(until_us + 1, "", "")

    def filed(self, changes: TimerChanges) -> None:
        """The table has been changed."""
        for source, key in changes.gone:
            self._forget((source, key))
        for move in changes.moved:
            name = (move.source, move.key)
            known = self._pending.get(name) or self._at_work.get(name)
            self._forget(name)
            place = Place(move.look_us, *name)
            if place > self.reach:
                continue
            if known is None or known.timer != move.timer:
                self.reach = min(self.reach, Place(move.look_us, "", ""))  # it is read again
                continue
            self._put(
                known._replace(occurrence=move.occurrence, due_us=move.due_us, look_us=move.look_us)
            )
        for timer in changes.kept:
            self._forget((timer.source, timer.key))
            if timer.place <= self.reach:
                self._put(timer)
        if len(self._pending) > 2 * self.MOST:
            self._shrink()

    def take(self, now_us: int, most: int) -> list[Timer]:
        """Those that are to be fired now, so many, first things first; they are at work."""
        taken: list[Timer] = []
        order = self._order
        while (
            order
            and order[0].look_us <= now_us
            and len(taken) < most
            and len(self._at_work) < self.AT_WORK
        ):
            place = heappop(order)
            name = (place.source, place.key)
            timer = self._pending.get(name)
            if timer is not None and timer.place == place:
                del self._pending[name]
                self._at_work[name] = timer
                taken.append(timer)
        return taken

    def holds(self, timer: Timer) -> bool:
        """Is it at work still? Otherwise the log has said what has become of it."""
        return self._at_work.get((timer.source, timer.key)) is timer

    def put_back(self, timer: Timer, look_us: int) -> None:
        """It was taken, and is to be looked at in a moment."""
        if self.holds(timer):
            del self._at_work[timer.source, timer.key]
            self._put(timer._replace(look_us=look_us))

    def next_us(self, now_us: int) -> int:
        """When there is something to do next."""
        next_us = self._read_again_us() if len(self._pending) < self.MOST else None
        if self._order and len(self._at_work) < self.AT_WORK:
            first_us = self._order[0].look_us
            next_us = first_us if next_us is None else min(first_us, next_us)
        return now_us + self.AHEAD_US if next_us is None else next_us

    def _read_again_us(self) -> int:
        return self.reach.look_us - self.AHEAD_US // 2

    def _put(self, timer: Timer) -> None:
        self._pending[timer.source, timer.key] = timer
        heappush(self._order, timer.place)

    def _forget(self, name: Name) -> None:
        self._pending.pop(name, None)
        self._at_work.pop(name, None)

    def _shrink(self) -> None:
        """Back to what may be here: those that are due last are read again."""
        kept = sorted(self._pending.values(), key=lambda timer: timer.place)[: self.MOST]
        self._pending = {(timer.source, timer.key): timer for timer in kept}
        self._order = [timer.place for timer in kept]
        heapify(self._order)
        self.reach = kept[-1].place
