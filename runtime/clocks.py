"""Clocks: the time of day, and the vector clocks of drivers and nodes."""

import json
import threading
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from actors.clock import MAX_COUNT
from store.rows.encoding import clock_prefix


class DriverClock:
    """What this driver has seen: merged from answers and events, sent with commands. For any
    thread.

    `nodes` are those that the driver knows to be of its system; answers name others (of
    launches before). Events may have been published with any names: of those that no answer
    has named, MAX_STRANGERS are kept, the ones heard of last.
    """

    MAX_STRANGERS = 1_000

    def __init__(self, nodes: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()  # guards what follows
        # In an order that a set does not give: requests, and so the log, are told in it.
        self._counts: dict[str, int] = dict.fromkeys(sorted(nodes), 0)
        self._strangers: dict[str, int] = {}  # who was heard of last is last

    def left_behind(self) -> None:
        """This process was forked: whoever held the lock is in its parent."""
        self._lock = threading.Lock()

    def observe(self, counts: Mapping[str, int]) -> None:
        """Merge the clock of an answer: a host tells of nodes of its system alone."""
        mine = self._counts
        with self._lock:
            for node, ticks in counts.items():
                if ticks > mine.get(node, -1):
                    mine[node] = max(ticks, self._strangers.pop(node, 0))

    def observe_events(self, clocks: Iterable[Mapping[str, int]]) -> None:
        """Merge the clocks of events, many at once."""
        mine, strangers = self._counts, self._strangers
        with self._lock:
            for counts in clocks:
                for node, ticks in counts.items():
                    if node not in mine:
                        strangers[node] = max(ticks, strangers.pop(node, 0))
                    elif ticks > mine[node]:
                        mine[node] = ticks
                while len(strangers) > self.MAX_STRANGERS:
                    del strangers[next(iter(strangers))]

    def counts(self) -> dict[str, int]:
        """The clock as it stands."""
        with self._lock:
            known = {node: ticks for node, ticks in self._counts.items() if ticks}
            return {**self._strangers, **known}


class NodeClock:
    """The vector clock of this process: the ticks of its node, and what it has observed.

    Several processes may be one node: the dedicated hosts of one actor type are, so that a
    clock has an entry a type and not one a device. Whoever observes a count of its own
    node above its ticks goes on from there (Lamport 1978), so an event is above everything
    in its past whichever process of its node it comes from.

    Nodes that are none of the system's (`nodes` are all it ever had) are not observed: any
    program can name as many as it likes.
    """

    #: A count of more events of this node than that is none: no node comes so far by counting,
    #: and whoever went on from there would have counts that no request may carry.
    MAX_OBSERVED = MAX_COUNT // 2

    def __init__(self, node: str, ticks: int, nodes: Iterable[str]) -> None:
        self.node = node
        self.ticks = ticks
        self.stored = ticks  #: how far the log is known to have come: what may be told of ticks
        self.nodes = frozenset(nodes)  #: of the system; what else is named is not observed
        self._others: dict[str, int] = {}
        self.prefix = self._prefix()  #: for CLOCK of store/rows: the column up to our own tick

    def observe(self, counts: Mapping[str, int]) -> None:
        """Merge what came with a message or out of the log."""
        if self._merged(counts):
            self.prefix = self._prefix()

    def observe_all(self, clocks: Iterable[Mapping[str, int]]) -> None:
        """Merge several: making the prefix takes longer than all of that."""
        changed = False
        for counts in clocks:
            changed |= self._merged(counts)
        if changed:
            self.prefix = self._prefix()

    def _merged(self, counts: Mapping[str, int]) -> bool:
        """Is there something new of another node?"""
        changed = False
        others = self._others
        for node, count in counts.items():
            if node == self.node:
                if count <= self.MAX_OBSERVED:
                    # Whoever has seen that many saw them in the log.
                    self.ticks, self.stored = max(self.ticks, count), max(self.stored, count)
            elif count > others.get(node, 0) and node in self.nodes:
                others[node] = count
                changed = True
        return changed

    def renew(self) -> None:
        """Whoever observed something last was interrupted in it, perhaps before its end."""
        self.prefix = self._prefix()

    def keep(self, ticks: int) -> None:
        """Events of this process are durable, the last of them with so many ticks."""
        self.stored = max(self.stored, ticks)

    def counts(self) -> dict[str, int]:
        """The clock as it stands; its ticks may be those of events that are never stored."""
        return {**self._others, self.node: self.ticks}

    def of_system(self, counts: Mapping[str, int]) -> dict[str, int]:
        """The entries of the system's nodes alone."""
        return {
            node: count for node, count in counts.items() if node in self.nodes or node == self.node
        }

    def prefix_with(self, counts: Mapping[str, int]) -> bytes:
        """The prefix of one event that was published with this clock: it has the entries of
        nodes elsewhere, too, which the clock of this process has not."""
        elsewhere = {
            node: count
            for node, count in counts.items()
            if node not in self.nodes and node != self.node
        }
        return self._prefix(elsewhere) if elsewhere else self.prefix

    def _prefix(self, elsewhere: Mapping[str, int] = MappingProxyType({})) -> bytes:
        # Only the node's own tick changes from event to event, so it comes last.
        entries = json.dumps({**elsewhere, **self._others, self.node: 0}, separators=(",", ":"))
        return clock_prefix(entries.removesuffix("0}").encode())


def now_us() -> int:
    """Unix microseconds: the runtime's clock."""
    return time.time_ns() // 1000
