"""When whatever is under way has to end: a heap of deadlines, and one timer for the next."""

import asyncio
import threading
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from weakref import ReferenceType, ref

from runtime.driver.outgoing import Outgoing


class Deadlines:
    """Calls `overdue`, in the loop, with each batch that is not finished at its deadline.

    Batches that are answered long before are not kept for it, and leave an entry of the heap
    behind until there are as many of these as of others.
    """

    #: Of fewer entries none is taken out before its time.
    FEW = 64

    def __init__(
        self, loop: asyncio.AbstractEventLoop, overdue: Callable[[Outgoing], None]
    ) -> None:
        self._loop = loop  # immutable
        self._overdue = overdue  # immutable
        self._lock = threading.Lock()  # guards the heap
        self._heap: list[tuple[float, int, ReferenceType[Outgoing]]] = []
        self._tidy_at = self.FEW  #: with so many entries, those of answered batches are taken out
        self._numbers = count()  # of two with the same deadline, the earlier comes first
        self._timer: asyncio.TimerHandle | None = None  # loop only

    def watch(self, outgoing: Outgoing, until_s: float) -> None:
        """Have it end at a time of the loop's clock. From any thread; `keep` must follow."""
        with self._lock:
            if len(self._heap) >= self._tidy_at:
                self._heap = [entry for entry in self._heap if _waited_for(entry[2]())]
                heapify(self._heap)
                self._tidy_at = max(self.FEW, 2 * len(self._heap))
            heappush(self._heap, (until_s, next(self._numbers), ref(outgoing)))

    def keep(self) -> None:
        """See to the next deadline. In the loop, after whatever was added."""
        timer = self._timer
        with self._lock:
            first_s = self._heap[0][0] if self._heap else None
        if first_s is not None and (timer is None or first_s < timer.when()):
            self._sweep()

    def close(self) -> None:
        """Watch nothing any more. In the loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        """End what is overdue, also while the host takes its time over something else."""
        if self._timer is not None:
            self._timer.cancel()
        now = self._loop.time()
        late: list[Outgoing] = []
        with self._lock:
            heap = self._heap
            while heap and ((outgoing := heap[0][2]()) is None or now >= heap[0][0]):
                heappop(heap)
                if outgoing is not None and not outgoing.finished:
                    late.append(outgoing)
            self._timer = self._loop.call_at(heap[0][0], self._sweep) if heap else None
        for outgoing in late:
            self._overdue(outgoing)


def _waited_for(outgoing: Outgoing | None) -> bool:
    return outgoing is not None and not outgoing.finished
