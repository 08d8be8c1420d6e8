"""Slots: the fixed shares into which the work of a stream program is dealt, or that of a group.

A worker has some of them, or a member, and how many there are may change: each slot has a
checkpoint of its own, and keys stay in their slots for ever.
"""

from actors.event import Event
from actors.naming import aggregate_key_of

#: A worker has at least one of them, so a program has at most as many workers.
SLOTS = 16


def slot_of(aggregate_id: bytes) -> int:
    """The slot of an aggregate, by the last of the 16 bytes of its id, which is as good as
    random."""
    return aggregate_id[15] % SLOTS


def slot_of_event(event: Event) -> int:
    """That of its aggregate."""
    return event.aggregate_id.int % SLOTS


def slot_name(name: str, slot: int) -> str:
    """What a slot of a program, or of a group, is called among durable subscriptions."""
    return f"{name}/{slot}"


def slot_of_key(key: str) -> int:
    """The slot of a key; of the source of an aggregate it is that of the aggregate."""
    return slot_of(aggregate_key_of(key))
