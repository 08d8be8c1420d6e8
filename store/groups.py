"""What a store keeps of a group: who is a member, and who of them has which of its slots.

A group is a durable subscription that is dealt out among the programs which open its name. It has a
record for each of its slots, NAME/0 and so on, with a checkpoint and a receipt of its own. Whoever
has a slot is known by the record's epoch: nobody else moves its checkpoint. So it is no matter for
the truth of a receipt who is thought to be a member; that decides who tries to take which slot."""

from collections.abc import Mapping
from dataclasses import dataclass

from store.subscriptions import SubscriptionRecord

#: Who has a slot that nobody has.
NOBODY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A group as one member has found it: first its slots, and then its members. So whoever has a
    slot here, and is no member, is none any more."""

    slots: Mapping[int, SubscriptionRecord]
    #: The last sign of life of each, in the order in which they joined.
    members: Mapping[int, int]


def freed(epoch: int) -> int:
    """The epoch of a slot that was given up under this one: a number below zero, nobody's."""
    return -1 - epoch


#: The epoch of a slot that nobody has had yet.
UNHAD = freed(0)


def opened_anew(slot: SubscriptionRecord, before: SubscriptionRecord) -> bool:
    """Is a slot, as it is now, one of a group that was dropped since, and opened anew? It begins
    somewhere else, or goes back, or nobody has had it any more. One that has come further by then
    than it was before cannot be told from it."""
    return (
        slot.began != before.began
        or slot.position < before.position
        or (slot.epoch == UNHAD and before.epoch != UNHAD)
    )
