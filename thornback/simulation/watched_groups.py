"""The groups of the simulated database, and what has become of their slots, for whoever judges."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from store.groups import NOBODY
from store.memory_groups import GroupsInMemory
from store.memory_subscriptions import SubscriptionsInMemory
from store.subscriptions import SubscriptionRecord
from thornback.simulation.scheduler import SimulatedLoop


@dataclass(slots=True)
class Tenure:
    """One member's time with one slot."""

    name: str  #: of the group
    slot: int
    member: int
    began: int  #: the moment of the history
    position: int  #: of the checkpoint then
    ended: int | None = None
    how: str = ""  #: freed, left, or taken by another one
    reached: int = 0  #: the checkpoint, when it ended
    was_out: bool = False  #: the member was put out meanwhile
    robbed: bool = False  #: it was taken, and the member was not out


@dataclass(frozen=True, slots=True)
class Expulsion:
    """A member was put out."""

    name: str
    member: int
    at_s: float
    heard_s: float  #: when it was heard of last


class WatchedGroups(GroupsInMemory):
    """Notes who had what, when, and how he lost it."""

    def __init__(self, subscriptions: SubscriptionsInMemory, loop: SimulatedLoop) -> None:
        super().__init__(subscriptions)
        self._loop = loop
        self.moment: Callable[[], int] = count().__next__  #: the next one of the history
        self._heard_s: dict[tuple[str, int], float] = {}
        self.tenures: list[Tenure] = []
        self.expulsions: list[Expulsion] = []

    def hear(self, name: str, member: int, sign: int) -> None:
        self._heard_s[name, member] = self._loop.time()
        super().hear(name, member, sign)

    def take(
        self, name: str, member: int, epoch: int, seen: Mapping[int, int]
    ) -> list[SubscriptionRecord]:
        before = self.slots(name)
        taken = super().take(name, member, epoch, seen)
        for record in taken:
            slot = int(record.name.rpartition("/")[2])
            if before[slot].epoch == record.epoch:
                continue  # it was his already, and the answer was lost
            self._end(name, slot, "taken", by=member)
            self.tenures.append(Tenure(name, slot, member, self.moment(), record.position))
        return taken

    def free(self, name: str, epochs: Mapping[int, int]) -> None:
        for slot, record in self.slots(name).items():
            if epochs.get(slot) == record.epoch and record.member != NOBODY:
                self._end(name, slot, "freed")
        super().free(name, epochs)

    def leave(self, name: str, member: int) -> None:
        for slot, record in self.slots(name).items():
            if record.member == member:
                self._end(name, slot, "left")
        super().leave(name, member)

    def expel(self, name: str, member: int, sign: int) -> bool:
        expelled = super().expel(name, member, sign)
        if expelled:
            heard_s = self._heard_s[name, member]
            self.expulsions.append(Expulsion(name, member, self._loop.time(), heard_s))
            for tenure in self.tenures:
                tenure.was_out |= (tenure.name, tenure.member) == (name, member)
        return expelled

    def _end(self, name: str, slot: int, how: str, by: int = NOBODY) -> None:
        reached = self.slots(name)[slot].position
        for tenure in reversed(self.tenures):
            if (tenure.name, tenure.slot) == (name, slot):
                if tenure.ended is None:
                    tenure.ended, tenure.how = self.moment(), how
                    tenure.reached = reached
                    tenure.robbed = how == "taken" and not tenure.was_out and tenure.member != by
                return
