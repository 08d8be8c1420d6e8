"""Which members of a group have been silent for too long, by the clock of whoever looks.

Silence is what passes between looks that see the same sign of life. After a look that failed it
begins anew, so that nobody is out because the database was away. Between two looks that came late
whoever looks may have hung, and others with it: so of that time little counts, but some, or a dead
member would never be out where looks are slow.
"""

from collections.abc import Mapping


class Silence:
    """What one member knows of the others."""

    #: Of the time between two looks, so many times that between two which are on time counts.
    COUNTED = 2

    def __init__(self, out_s: float, look_s: float) -> None:
        """Who is silent for `out_s` is out; looks are `look_s` apart, where they are on time."""
        self._out_s, self._look_s = out_s, look_s
        self._looked_s: float | None = None  # when the group was seen; None: not since it failed
        self._heard: dict[int, tuple[int, float]] = {}  # the last sign of each, and how old it is

    def failed(self) -> None:
        """The group was not seen: no silence of before says anything."""
        self._looked_s = None
        self._heard.clear()

    def see(self, signs: Mapping[int, int], now_s: float) -> set[int]:
        """These are the last signs of all others; who has been silent for too long."""
        since_s = now_s if self._looked_s is None else self._looked_s
        passed_s = min(now_s - since_s, self.COUNTED * self._look_s)
        self._looked_s = now_s
        before, self._heard = self._heard, {}
        for member, sign in signs.items():
            last, silent_s = before.get(member, (None, 0.0))
            self._heard[member] = (sign, silent_s + passed_s if sign == last else 0.0)
        return {member for member, (_, silent_s) in self._heard.items() if silent_s >= self._out_s}
