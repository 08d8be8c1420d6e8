"""The timers that are due soon, in memory: as many as fire within a few seconds, of however many.

The table of timers (store/timers.py) is read in the order in which they are to be looked at, a page
at a time, up to a little ahead of now. Up to where it was read, its `reach`, all are here; what is
filed from then on is put here, too, if it is before that. So nothing is read twice, and a timer of
next year costs nothing here. What was taken to be fired is `at work` until the log says what became
of it.
"""

from collections import OrderedDict
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
    #: Bytes of the messages of either.
    BYTES = 64 * 1024 * 1024

    def __init__(self) -> None:
        self._pending: dict[Name, Timer] = {}
        self._order: list[Place] = []  # a heap; also of places where nothing is any more
        self._at_work: dict[Name, Timer] = {}
        #: Those at work of which their host says that it is done with them, and since when, in
        #: seconds: the first first.
        self._done: OrderedDict[Name, float] = OrderedDict()
        #: Those of the pending that were put back: the table has them where they were due, behind
        #: the reach, so nobody would read them again if they were dropped.
        self._early: set[Name] = set()
        #: Bytes of the messages of those that are pending and not early, of those that are early,
        #: and of those at work.
        self._bytes = self._early_bytes = self._work_bytes = 0
        self.reach = FIRST

    def __len__(self) -> int:
        """So many as reading the table may make fewer."""
        return len(self._pending) - len(self._early)

    def wants_more(self, now_us: int) -> bool:
        """Is the table to be read further?"""
        return self._has_room and now_us >= self._read_again_us()

    @property
    def _has_room(self) -> bool:
        return len(self) < self.MOST and self._bytes < self.BYTES

    @property
    def _may_work(self) -> bool:
        return len(self._at_work) < self.AT_WORK and self._work_bytes < self.BYTES

    def until_us(self, now_us: int) -> int:
        """Up to which moment."""
        return now_us + self.AHEAD_US

    def read(self, timers: list[Timer], until_us: int, *, more: bool) -> None:
        """What the table has behind the reach up to a moment; or the first of it, if there may be
        more."""
        for timer in timers:
            name = timer.source, timer.key
            there = self._at_work.get(name) or self._pending.get(name)
            if there is None or (there.timer, there.occurrence) != (timer.timer, timer.occurrence):
                self._put(timer)
            elif (
                name not in self._at_work
                and name not in self._early
                and there.look_us != timer.look_us
            ):
                self._put(timer)  # it was woken
        self.reach = timers[-1].place if more else Place(until_us + 1, "", "")

    def read_again(self) -> None:
        """What is not at work is read again, from the first on."""
        self._pending, self._order, self._early = {}, [], set()
        self._bytes = self._early_bytes = 0
        self.reach = FIRST

    def woken(self, first_us: int, now_us: int) -> None:
        """The table has some earlier than before, the first of them at a moment: it is read again
        from there. Where there is no room, what is not due yet makes some, and is read again."""
        self.reach = min(self.reach, Place(first_us, "", ""))
        if not self._has_room:
            for name, timer in list(self._pending.items()):
                if name not in self._early and timer.place > self.reach and timer.look_us > now_us:
                    self._drop(name)
            self._order = [timer.place for timer in self._pending.values()]
            heapify(self._order)

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
        if len(self) > 2 * self.MOST or self._bytes > 2 * self.BYTES:
            self._shrink()

    def take(self, now_us: int, most: int) -> list[Timer]:
        """Those that are to be fired now, so many, first things first; they are at work."""
        taken: list[Timer] = []
        order = self._order
        while order and order[0].look_us <= now_us and len(taken) < most and self._may_work:
            place = heappop(order)
            name = (place.source, place.key)
            timer = self._pending.get(name)
            if timer is not None and timer.place == place:
                self._drop(name)
                self._at_work[name] = timer
                self._work_bytes += len(timer.message)
                taken.append(timer)
        return taken

    def holds(self, timer: Timer) -> bool:
        """Is it at work still? Otherwise the log has said what has become of it."""
        return self._at_work.get((timer.source, timer.key)) is timer

    def done(self, timer: Timer, now_s: float) -> None:
        """Its host says so; the log will, too."""
        if self.holds(timer):
            self._done[timer.source, timer.key] = now_s

    def unheard(self, before_s: float) -> list[Timer]:
        """Those that were done before that, of which the log has not said so; they are told once,
        and are at work still."""
        found: list[Timer] = []
        while self._done:
            name = next(iter(self._done))
            if self._done[name] >= before_s:
                break
            del self._done[name]
            found.append(self._at_work[name])
        return found

    def put_back(self, timer: Timer, look_us: int) -> bool:
        """It was taken, and is to be looked at in a moment. False where too many are already: it is
        at work still, and waits in the table."""
        if not self.holds(timer):
            return True
        if len(self._early) >= self.AT_WORK or self._early_bytes >= self.BYTES:
            return False
        name = timer.source, timer.key
        self._leave(name)
        self._put(timer._replace(look_us=look_us))
        self._early.add(name)
        self._bytes -= len(timer.message)
        self._early_bytes += len(timer.message)
        return True

    def next_us(self, now_us: int) -> int:
        """When there is something to do next."""
        next_us = self._read_again_us() if self._has_room else None
        if self._order and self._may_work:
            first_us = self._order[0].look_us
            next_us = first_us if next_us is None else min(first_us, next_us)
        return now_us + self.AHEAD_US if next_us is None else next_us

    def _read_again_us(self) -> int:
        return self.reach.look_us - self.AHEAD_US // 2

    def _put(self, timer: Timer) -> None:
        name = timer.source, timer.key
        self._drop(name)
        self._pending[name] = timer
        self._bytes += len(timer.message)
        heappush(self._order, timer.place)

    def _drop(self, name: Name) -> None:
        timer = self._pending.pop(name, None)
        if name in self._early and timer is not None:
            self._early.discard(name)
            self._early_bytes -= len(timer.message)
        elif timer is not None:
            self._bytes -= len(timer.message)

    def _leave(self, name: Name) -> None:
        """It is at work no more."""
        timer = self._at_work.pop(name, None)
        if timer is not None:
            self._work_bytes -= len(timer.message)
            self._done.pop(name, None)

    def _forget(self, name: Name) -> None:
        self._drop(name)
        self._leave(name)

    def _shrink(self) -> None:
        """Back to what may be here: those that are due last are read again. What was put back is
        not: it stays."""
        early = [self._pending[name] for name in self._early]
        others = (timer for name, timer in self._pending.items() if name not in self._early)
        kept: list[Timer] = []
        self._bytes = 0
        for timer in sorted(others, key=lambda timer: timer.place)[: self.MOST]:
            if self._bytes >= self.BYTES:
                break
            kept.append(timer)
            self._bytes += len(timer.message)
        self.reach = kept[-1].place
        kept += early
        self._pending = {(timer.source, timer.key): timer for timer in kept}
        self._order = [timer.place for timer in kept]
        heapify(self._order)
