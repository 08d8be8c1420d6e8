"""Event time over several logs: it has come as far as in the one that is furthest behind.

A log that has had nothing for a while holds nobody up: its clock is left out until it has something
again. How long that is goes by when the legs of the merge were put there (store/merges.py), which
is written down: who reads them again comes to the same.
"""

from collections.abc import Iterable
from typing import Self

from store.merges import Leg
from streams.program import NEVER


class MergedTime:
    """The newest event time of each log, up to some place of a merge, Unix microseconds."""

    #: After so long without an event of the program's a log is idle.
    IDLE_US = 5_000_000

    def __init__(self, logs: int) -> None:
        self._newest: list[int | None] = [None] * logs
        self._heard: list[int] = [0] * logs  # when the leg of that was put there
        self._leg_us = 0  # the same of the leg that is read

    @classmethod
    def behind(cls, logs: int, legs: Iterable[Leg]) -> Self:
        """With all of these read, one of each log at the most."""
        time = cls(logs)
        for leg in legs:
            if leg.newest_us is not None and leg.heard_us is not None:
                time._newest[leg.partition] = leg.newest_us
                time._heard[leg.partition] = leg.heard_us
        return time

    def begin(self, leg: Leg) -> None:
        """The next events are of this leg."""
        self._leg_us = leg.merged_us

    def hear(self, partition: int, moment_us: int) -> int:
        """An event of that log; how far event time has come by it."""
        newest = self._newest[partition]
        self._newest[partition] = moment_us if newest is None else max(newest, moment_us)
        self._heard[partition] = self._leg_us
        since_us = self._leg_us - self.IDLE_US
        heard = zip(self._newest, self._heard, strict=True)
        return min(
            (each for each, at_us in heard if each is not None and at_us >= since_us),
            default=NEVER,
        )

    def of(self, partition: int) -> tuple[int | None, int | None]:
        """The newest event time of a log, and when the leg of that was put there; None: it has had
        nothing yet."""
        newest = self._newest[partition]
        return newest, None if newest is None else self._heard[partition]
