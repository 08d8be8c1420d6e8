"""Groups of a store in memory: nothing of them survives it."""

from collections.abc import Mapping
from dataclasses import replace
from time import monotonic

from store.groups import NOBODY, GroupView
from store.memory_subscriptions import SubscriptionsInMemory
from store.selection import Selection
from store.slots import SLOTS, slot_name
from store.subscriptions import SubscriptionRecord


class GroupsInMemory:
    """Their members; their slots are among the subscriptions."""

    def __init__(self, subscriptions: SubscriptionsInMemory) -> None:
        self._subscriptions = subscriptions
        #: By group, in the order in which they joined: the last sign of each, and when it came.
        self._members: dict[str, dict[int, tuple[int, float]]] = {}

    def open(self, name: str, selection: Selection, after: int) -> None:
        """Those slots that there are not yet. Raises AnotherSelection."""
        for slot in range(SLOTS):
            self._subscriptions.make_slot(slot_name(name, slot), selection, after)

    def hear(self, name: str, member: int, sign: int) -> None:
        """A sign of life; where the group was dropped it is nobody's."""
        if self.slots(name):
            self._members.setdefault(name, {})[member] = (sign, monotonic())

    def slots(self, name: str) -> dict[int, SubscriptionRecord]:
        """By number; none where there is no such group."""
        return self._subscriptions.group_slots(name)

    def members(self, name: str) -> dict[int, int]:
        """The last sign of each."""
        return {member: sign for member, (sign, _) in self._members.get(name, {}).items()}

    def heard(self, records: list[SubscriptionRecord]) -> list[SubscriptionRecord]:
        """These; slots with how long ago their members were heard of."""
        now_s = monotonic()
        found: list[SubscriptionRecord] = []
        for record in records:
            members = self._members.get(record.name.partition("/")[0], {})
            heard = None if record.member is None else members.get(record.member)
            found.append(record if heard is None else replace(record, silent_s=now_s - heard[1]))
        return found

    def view(self, name: str) -> GroupView:
        """All of it, at one instant."""
        return GroupView(slots=self.slots(name), members=self.members(name))

    def take(
        self, name: str, member: int, epoch: int, seen: Mapping[int, int]
    ) -> list[SubscriptionRecord]:
        """Those slots that are still as they were seen, or are his already."""
        if member not in self._members.get(name, {}):
            return []
        return [
            self._subscriptions.change_hands(record.name, member, epoch)
            for slot, record in self.slots(name).items()
            if slot in seen and record.epoch in (seen[slot], epoch)
        ]

    def free(self, name: str, epochs: Mapping[int, int]) -> None:
        """Those that are still held under these epochs."""
        for slot, record in self.slots(name).items():
            if epochs.get(slot) == record.epoch and record.member != NOBODY:
                self._subscriptions.free_slot(record.name)

    def leave(self, name: str, member: int) -> None:
        """He is gone, and what he had is free."""
        self._members.get(name, {}).pop(member, None)
        for record in self.slots(name).values():
            if record.member == member:
                self._subscriptions.free_slot(record.name)

    def expel(self, name: str, member: int, sign: int) -> bool:
        """He is no member any more, if he was not heard of since."""
        members = self._members.get(name, {})
        if member not in members or members[member][0] != sign:
            return False
        del members[member]
        return True

    def drop(self, name: str) -> None:
        """Nobody is a member."""
        self._members.pop(name, None)
