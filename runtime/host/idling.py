"""Which actors have had nothing to do for so long that they leave memory.

A resident knows the number of the batch that has touched it last, and no time: a look at the clock
for each command would be too much. So it is noted now and then which batch came last, and who was
touched by none since a note that is old enough is idle.
"""

from collections import deque


class Idling:
    """Of one host."""

    #: It is noted so often in the time after which one leaves: who leaves was idle for a quarter
    #: more at most.
    NOTES = 4

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self.every_s = idle_s / self.NOTES  #: so often it is to be noted
        self._notes: deque[tuple[float, int]] = deque()

    def note(self, now_s: float, last: int) -> int | None:
        """By now `last` is the number of the batch that came last. Whose last batch has no higher
        number than the one that is returned has been idle for long enough; None: nobody has."""
        self._notes.append((now_s, last))
        idle = None
        while self._notes and now_s - self._notes[0][0] >= self._idle_s:
            _, idle = self._notes.popleft()
        return idle
