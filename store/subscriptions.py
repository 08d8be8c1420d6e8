"""What a store keeps of a durable subscription."""

from dataclasses import dataclass, field
from datetime import datetime

from store.receipts import Receipt
from store.selection import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRecord:
    """A durable subscription: what it selects, and how far it has come.

    `position` is its checkpoint: every selected event after `began` and up to there is finished,
    and `receipt` says which these were. `epoch` is a number that whoever opened it last has drawn:
    nobody else may move it, nor whoever had another of that name.
    """

    name: str
    epoch: int
    selection: Selection
    began: int
    position: int
    receipt: Receipt
    #: Of a slot of a group: the member that has it, 0 for nobody (store/groups.py); None: it is of
    #: no group.
    member: int | None = None
    #: How long ago that member was heard of; None: it is none any more, or this is nobody's. By the
    #: clock of the store, for people alone, and in `EventStore.subscriptions` alone.
    silent_s: float | None = field(default=None, compare=False)
    #: How far event time has come for it, Unix microseconds; None: nobody has said so.
    watermark_us: int | None = None
    #: By the clock of the store, and for people alone.
    opened_at: datetime = field(compare=False)
    moved_at: datetime | None = field(default=None, compare=False)
