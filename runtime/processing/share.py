"""The share that one member has of a group: its slots, what is in hand, and what is finished.

The log is read once for all of its slots, from the one on that is least far. Whenever it gets more
of them, it is dealt out anew: reading begins again, where the least of them stands, and each slot
passes over what it has had. What was read before is of an older **deal**; it may be handed out yet,
for the slots that were in it, and says nothing of those that came since.

A slot that goes to another member is left in two steps: it hands out nothing more, and once nothing
of it is in hand its checkpoint is told to the store, and it is given up."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from actors.event import Event
from store.appends import CheckpointMove
from store.receipts import NOTHING_FINISHED, Receipt
from store.slots import slot_name, slot_of_event
from store.subscriptions import SubscriptionRecord


class Slot:
    """One slot, from when it was taken until it is given up, or is lost. The share guards it."""

    __slots__ = ("deal", "epoch", "handed", "ids", "kept", "number", "position", "receipt")

    def __init__(self, number: int, deal: int, record: SubscriptionRecord) -> None:
        self.number, self.deal, self.epoch = number, deal, record.epoch
        self.handed = self.position = record.position  #: up to there it is, and is finished
        self.receipt = record.receipt
        self.ids: list[bytes] = []  #: finished, too, and not in the receipt yet
        self.kept = (record.position, record.receipt)  #: what the store has

    def add_up(self) -> tuple[int, Receipt]:
        """Up to which position all is finished, and what that was."""
        if self.ids:
            self.receipt, self.ids = self.receipt.plus(self.ids), []
        return self.position, self.receipt


class Share:
    """Reader and loop change it, each under the lock."""

    #: So many ids are added to a receipt together, by whoever finishes the last of them.
    TOGETHER = 512

    def __init__(self, on_news: Callable[[], None], on_settled: Callable[[], None]) -> None:
        """`on_news` is called when there is something to tell the store, once until `moves`;
        `on_settled` when nothing of a slot that is left is in hand any more, perhaps."""
        self.lock = threading.RLock()  #: a signal handler may come in between
        self._on_news, self._on_settled = on_news, on_settled
        # All guarded by the lock:
        self.deal = 0
        self._slots: dict[int, Slot] = {}  # whose events are handed out
        self._leaving: dict[int, Slot] = {}  # whose events are handed out no more
        # In the present deal, for every slot, beyond what it says itself: a step from event to
        # event changes two numbers, and not sixteen slots.
        self._reached = self._done = 0
        self._handed: tuple[Sequence[Event], int, int] = ((), 0, 0)  # up to where, of which deal
        self._taken: set[int] = set()  # slots of which something finished was lost
        self._last = 0  # where it stood when it had a slot
        self._told = False
        self._over = False

    # What its reader says: Progress.

    def hand_out(self, events: Sequence[Event], through: int, deal: int) -> Sequence[Event]:
        """Those of its slots that these have not had are handed out."""
        with self.lock:
            if self._over:
                return ()
            events = [event for event in events if self._wants(event, deal)]
            self._reach(through, deal)
            self._handed = events, through, deal
            return events

    def take_back(self) -> tuple[Sequence[Event], int]:
        """What is in hand, and the deal of it; its slots have not had it."""
        with self.lock:
            (events, _, deal), self._handed = self._handed, ((), 0, 0)
            self._settle()
            for event in events:
                slot = self._slots.get(slot_of_event(event))
                if slot is not None and slot.deal <= deal:
                    slot.handed = min(slot.handed, (event.position or 0) - 1)
            return events, deal

    def finish(self) -> None:
        """What is in hand is, where its slot was not lost meanwhile."""
        with self.lock:
            (events, through, deal), self._handed = self._handed, ((), 0, 0)
            if not events or self._over:
                return
            for event in events:
                number = slot_of_event(event)
                slot = self._slots.get(number) or self._leaving.get(number)
                if slot is None or slot.deal > deal:
                    self._taken.add(number)
                    continue
                slot.ids.append(event.id_bytes)
                if number in self._leaving:
                    slot.position = event.position or 0
                if len(slot.ids) >= self.TOGETHER:
                    slot.add_up()
            self._advance(through, deal)
            if self._leaving:
                self._on_settled()

    def passed(self, through: int, deal: int) -> None:
        """As long as nothing is in hand."""
        with self.lock:
            if not self._handed[0] and not self._over:
                self._reach(through, deal)
                self._advance(through, deal)

    @property
    def receipt(self) -> Receipt:
        """Of all its slots together."""
        with self.lock:
            found = NOTHING_FINISHED
            for slot in self._all():
                found += slot.add_up()[1]
            return found

    @property
    def position(self) -> int:
        """Up to where all of its slots were handed out; where that was last, while it has none."""
        with self.lock:
            self._last = self.start(self._last)
            return self._last

    # What the loop does.

    @property
    def numbers(self) -> frozenset[int]:
        """Its slots, with those that it leaves."""
        with self.lock:
            return frozenset({*self._slots, *self._leaving})

    @property
    def handing(self) -> frozenset[int]:
        """Those whose events it hands out."""
        with self.lock:
            return frozenset(self._slots)

    def epochs(self) -> dict[int, int]:
        """Under which each is had."""
        with self.lock:
            return {slot.number: slot.epoch for slot in self._all()}

    def add(self, records: Mapping[int, SubscriptionRecord]) -> None:
        """These are its own, too, from a new deal on."""
        with self.lock:
            if self._over or not records:
                return
            self._settle()
            self.deal += 1
            for number, record in records.items():
                self._slots[number] = Slot(number, self.deal, record)

    def start(self, otherwise: int) -> int:
        """Up to where the least of its slots was handed out, or another number if there is none."""
        with self.lock:
            places = [max(slot.handed, self._reached) for slot in self._slots.values()]
            return min(places, default=otherwise)

    def passed_by(self) -> dict[int, int]:
        """Of each slot whose events are handed out, what of the present deal it needs no more."""
        with self.lock:
            return {slot.number: slot.handed for slot in self._slots.values()}

    def leave(self, numbers: Collection[int]) -> None:
        """Nothing more of these is handed out."""
        with self.lock:
            self._settle()
            self._last = self.start(self._last)
            for number in numbers:
                self._leaving[number] = self._slots.pop(number)

    def settled(self) -> frozenset[int]:
        """Of the slots that it leaves, those of which nothing is in hand."""
        with self.lock:
            events, _, deal = self._handed
            in_hand = {slot_of_event(event) for event in events}
            return frozenset(
                number
                for number, slot in self._leaving.items()
                if slot.deal > deal or number not in in_hand
            )

    def remove(self, numbers: Collection[int]) -> None:
        """These were given up."""
        with self.lock:
            for number in numbers:
                self._leaving.pop(number, None)

    def lose(self, epochs: Mapping[int, int]) -> frozenset[int]:
        """These are its own no more, as far as each is still had under this epoch: what was taken
        anew since is. What was finished, and not told, comes again to whoever has them next.
        Which ones were lost."""
        with self.lock:
            self._last = self.start(self._last)
            lost = [slot for slot in self._all() if epochs.get(slot.number) == slot.epoch]
            for slot in lost:
                self._slots.pop(slot.number, None)
                self._leaving.pop(slot.number, None)
                if slot.add_up()[1] != slot.kept[1]:
                    self._taken.add(slot.number)
            return frozenset(slot.number for slot in lost)

    def taken(self) -> frozenset[int]:
        """The slots of which something that was finished was lost, since this was asked last."""
        with self.lock:
            found, self._taken = frozenset(self._taken), set()
            return found

    def moves(self, name: str) -> dict[int, CheckpointMove]:
        """What the store does not know yet, by slot."""
        with self.lock:
            self._told = False
            self._settle()
            return {
                slot.number: CheckpointMove(
                    name=slot_name(name, slot.number), epoch=slot.epoch,
                    position=slot.position, receipt=slot.receipt,
                )
                for slot in self._all() if slot.add_up() != slot.kept
            }  # fmt: skip

    def keep(self, number: int, move: CheckpointMove) -> None:
        """The store knows of it."""
        with self.lock:
            for slot in (self._slots.get(number), self._leaving.get(number)):
                if slot is not None and slot.epoch == move.epoch:
                    slot.kept = move.position, move.receipt

    def kept(self) -> dict[int, int]:
        """Of each of its slots, up to where the store knows of it."""
        with self.lock:
            return {slot.number: slot.kept[0] for slot in self._all()}

    def kept_through(self) -> int:
        """Up to where the store knows of all of it."""
        with self.lock:
            return min((slot.kept[0] for slot in self._all()), default=self._last)

    def untold(self) -> int | None:
        """How many events are finished of which the store does not know; None: there is nothing
        to tell."""
        with self.lock:
            self._settle()
            behind = [slot for slot in self._all() if slot.add_up() != slot.kept]
            counts = [slot.receipt.count - slot.kept[1].count for slot in behind]
            return sum(counts) if behind else None

    def stop(self) -> None:
        """Nothing is handed out or finished any more."""
        with self.lock:
            self._over = True
            self._handed = (), 0, 0

    def left_behind(self) -> None:
        """In a process that was forked, whose threads are not there."""
        self.lock, self._over = threading.RLock(), True

    def _wants(self, event: Event, deal: int) -> bool:
        slot = self._slots.get(slot_of_event(event))
        return slot is not None and slot.deal <= deal and (event.position or 0) > slot.handed

    def _reach(self, through: int, deal: int) -> None:
        if deal == self.deal:
            self._reached = max(self._reached, through)
            return
        for slot in self._slots.values():
            if slot.deal <= deal:
                slot.handed = max(slot.handed, through)

    def _advance(self, through: int, deal: int) -> None:
        if deal == self.deal:
            self._done = max(self._done, through)
        else:
            for slot in self._slots.values():
                if slot.deal <= deal:
                    slot.position = max(slot.position, through)
        if not self._told:
            self._told = True
            self._on_news()

    def _settle(self) -> None:
        """Have every slot say itself how far it is."""
        for slot in self._slots.values():
            slot.handed = max(slot.handed, self._reached)
            slot.position = max(slot.position, self._done)
        self._reached = self._done = 0

    def _all(self) -> list[Slot]:
        return [*self._slots.values(), *self._leaving.values()]
