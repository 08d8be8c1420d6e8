"""Timers of a store in memory: nothing of them survives it."""

from collections.abc import Collection

from store.timers import Hastened, Place, Timer, TimerChanges, Woken


class TimersInMemory:
    """By source and key."""

    def __init__(self) -> None:
        self._timers: dict[tuple[str, str], Timer] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def change(self, changes: TimerChanges) -> int:
        """By how many there are more of them now."""
        before = len(self._timers)
        for source_and_key in changes.gone:
            self._timers.pop(source_and_key, None)
        for move in changes.moved:
            there = self._timers.get((move.source, move.key))
            if there is not None and there.timer == move.timer:
                self._timers[move.source, move.key] = there._replace(
                    occurrence=move.occurrence, due_us=move.due_us, look_us=move.look_us
                )
        for timer in changes.kept:
            self._timers[timer.source, timer.key] = timer
        return len(self._timers) - before

    def of(self, source: str) -> list[Timer]:
        """Those of an actor."""
        return [timer for timer in self._timers.values() if timer.source == source]

    def hasten(self, beyond_us: int, limit: int) -> Hastened:
        """Those of a look beyond that have it as they are due, where they are due before: so many,
        the first ones first. How many."""
        late = [
            timer for timer in self._timers.values() if timer.look_us > max(beyond_us, timer.due_us)
        ]
        hastened = sorted(late, key=lambda timer: _order(timer.place))[:limit]
        for timer in hastened:
            self._timers[timer.source, timer.key] = timer._replace(look_us=timer.due_us)
        return Hastened(len(hastened), hastened[-1].look_us if hastened else None)

    def wake(
        self, sources: Collection[str], actor_types: Collection[str], beyond_us: int, limit: int
    ) -> Woken:
        """Those of such actors that were put off beyond a moment have a look as they are due: so
        many, the first ones first."""
        late = [
            timer
            for timer in self._timers.values()
            if timer.look_us > max(beyond_us, timer.due_us)
            and (timer.source in sources or timer.source.partition("/")[0] in actor_types)
        ]
        woken = sorted(late, key=lambda timer: _order(timer.place))[:limit]
        for timer in woken:
            self._timers[timer.source, timer.key] = timer._replace(look_us=timer.due_us)
        return Woken(len(woken), min((timer.due_us for timer in woken), default=None))

    def due(self, after: Place, until_us: int, limit: int, most_bytes: int) -> list[Timer]:
        """In their order, up to where their messages have so many bytes."""
        found = [
            timer
            for timer in self._timers.values()
            if timer.look_us <= until_us and _order(timer.place) > _order(after)
        ]
        taken: list[Timer] = []
        for timer in sorted(found, key=lambda timer: _order(timer.place))[:limit]:
            if most_bytes <= 0:
                break
            taken.append(timer)
            most_bytes -= len(timer.message)
        return taken


def _order(place: Place) -> tuple[int, bytes, bytes]:
    return place.look_us, place.source.encode(), place.key.encode()
