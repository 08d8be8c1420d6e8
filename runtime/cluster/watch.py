"""Does the system that has a database live? Judged by whether its signs change, and by one clock.

Two machines' clocks need not agree, and a database's may be set. So no time that somebody else
wrote down is compared with anything: whoever wants the database looks at the sign of life in it
again and again, while the time that counts passes on a clock of his own.
"""

from collections.abc import Callable
from enum import Enum, auto

from store.postgres.claims import Claim, Sign


class Verdict(Enum):
    """What is known so far."""

    DOUBT = auto()  #: it has given no sign yet, and has not been silent for long enough
    ALIVE = auto()  #: its sign has changed since the first look
    DEAD = auto()  #: it was silent for as long as a system may be


class Watch:
    """One watch over a claim, from its first look on."""

    def __init__(self, *, lapse_s: float, gap_s: float, now_s: Callable[[], float]) -> None:
        """`lapse_s` of silence make a system dead. Between two looks, `gap_s` at the most count
        as silence: for longer nobody listened, and a database that was away for the watcher was
        perhaps away for the watched one, too. `now_s` is a clock that nobody sets."""
        self._lapse_s, self._gap_s, self._now_s = lapse_s, gap_s, now_s
        self._sign: Sign | None = None  #: as the first look found it
        self._looked_s = 0.0  #: when the last look was
        self.silent_s = 0.0  #: how much silence was listened to
        self.verdict = Verdict.DOUBT  #: of the last look

    def look(self, found: Claim) -> Verdict:
        """Judge by the claim as it is found now."""
        now_s = self._now_s()
        if self._sign is None:
            self._sign = found.sign
        elif found.sign != self._sign:
            self.verdict = Verdict.ALIVE
        else:
            self.silent_s += min(now_s - self._looked_s, self._gap_s)
        self._looked_s = now_s
        if self.verdict is Verdict.DOUBT and self.silent_s >= self._lapse_s:
            self.verdict = Verdict.DEAD
        return self.verdict
