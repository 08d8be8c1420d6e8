"""Clocks: the time of day, and the vector clocks of drivers and nodes."""

import json
import threading
import time
from collections.abc import Iterable, Mapping

from store.rows.encoding import clock_prefix


class DriverClock:
    """What this driver has seen: merged from answers and events, sent with commands. For any
    thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the counts
        self._counts: dict[str, int] = {}

    def observe(self, counts: Mapping[str, int]) -> None:
        """Merge the clock of an answer or of an event."""
        self.observe_all((counts,))

    def observe_all(self, clocks: Iterable[Mapping[str, int]]) -> None:
        """Merge the clocks of many events at once."""
        mine = self._counts
        with self._lock:
            for counts in clocks:
                for node, ticks in counts.items():
                    if ticks > mine.get(node, 0):
                        mine[node] = ticks

    def counts(self) -> dict[str, int]:
        """The clock as it stands."""
        with self._lock:
            return dict(self._counts)


class NodeClock:
    """The vector clock of this process: the ticks of its node, and what it has observed.

    Several processes may be one node: the dedicated hosts of one actor type are, so that a
    clock has an entry a type and not one a device. Whoever observes a count of its own
    node above its ticks goes on from there (Lamport 1978), so an event is above everything
    in its past whichever process of its node it comes from.
    """

    def __init__(self, node: str, ticks: int) -> None:
        self.node = node
        self.ticks = ticks
        self.stored = ticks  #: how far the log is known to have come: what may be told of ticks
        self._others: dict[str, int] = {}
        self.prefix = self._prefix()  #: for CLOCK of store/rows: the column up to our own tick

    def observe(self, counts: dict[str, int]) -> None:
        """Merge what came with a message or out of the log."""
        changed = False
        for node, count in counts.items():
            if node == self.node:
                # Whoever has seen that many saw them in the log.
                self.ticks, self.stored = max(self.ticks, count), max(self.stored, count)
            elif count > self._others.get(node, 0):
                self._others[node] = count
                changed = True
        if changed:
            self.prefix = self._prefix()

    def keep(self, ticks: int) -> None:
        """Events of this process are durable, the last of them with so many ticks."""
        self.stored = max(self.stored, ticks)

    def counts(self) -> dict[str, int]:
        """The clock as it stands; its ticks may be those of events that are never stored."""
        return {**self._others, self.node: self.ticks}

    def _prefix(self) -> bytes:
        # Only the node's own tick changes from event to event, so it comes last.
        entries = json.dumps({**self._others, self.node: 0}, separators=(",", ":"))
        return clock_prefix(entries.removesuffix("0}").encode())


def now_us() -> int:
    """Unix microseconds: the runtime's clock."""
    return time.time_ns() // 1000
