"""Lanes: slots of one program that have come equally far.

Each slot has a checkpoint of its own, because other workers may have had them before. Whoever takes
slots over first brings those that lag up to the others; from then on they are one lane.
"""

from heapq import heapify, heappop, heappush, nsmallest

from store.receipts import NOTHING_FINISHED, Receipt
from streams.program import NEVER


class Lane:
    """Some slots, and how far all of them are: in the log, and in event time."""

    __slots__ = ("_due", "_finished", "_heap", "_receipts", "position", "slots", "watermark_us")

    #: Entries that may be out of date, beyond as many as are not.
    SPARE = 500

    def __init__(self, position: int, watermark_us: int | None) -> None:
        self.position = position
        self.watermark_us = NEVER if watermark_us is None else watermark_us
        self.slots: set[int] = set()
        self._receipts: dict[int, Receipt] = {}  # by slot
        self._finished: dict[int, list[bytes]] = {}  # ids that are not in those yet
        #: When each key is to be looked at again, and the same in an order, with entries in it that
        #: are no longer so.
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def add_slot(self, slot: int, receipt: Receipt = NOTHING_FINISHED) -> None:
        """One that stands where all stand."""
        self.slots.add(slot)
        self._receipts[slot] = receipt
        self._finished[slot] = []

    def finish(self, slot: int, event_id: bytes) -> None:
        """An event of this slot is finished."""
        self._finished[slot].append(event_id)

    @property
    def receipts(self) -> dict[int, Receipt]:
        """By slot, up to `position`."""
        for slot, ids in self._finished.items():
            if ids:
                self._receipts[slot] = self._receipts[slot].plus(ids)
                ids.clear()
        return self._receipts

    @property
    def is_due(self) -> bool:
        """May some key be due with the watermark as it is?"""
        return bool(self._heap) and self._heap[0][0] <= self.watermark_us

    def plan(self, key: str, due_us: int | None) -> None:
        """This key is to be looked at again then, or not at all."""
        if due_us is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due_us:
            self._due[key] = due_us
            heappush(self._heap, (due_us, key))
            if len(self._heap) > 2 * len(self._due) + self.SPARE:
                self._order()  # a key that is put off again and again leaves an entry each time

    def unplan(self, key: str) -> int | None:
        """When this key was to be looked at; it is at no moment now."""
        return self._due.pop(key, None)

    def due_until(self, watermark_us: int) -> set[str]:
        """The keys that would be due with this watermark."""
        heap, due, found, open_ = self._heap, self._due, set(), [0]
        while open_:  # down the heap as far as it is due: what is not, has nothing due below it
            at = open_.pop()
            if at < len(heap) and heap[at][0] <= watermark_us:
                due_us, key = heap[at]
                if due.get(key) == due_us:
                    found.add(key)
                open_ += (2 * at + 1, 2 * at + 2)
        return found

    def next_due(self) -> tuple[str, int] | None:
        """The key that is due first, and when that was, with the watermark as it is. It is planned
        no longer."""
        heap, due = self._heap, self._due
        while heap and heap[0][0] <= self.watermark_us:
            due_us, key = heappop(heap)
            if due.get(key) == due_us:
                del due[key]
                return key, due_us
        return None

    def first_due(self, count: int) -> list[str]:
        """Those that are due first with the watermark as it is, at most so many."""
        due = ((at, key) for key, at in self._due.items() if at <= self.watermark_us)
        return [key for _, key in nsmallest(count, due)]

    def join(self, other: "Lane") -> None:
        """The other one has come as far as this one: it is a part of this one from now on."""
        assert other.position == self.position
        self.slots |= other.slots
        self._receipts = self.receipts | other.receipts
        self._finished |= {slot: [] for slot in other.slots}
        self.watermark_us = max(self.watermark_us, other.watermark_us)
        self._due |= other._due
        self._order()

    def _order(self) -> None:
        self._heap = [(due_us, key) for key, due_us in self._due.items()]
        heapify(self._heap)
